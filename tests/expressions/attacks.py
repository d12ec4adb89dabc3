"""Texts that make a backtracking matcher slow, if any can: made of what the parts of an expression themselves match."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from re import _constants as c  # type: ignore[attr-defined]
from typing import Any, NamedTuple

from tests.expressions.matcher import Matcher

_ALPHABET = [chr(code) for code in range(128)] + ["é", "٣", "\u200b"]
_SUFFIXES = ("", "\0", "\n")  # after which an expression seldom matches
_MOST_STARTS = 12
_REPEATS = (c.MAX_REPEAT, c.MIN_REPEAT, c.POSSESSIVE_REPEAT)


class Attack(NamedTuple):
    """A text that can be made as long as one likes: something, then something else again and again, then an end."""

    before: str
    pump: str
    after: str

    def text(self, times: int) -> str:
        """The text with so many repetitions."""
        return self.before + self.pump * times + self.after


def attacks(matcher: Matcher) -> Iterator[Attack]:
    """Yield the attacks on an expression."""
    places = list(dict.fromkeys(_places(matcher, matcher.tree, "")))
    before = list(dict.fromkeys(text for text, _ in places))
    pairs = [(start, pump) for start, pump in places] + [("", pump) for place in places for pump in place]
    pairs += [(start, pump) for start in before[:_MOST_STARTS] for pump in _characters(matcher)]
    for start, pump in dict.fromkeys(pairs):
        if pump:
            for end in _SUFFIXES:
                yield Attack(start, pump, end)


def _places(matcher: Matcher, nodes: Sequence[Any], before: str) -> Iterator[tuple[str, str]]:
    """Yield each place in an expression where a matcher can go on in several ways, and its end.

    That is what leads to the place, and what is repeated there.
    """
    nodes = list(nodes)
    for number, (kind, value) in enumerate(nodes):
        if kind in _REPEATS:
            yield before, _sample(matcher, value[2])
            yield from _places(matcher, value[2], before)
        elif kind is c.BRANCH:
            for branch in value[1]:
                yield before, _sample(matcher, branch)
                yield from _places(matcher, branch, before)
        elif kind in (c.SUBPATTERN, c.ASSERT, c.ASSERT_NOT):
            yield from _places(matcher, value[-1], before)
        elif kind is c.ATOMIC_GROUP:
            yield from _places(matcher, value, before)
        if number == len(nodes) - 1:
            yield before, before  # all but the last
        before += _sample(matcher, [(kind, value)])
    yield before, before


def _sample(matcher: Matcher, nodes: Iterable[Any]) -> str:
    """A short text that these nodes match, as far as that can be said without looking at the others."""
    text = ""
    for kind, value in nodes:
        if kind in _REPEATS:
            text += _sample(matcher, value[2]) * max(value[0], 1)
        elif kind is c.BRANCH:
            text += _sample(matcher, value[1][0])
        elif kind is c.SUBPATTERN:
            text += _sample(matcher, value[-1])
        elif kind is c.ATOMIC_GROUP:
            text += _sample(matcher, value)
        elif kind not in (c.AT, c.ASSERT, c.ASSERT_NOT, c.GROUPREF):
            text += next((one for one in reversed(_ALPHABET) if matcher.accepts((kind, value), one)), "")
    return text


def _characters(matcher: Matcher) -> list[str]:
    """One character of each kind that the repeated parts of an expression tell apart."""
    sets = list(_repeated(matcher.tree, within=False))
    kinds: dict[tuple[bool, ...], str] = {}
    for one in _ALPHABET:
        kinds.setdefault(tuple(matcher.accepts(some, one) for some in sets), one)
    return list(kinds.values())


def _repeated(nodes: Iterable[Any], *, within: bool) -> Iterator[tuple[Any, Any]]:
    for kind, value in nodes:
        if kind in _REPEATS:
            yield from _repeated(value[2], within=True)
        elif kind is c.BRANCH:
            for branch in value[1]:
                yield from _repeated(branch, within=within)
        elif kind in (c.SUBPATTERN, c.ASSERT, c.ASSERT_NOT):
            yield from _repeated(value[-1], within=within)
        elif kind is c.ATOMIC_GROUP:
            yield from _repeated(value, within=within)
        elif within and kind in (c.LITERAL, c.NOT_LITERAL, c.IN, c.ANY):
            yield kind, value
