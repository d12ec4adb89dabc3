"""A YAML text → plain data with the line and column of every key and value.

Built from the parser's events, not from its nodes: only events show that a tag is explicit, or that a value is an
alias. Events need no recursion, so a text that is nested deeply, or that grows by its aliases, does no harm.
"""

from dataclasses import dataclass, field
from typing import NamedTuple, cast

import yaml

from exporter.config.mistake import NOWHERE, KeyPath, Position
from exporter.config.scalar import PlainValue, read_plain
from exporter.config.syntax import explain
from exporter.model.message import show

MAX_VALUES = 500_000
"""Largest number of keys and values in a document, aliases written out: this stops an alias bomb."""

MAX_DEPTH = 32
"""Deepest nesting, aliases written out; the configuration needs five."""

# libyaml where PyYAML was built with it: ten times as fast.
_LOADER = cast("type[yaml.SafeLoader]", getattr(yaml, "CSafeLoader", yaml.SafeLoader))


class ScalarNode(NamedTuple):
    """A single value; `text` is how it is written."""

    position: Position
    value: PlainValue
    text: str


class ListNode(NamedTuple):
    """A list."""

    position: Position
    items: "list[Node]"


class Entry(NamedTuple):
    """A key's position and its value."""

    position: Position
    node: "Node"


class MappingNode(NamedTuple):
    """A mapping; its keys are text, each there once, merge keys resolved."""

    position: Position
    entries: dict[str, Entry]


Node = ScalarNode | ListNode | MappingNode


class Finding(NamedTuple):
    """A mistake in the text as YAML, whatever its keys mean.

    Attributes:
        value: The scalar that is wrong; it may be shown before the text only if it is known not to be a secret.
        of_key: Whether the last key of the path is wrong itself, not its value.
    """

    position: Position
    path: KeyPath
    text: str
    value: str | None = None
    of_key: bool = False


class Document(NamedTuple):
    """The content of a text; `root` is None if the findings are all that can be understood of it.

    Attributes:
        traps: The positions of scalars that some YAML parsers read differently.
    """

    root: MappingNode | None
    findings: list[Finding]
    traps: frozenset[Position]


def compose(text: str, wanted: str, empty: str | None) -> Document:
    """Return the document in a text, with everything that is wrong with it as YAML.

    Args:
        text: The text.
        wanted: The keys that its mapping has, for the mistake of a text that is no mapping.
        empty: The mistake of an empty text; None if such a text counts as an empty mapping.
    """
    composer = _Composer()
    try:
        root = composer.compose(text, wanted, empty)
    except yaml.YAMLError as error:
        position, why = explain(error)
        return Document(None, [Finding(position, (), why)], frozenset())
    except _Abandoned as abandoned:
        return Document(None, [abandoned.finding], frozenset())
    return Document(root, composer.findings, frozenset(composer.traps))


class _Abandoned(Exception):
    def __init__(self, position: Position, text: str) -> None:
        self.finding = Finding(position, (), text)


class _Anchored(NamedTuple):
    node: Node
    size: int
    height: int


@dataclass(slots=True)
class _Frame:
    """A list or mapping that is still open."""

    node: ListNode | MappingNode
    path: KeyPath
    anchor: str | None
    first: int
    height: int = 1
    # Of a mapping: the position of the key whose value comes next (None: a key comes next); that key (None: a bad one).
    key_at: Position | None = None
    key: str | None = None
    is_repeated: bool = False
    merge_at: Position | None = None
    merged: list[MappingNode] = field(default_factory=list)


