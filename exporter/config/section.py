"""Reading one mapping of the configuration, key by key, with every mistake kept and none reported twice."""

from collections.abc import Callable, Iterator
from typing import TypeVar

from exporter.config.document import Document, Entry, Mapping, Node, is_null
from exporter.config.keys import CONFIGURATION, Kind, is_secret, keys_at, nearest, public_part, unknown_key
from exporter.config.mistake import AlreadyTold, Mistake, Path, Position, show_path
from exporter.model.text import Unacceptable, show

T = TypeVar("T")


class Report:
    """The mistakes of one file, and the keys that such a file can have."""

    def __init__(self, file: str, keys: Kind = CONFIGURATION) -> None:
        self.file = file
        self.keys = keys
        self.mistakes: list[Mistake] = []
        self._traps: frozenset[Position] = frozenset()

    def add(self, at: Position, path: Path, text: str) -> None:
        """Keep a mistake; its path is cut where a secret may begin."""
        self.mistakes.append(Mistake(self.file, at.line, at.column, show_path(public_part(path, self.keys)[0]), text))

    def add_findings(self, document: Document) -> None:
        """Keep what is wrong with the text as YAML, and say nothing more about what stands in the same places."""
        literals = {
            one.position
            for one in document.findings
            if one.value is not None and not one.of_key and is_secret(one.path, self.keys)
        }
        self._traps = document.traps - literals
        for finding in document.findings:
            if finding.position in literals:
                continue  # no quotes make a literal secret right: reading the account says what does
            shown, may_show = public_part(finding.path, self.keys)
            text = finding.text
            if finding.value is not None:
                if may_show or (finding.of_key and shown == finding.path):
                    text = f"{show(finding.value)} {text}"
                else:
                    text = "is read differently by some YAML parsers; put it in quotes"
            self.add(finding.position, finding.path, text)

    def is_trap(self, position: Position) -> bool:
        """Return whether what stands there was reported as a trap, so that its value means nothing."""
        return position in self._traps

    def attempt(self, node: Node, path: Path, convert: Callable[[Node], T]) -> T | None:
        """Return what `convert` makes of a node, or None where that is a mistake."""
        if self.is_trap(node.position):
            return None
        try:
            return convert(node)
        except AlreadyTold:
            return None
        except Unacceptable as mistake:
            self.add(node.position, path, str(mistake))
            return None


class Section:
    """A mapping that is being read. A key whose value is null is one that was not said.

    Args:
        report: Where mistakes go.
        node: The mapping.
        path: Where it is.
        at: Where to say that one of its keys is missing: the key of the mapping itself.
        named: Its keys are names that the operator chose, not words that this program knows.
    """

    def __init__(self, report: Report, node: Mapping, path: Path, at: Position, *, named: bool = False) -> None:
        self.report = report
        self.path = path
        self.at = at
        self._entries = node.entries
        self._misspelt: set[str | None] = set()
        if named:
            return
        known = keys_at(path, report.keys)
        for key, entry in node.entries.items():
            if key not in known and not report.is_trap(entry.position):
                report.add(entry.position, (*path, key), unknown_key(key, known))
                self._misspelt.add(nearest(key, known))

    def said(self, key: str) -> bool:
        """Return whether the key has a value here."""
        return self.node(key) is not None

    def meant(self, key: str) -> bool:
        """Return whether the key was said, if only misspelt: that it is missing would follow from that."""
        return self.said(key) or key in self._misspelt

    def node(self, key: str) -> Node | None:
        """Return the value of a key, None where it was not said."""
        entry = self._entries.get(key)
        return None if entry is None or is_null(entry.node) else entry.node

    def place(self, key: str) -> Position:
        """Return where the key stands."""
        return self._entries[key].position

    def read(self, key: str, convert: Callable[[Node], T]) -> T | None:
        """Return what `convert` makes of a key's value, None where it was not said or is a mistake."""
        node = self.node(key)
        return None if node is None else self.report.attempt(node, (*self.path, key), convert)

    def need(self, key: str, convert: Callable[[Node], T]) -> T | None:
        """Like `read`, and it is a mistake not to say it."""
        if not self.meant(key):
            self.report.add(self.at, (*self.path, key), "is missing")
        return self.read(key, convert)

    def section(self, key: str, *, named: bool = False) -> "Section | None":
        """Return the mapping under a key, None where it was not said or is no mapping."""
        if self.node(key) is None:
            return None
        return self._section(key, self._entries[key], named=named)

    def sections(self) -> "Iterator[tuple[str, Section | None]]":
        """Yield the mapping under each key; what is not said is an empty one, what is no mapping is None."""
        for key, entry in self._entries.items():
            yield key, self._section(key, entry)

    def names(self) -> Iterator[str]:
        """Yield every key, also where nothing was said."""
        return iter(self._entries)

    def values(self) -> Iterator[tuple[str, Entry]]:
        """Yield every key that was said, with its place and its value."""
        return ((key, entry) for key, entry in self._entries.items() if not is_null(entry.node))

    def wrong(self, key: str, text: str, *, at_value: bool = True) -> None:
        """Keep a mistake about a key that was said."""
        entry = self._entries[key]
        self.report.add(entry.node.position if at_value else entry.position, (*self.path, key), text)

    def _section(self, key: str, entry: Entry, *, named: bool = False) -> "Section | None":
        path = (*self.path, key)
        node = Mapping(entry.node.position, {}) if is_null(entry.node) else entry.node
        if isinstance(node, Mapping):
            return Section(self.report, node, path, entry.position, named=named)
        if not self.report.is_trap(node.position):
            self.report.add(node.position, path, f"must be a mapping{_of(keys_at(path, self.report.keys))}")
        return None


def _of(keys: tuple[str, ...]) -> str:
    return " of names" if keys == ("*",) else f" with the keys {', '.join(keys)}"
