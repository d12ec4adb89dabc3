"""A matcher of regular expressions that counts its steps.

It reads what Python's own parser makes of an expression, and tries what a backtracking matcher tries, without any of
the short cuts of the real one. So a count that grows as the text does means that no text can make the real one slow,
and it is the same on every machine.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from re import _constants as c  # type: ignore[attr-defined]
from re import _parser  # type: ignore[attr-defined]
from typing import Any, Literal, TypeAlias

Method: TypeAlias = Literal["match", "fullmatch", "search", "findall"]
"""How an expression is used: `findall` stands for all that look for it again and again."""

_CHARACTERS = {c.LITERAL, c.NOT_LITERAL, c.IN, c.ANY}


MOST_STEPS = 1_000_000
"""Steps after which a matcher gives up: an expression may take more than the age of the world."""


class TooManySteps(Exception):
    """A matcher has given up."""


class Matcher:
    """An expression. `steps` is how many it has taken for the last text."""

    def __init__(self, tree: Any, flags: int) -> None:
        self.tree = tree
        self.flags = flags
        self.steps = 0
        self._text = ""
        self._groups: dict[int, tuple[int, int]] = {}
        self._accepted: dict[tuple[int, Any, str], bool] = {}

    @classmethod
    def of(cls, pattern: str | bytes, flags: int = 0) -> Matcher:
        """Return the matcher of an expression."""
        tree = _parser.parse(pattern, flags)
        return cls(_plain(tree), tree.state.flags)

    def alternatives(self) -> list[Matcher]:
        """Return a matcher for each way in which the whole can match: together they take its steps."""
        if len(self.tree) == 1 and self.tree[0][0] is c.BRANCH:
            return [Matcher(branch, self.flags) for branch in self.tree[0][1][1]]
        return [self]

    def run(self, text: str, method: Method) -> list[tuple[int, int]]:
        """Return where it matches; a text of octets is one in Latin-1.

        Raises:
            TooManySteps: it would take more than `MOST_STEPS`.
        """
        self._text = text
        self.steps = 0
        found: list[tuple[int, int]] = []
        begin = 0
        while begin <= len(text):
            self._groups.clear()
            ends = self._sequence(self.tree, 0, begin)
            end = next((end for end in ends if method != "fullmatch" or end == len(text)), -1)
            if end >= 0:
                found.append((begin, end))
            if method in ("match", "fullmatch") or (found and method == "search"):
                break
            begin = max(end, begin + 1)
        return found

    def accepts(self, node: Any, character: str) -> bool:
        """Whether a node for one character accepts this one."""
        key = id(node[1]), node[0], character
        if key not in self._accepted:
            self._accepted[key] = self._accepts(node[0], node[1], character)
        return self._accepted[key]

    def _sequence(self, nodes: Sequence[Any], index: int, at: int) -> Iterator[int]:
        """Yield every place at which these nodes can end, the preferred one first."""
        while index < len(nodes) and nodes[index][0] in _CHARACTERS:
            self.steps += 1
            if at == len(self._text) or not self.accepts(nodes[index], self._text[at]):
                return
            index, at = index + 1, at + 1
        if index == len(nodes):
            yield at
            return
        self.steps += 1
        if self.steps > MOST_STEPS:
            raise TooManySteps
        kind, value = nodes[index]
        for end in _KINDS[kind](self, value, at):
            yield from self._sequence(nodes, index + 1, end)

    def _branch(self, value: Any, at: int) -> Iterator[int]:
        for branch in value[1]:
            self.steps += 1
            if not branch or branch[0][0] not in _CHARACTERS or self._may_begin(branch[0], at):
                yield from self._sequence(branch, 0, at)

    def _may_begin(self, node: Any, at: int) -> bool:
        return at < len(self._text) and self.accepts(node, self._text[at])

    def _group(self, value: Any, at: int) -> Iterator[int]:
        number, *flags, nodes = value
        if any(flags):
            raise NotImplementedError("flags of a group")
        for end in self._sequence(nodes, 0, at):
            if number is not None:
                self._groups[number] = at, end
            yield end

    def _group_again(self, value: Any, at: int) -> Iterator[int]:
        begin, end = self._groups.get(value, (0, -1))
        if end >= begin and self._text.startswith(self._text[begin:end], at):
            yield at + end - begin

    def _atomic(self, value: Any, at: int) -> Iterator[int]:
        for end in self._sequence(value, 0, at):
            yield end
            return

    def _assert(self, value: Any, at: int) -> Iterator[int]:
        if self._looks(value, at):
            yield at

    def _assert_not(self, value: Any, at: int) -> Iterator[int]:
        if not self._looks(value, at):
            yield at

    def _looks(self, value: Any, at: int) -> bool:
        behind, nodes = value
        if not behind:
            return next(self._sequence(nodes, 0, at), None) is not None
        return at >= behind and any(end == at for end in self._sequence(nodes, 0, at - behind))

    def _greedy(self, value: Any, at: int) -> Iterator[int]:
        """Yield the ends of as many as there can be, then of fewer; a stack in place of recursion, for long texts."""
        least, most, nodes = value
        if len(nodes) == 1 and nodes[0][0] in _CHARACTERS:
            yield from self._greedy_characters(least, most, nodes[0], at)
            return
        stack = [(at, self._sequence(nodes, 0, at) if most else iter(()))]
        while stack:
            place, ends = stack[-1]
            end = next(ends, -1)
            if end < 0:
                stack.pop()
                if len(stack) >= least:
                    self.steps += 1
                    yield place
            elif end > place or len(stack) <= least:
                self.steps += 1
                stack.append((end, self._sequence(nodes, 0, end) if len(stack) < most else iter(())))

    def _greedy_characters(self, least: int, most: int, node: Any, at: int) -> Iterator[int]:
        end = at
        while end < len(self._text) and end - at < most and self.accepts(node, self._text[end]):
            self.steps += 1
            end += 1
        for place in range(end, at + least - 1, -1):
            self.steps += 1
            yield place

    def _lazy(self, value: Any, at: int) -> Iterator[int]:
        """Yield the ends of as few as there can be, then of more."""
        least, most, nodes = value
        if least == 0:
            self.steps += 1
            yield at
        stack = [(at, self._sequence(nodes, 0, at))]
        while stack:
            place, ends = stack[-1]
            end = next(ends, -1)
            if end < 0:
                stack.pop()
            elif end > place:
                if len(stack) >= least:
                    self.steps += 1
                    yield end
                if len(stack) < most:
                    stack.append((end, self._sequence(nodes, 0, end)))

    def _possessive(self, value: Any, at: int) -> Iterator[int]:
        for end in self._greedy(value, at):
            yield end
            return

    def _at(self, value: Any, at: int) -> Iterator[int]:
        if self._is_at(value, at):
            yield at

    def _is_at(self, where: Any, at: int) -> bool:
        multiline = bool(self.flags & re.MULTILINE)
        if where in (c.AT_BEGINNING, c.AT_BEGINNING_STRING):
            lines = multiline and where is c.AT_BEGINNING
            return at == 0 or (lines and self._text[at - 1] == "\n")
        if where is c.AT_END_STRING:
            return at == len(self._text)
        if where is c.AT_END:
            is_line_end = self._text[at : at + 1] == "\n"
            return at == len(self._text) or (is_line_end and (multiline or at == len(self._text) - 1))
        is_boundary = self._is_word(at - 1) != self._is_word(at)
        return is_boundary is (where is c.AT_BOUNDARY)

    def _is_word(self, at: int) -> bool:
        return 0 <= at < len(self._text) and self._in_category(c.CATEGORY_WORD, self._text[at])

    def _accepts(self, kind: Any, value: Any, character: str) -> bool:
        if kind is c.ANY:
            return character != "\n" or bool(self.flags & re.DOTALL)
        is_not = kind is c.NOT_LITERAL or (kind is c.IN and value[0][0] is c.NEGATE)
        parts = value[is_not:] if kind is c.IN else [(c.LITERAL, value)]
        some = {character, character.lower(), character.upper()} if self.flags & re.IGNORECASE else {character}
        return any(self._is_in(part, one) for part in parts for one in some if len(one) == 1) is not is_not

    def _is_in(self, part: Any, one: str) -> bool:
        kind, value = part
        if kind is c.RANGE:
            return bool(value[0] <= ord(one) <= value[1])
        return self._in_category(value, one) if kind is c.CATEGORY else ord(one) == value

    def _in_category(self, category: Any, one: str) -> bool:
        name = str(category).removeprefix("CATEGORY_")
        is_not, name = name.startswith("NOT_"), name.removeprefix("NOT_")
        ascii_only = bool(self.flags & re.ASCII) or not self.flags & re.UNICODE
        return (_CATEGORIES[name](one) and (one.isascii() or not ascii_only)) is not is_not


_KINDS: Mapping[Any, Callable[[Matcher, Any, int], Iterator[int]]] = {
    c.BRANCH: Matcher._branch,
    c.SUBPATTERN: Matcher._group,
    c.GROUPREF: Matcher._group_again,
    c.ATOMIC_GROUP: Matcher._atomic,
    c.ASSERT: Matcher._assert,
    c.ASSERT_NOT: Matcher._assert_not,
    c.AT: Matcher._at,
    c.MAX_REPEAT: Matcher._greedy,
    c.MIN_REPEAT: Matcher._lazy,
    c.POSSESSIVE_REPEAT: Matcher._possessive,
}

_CATEGORIES: Mapping[str, Callable[[str], bool]] = {
    "DIGIT": str.isdecimal,
    "SPACE": str.isspace,
    "WORD": lambda one: one.isalnum() or one == "_",
}


def _plain(value: Any) -> Any:
    """Return a tree of plain lists and tuples, which are faster to look at; a look behind keeps its width."""
    if isinstance(value, _parser.SubPattern):
        return [_plain(node) for node in value]
    if isinstance(value, tuple) and value and (value[0] is c.ASSERT or value[0] is c.ASSERT_NOT):
        kind, (direction, nodes) = value
        low, high = nodes.getwidth()
        if direction < 0 and low != high:
            raise NotImplementedError("a look behind of no fixed width")
        return kind, (low if direction < 0 else 0, _plain(nodes))
    if isinstance(value, (tuple, list)):
        return type(value)(_plain(part) for part in value)
    return value