class _Composer:
    def __init__(self) -> None:
        self.findings: list[Finding] = []
        self.traps: set[Position] = set()
        self._stack: list[_Frame] = []
        self._anchors: dict[str, _Anchored | None] = {}
        self._count = 0
        self._root: Node | None = None
        self._documents = 0

    def compose(self, text: str, wanted: str, empty: str | None) -> MappingNode:
        for event in yaml.parse(text, Loader=_LOADER):
            self._take(event)
        match self._root:
            case None | ScalarNode(value=None):
                if empty is None:
                    return MappingNode(NOWHERE, {})
                raise _Abandoned(NOWHERE, empty)
            case MappingNode() as root:
                return root
            case other:
                raise _Abandoned(other.position, f"must be a mapping with {wanted}")

    def _take(self, event: yaml.Event) -> None:
        if type(event) is yaml.ScalarEvent:
            self._scalar(event)
        elif isinstance(event, yaml.CollectionStartEvent):
            self._open(event)
        elif isinstance(event, yaml.CollectionEndEvent):
            self._close()
        elif isinstance(event, yaml.AliasEvent):
            self._alias(event)
        elif isinstance(event, yaml.DocumentStartEvent):
            self._documents += 1
            if self._documents > 1:
                raise _Abandoned(_start(event), "a second document starts here; one file holds one")

    def _scalar(self, event: yaml.ScalarEvent) -> None:
        position = _start(event)
        self._grow(position, 1, 0)
        self._check_tag(event, position)
        frame = self._stack[-1] if self._stack else None
        if event.implicit[0] and event.tag is None:
            value, trap = read_plain(event.value)
            if frame is not None and _awaits_key(frame):
                if event.value == "<<":
                    self._start_merge(frame, position)
                    return
                if trap is not None:
                    value = event.value
            if trap is not None:
                self._trap(frame, position, event.value, trap)
        else:
            value = event.value
        node = ScalarNode(position, value, event.value)
        if event.anchor is not None:
            self._anchors[event.anchor] = _Anchored(node, 1, 0)
        self._place(node)

    def _trap(self, frame: _Frame | None, position: Position, value: str, text: str) -> None:
        self.traps.add(position)
        if frame is not None and _awaits_key(frame):
            self.findings.append(Finding(position, (*frame.path, value), text, value, of_key=True))
        else:
            self.findings.append(Finding(position, self._path(), text, value))

    def _open(self, event: yaml.CollectionStartEvent) -> None:
        position = _start(event)
        self._grow(position, 1, 1)
        self._check_tag(event, position)
        if self._stack and _awaits_key(self._stack[-1]):
            self.findings.append(Finding(position, self._stack[-1].path, "a key must be text"))
        node = MappingNode(position, {}) if isinstance(event, yaml.MappingStartEvent) else ListNode(position, [])
        self._stack.append(_Frame(node, self._path(), event.anchor, self._count - 1))
        if event.anchor is not None:
            self._anchors[event.anchor] = None

    def _close(self) -> None:
        frame = self._stack.pop()
        if isinstance(frame.node, MappingNode):
            for mapping in frame.merged:
                for key, entry in mapping.entries.items():
                    frame.node.entries.setdefault(key, entry)
        if frame.anchor is not None:
            self._anchors[frame.anchor] = _Anchored(frame.node, self._count - frame.first, frame.height)
        if self._stack:
            self._stack[-1].height = max(self._stack[-1].height, frame.height + 1)
        self._place(frame.node)

    def _alias(self, event: yaml.AliasEvent) -> None:
        position = _start(event)
        if event.anchor not in self._anchors:
            raise _Abandoned(position, "an alias to an anchor that does not exist before this place")
        anchored = self._anchors[event.anchor]
        if anchored is None:
            raise _Abandoned(position, "an alias to something that it is itself a part of")
        self._grow(position, anchored.size, anchored.height)
        frame = self._stack[-1]
        frame.height = max(frame.height, anchored.height + 1)
        if _awaits_key(frame):
            # Its anchor may be at a secret, and keys are shown.
            self.findings.append(Finding(position, frame.path, "an alias cannot be a key: write the key out"))
            frame.key_at, frame.key = position, None
            return
        self._place(anchored.node)

    def _place(self, node: Node) -> None:
        if not self._stack:
            self._root = node
            return
        frame = self._stack[-1]
        if isinstance(frame.node, ListNode):
            frame.node.items.append(node)
        elif frame.key_at is None:
            self._place_key(frame, frame.node, node)
        else:
            if frame.merge_at == frame.key_at:
                self._merge(frame, node)
            elif frame.key is not None and not frame.is_repeated:
                frame.node.entries[frame.key] = Entry(frame.key_at, node)
            frame.key_at = frame.key = None

    def _place_key(self, frame: _Frame, mapping: MappingNode, node: Node) -> None:
        frame.key_at, frame.key = node.position, None
        if not isinstance(node, ScalarNode):
            return
        if not isinstance(node.value, str):
            self.findings.append(Finding(node.position, frame.path, "a key must be text: put it in quotes"))
        elif node.value in mapping.entries:
            line = mapping.entries[node.value].position.line
            path = (*frame.path, node.value)
            text = f"this key is there already, on line {line}"
            self.findings.append(Finding(node.position, path, text, of_key=True))
            frame.key, frame.is_repeated = node.value, True
        else:
            frame.key, frame.is_repeated = node.value, False

    def _start_merge(self, frame: _Frame, position: Position) -> None:
        if frame.merge_at is not None:
            text = f"this key is there already, on line {frame.merge_at.line}: merge a list of mappings instead"
            self.findings.append(Finding(position, (*frame.path, "<<"), text, of_key=True))
        frame.key_at, frame.key, frame.merge_at = position, None, position

    def _merge(self, frame: _Frame, node: Node) -> None:
        mappings = node.items if isinstance(node, ListNode) else [node]
        for mapping in mappings:
            if isinstance(mapping, MappingNode):
                frame.merged.append(mapping)
            else:
                text = "must be a mapping or a list of mappings to merge"
                self.findings.append(Finding(mapping.position, (*frame.path, "<<"), text))

    def _path(self) -> KeyPath:
        """Return the path of the value that comes next."""
        if not self._stack:
            return ()
        frame = self._stack[-1]
        if isinstance(frame.node, ListNode):
            return (*frame.path, f"[{len(frame.node.items)}]")
        if frame.merge_at is not None and frame.merge_at == frame.key_at:
            return (*frame.path, "<<")
        return frame.path if frame.key is None else (*frame.path, frame.key)

    def _grow(self, position: Position, size: int, height: int) -> None:
        self._count += size
        if self._count > MAX_VALUES:
            raise _Abandoned(position, f"more than {MAX_VALUES} values, aliases written out")
        if len(self._stack) + height > MAX_DEPTH:
            raise _Abandoned(position, f"nested more than {MAX_DEPTH} levels deep")

    def _check_tag(self, event: yaml.ScalarEvent | yaml.CollectionStartEvent, position: Position) -> None:
        if event.tag is not None:
            text = "tags are not used here: remove it, or put the text in quotes"
            self.findings.append(Finding(position, self._path(), text))


def _awaits_key(frame: _Frame) -> bool:
    return frame.key_at is None and isinstance(frame.node, MappingNode)


def _start(event: yaml.Event) -> Position:
    mark = event.start_mark
    return NOWHERE if mark is None else Position(mark.line + 1, mark.column + 1)


def is_null(node: Node) -> bool:
    """Return whether it is nothing, or null: a key with such a value is not given."""
    return isinstance(node, ScalarNode) and node.value is None


def describe(node: Node) -> str:
    """Return what it is, for `not …` in a mistake. Only for keys that are never a secret."""
    if isinstance(node, MappingNode):
        return "a mapping"
    if isinstance(node, ListNode):
        return "a list"
    return show(node.text) if isinstance(node.value, str) else show(node.text)[1:-1]
