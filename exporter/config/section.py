"""Reading the mappings of a file by their tables: every mistake is kept, and none is reported twice."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from exporter.config.mistake import AlreadyReported, KeyPath, Mistake, Position, nearest, show_path, unknown_key
from exporter.config.nodes import Document, Entry, ListNode, MappingNode, Node, compose, describe, is_null
from exporter.config.source import ConfigFiles, Unreadable, decode, read_file
from exporter.config.table import REQUIRED, Kind, ListOf, Names, Table, Value
from exporter.model.message import Unacceptable, show

_START = Position(1, 1)


class Section:
    """A mapping of a file, read by a table. A key whose value is null is one that is not given.

    Whether its values fit together is judged later, in `rules.py`.

    Attributes:
        values: The value of each key that is given and right.
        at: Where a missing key is reported: at the key of the mapping itself.
    """

    __slots__ = ("_entries", "_misspelt", "at", "path", "report", "table", "values")

    def __init__(
        self, table: Table, report: Report, node: MappingNode, path: KeyPath = (), at: Position = _START
    ) -> None:
        self.table = table
        self.report = report
        self.path = path
        self.at = at
        self.values: dict[str, Any] = {}
        self._entries = node.entries
        self._misspelt: set[str | None] = set()
        for name, entry in node.entries.items():
            if name not in table.keys and not report.is_trap(entry.position):
                report.add(entry.position, (*path, name), unknown_key(name, table.keys))
                self._misspelt.add(nearest(name, table.keys))
        for name, key in table.keys.items():
            if not self.given(name):
                if key.default == REQUIRED and name not in self._misspelt:
                    self.missing(name)
            elif key.refused:
                self.wrong(name, key.refused, at_value=False)
            elif (value := self._read(key.kind, node.entries[name], (*path, name))) is not None:
                self.values[name] = value

    @property
    def files(self) -> ConfigFiles:
        """The files that the configuration file names."""
        return self.report.files

    def is_trap(self, position: Position) -> bool:
        """As `Report.is_trap`."""
        return self.report.is_trap(position)

    def get(self, key: str) -> Any:
        """Return the value of a key, None if it is not given or is a mistake."""
        return self.values.get(key)

    def given(self, key: str) -> bool:
        """Return whether the key has a value here, right or wrong."""
        entry = self._entries.get(key)
        return entry is not None and not is_null(entry.node)

    def given_or_misspelt(self, key: str) -> bool:
        """Return whether the key is given, or probably misspelt; then it is not reported as missing as well."""
        return self.given(key) or key in self._misspelt

    def items(self, key: str) -> list[Node]:
        """Return the items of the list of a key, valid or not."""
        node = self._entries[key].node if key in self._entries else None
        return node.items if isinstance(node, ListNode) else []

    def wrong(self, key: str, text: str, *, at_value: bool = True) -> None:
        """Report a mistake about a key that is given."""
        entry = self._entries[key]
        self.report.add(entry.node.position if at_value else entry.position, (*self.path, key), text)

    def missing(self, key: str, text: str = "is missing") -> None:
        """Report that a key is missing."""
        self.report.add(self.at, (*self.path, key), text)

    def make(self, **more: Any) -> Any:
        """Return the settings object of a section without mistakes; `more` has the attributes that are no keys."""
        made = {
            self.table.keys[name].attribute: value.make() if isinstance(value, Section) else value
            for name, value in self.values.items()
        }
        return self.table.model(**{**made, **more})

    def _read(self, kind: Kind, entry: Entry, path: KeyPath) -> Any:
        """Return the value of an entry, a section for a table; None for a mistake, which is then reported."""
        if isinstance(kind, Table):
            node = self._mapping(entry, path, f" with the keys {', '.join(kind.keys)}")
            return None if node is None else Section(kind, self.report, node, path, entry.position)
        if isinstance(kind, Names):
            return self._names(kind, entry, path)
        if self.report.is_trap(entry.node.position):
            return None
        if isinstance(kind, ListOf):
            return self._list(kind, entry, path)
        try:
            return kind.read(entry.node, self)
        except AlreadyReported:
            return None
        except Unacceptable as mistake:
            self.report.add(entry.node.position, path, str(mistake))
            return None

    def _list(self, kind: ListOf, entry: Entry, path: KeyPath) -> tuple[Any, ...] | None:
        if not isinstance(entry.node, ListNode):
            such = f" such as [{kind.example}]" if kind.example else ""
            self.report.add(entry.node.position, path, f"must be a list{such}, not {describe(entry.node)}")
            return None
        values: list[Any] = []
        for index, item in enumerate(entry.node.items):
            place = (*path, f"[{index}]")
            value = self._read(kind.of, Entry(item.position, item), place)
            if kind.unique and value is not None and value in values:
                self.report.add(item.position, place, f"{value} is in the list already")
            elif value is not None:
                values.append(value)
        return tuple(values)

    def _names(self, kind: Names, entry: Entry, path: KeyPath) -> Mapping[str, Any] | None:
        node = self._mapping(entry, path, " of names")
        if node is None:
            return None
        values = {}
        for name, inner in node.entries.items():
            has_none = is_null(inner.node) and isinstance(kind.of, Value)
            if has_none and not kind.if_null:
                continue
            if not self.report.is_trap(inner.position):
                try:
                    kind.check(name)
                except Unacceptable as mistake:
                    self.report.add(inner.position, (*path, name), str(mistake))
            if has_none:
                self.report.add(inner.position, (*path, name), kind.if_null)
            else:
                values[name] = self._read(kind.of, inner, (*path, name))
        return MappingProxyType(values)

    def _mapping(self, entry: Entry, path: KeyPath, wanted: str) -> MappingNode | None:
        """Return the mapping of an entry, an empty one for null; None for anything else, which is then reported."""
        if isinstance(entry.node, MappingNode):
            return entry.node
        if is_null(entry.node):
            return MappingNode(entry.node.position, {})
        if not self.report.is_trap(entry.node.position):
            self.report.add(entry.node.position, path, f"must be a mapping{wanted}")
        return None


class Report:
    """The mistakes of one file.

    Args:
        file: Its name, for people to read.
        table: The keys that it can have.
        files: The files that it names.
    """

    def __init__(self, file: str, table: Table, files: ConfigFiles) -> None:
        self.file = file
        self.table = table
        self.files = files
        self.mistakes: list[Mistake] = []
        self._traps: frozenset[Position] = frozenset()

    def read_file(self, path: Path, wanted: str, empty: str | None) -> Section | None:
        """Return the mapping in a file, as `read` does."""
        try:
            text = decode(read_file(path))
        except Unreadable as error:
            self.add(error.position, (), str(error))
            return None
        return self.read(text, wanted, empty)

    def read(self, text: str, wanted: str, empty: str | None) -> Section | None:
        """Return the mapping in a text, None if there is none; `wanted` and `empty` are for `compose`."""
        document = compose(text, wanted, empty)
        self._add_findings(document)
        return None if document.root is None else Section(self.table, self, document.root)

    def add(self, at: Position, path: KeyPath, text: str) -> None:
        """Keep a mistake; its path is cut where a secret may begin."""
        self.mistakes.append(Mistake(self.file, at.line, at.column, show_path(locate(path, self.table)[0]), text))

    def is_trap(self, position: Position) -> bool:
        """Return whether the value at a position was reported as a trap, so that it is not used."""
        return position in self._traps

    def _add_findings(self, document: Document) -> None:
        """Keep what is wrong with the text as YAML, and report nothing more about the same places."""
        literals = set()
        for finding in document.findings:
            shown, value = locate(finding.path, self.table)
            if finding.value is None:
                text = finding.text
            elif value is not None and value.is_secret and not finding.of_key:
                literals.add(finding.position)
                continue  # to quote it is no remedy: a secret must not be here at all, and its reader reports that
            elif value is not None or (finding.of_key and shown == finding.path):
                text = f"{show(finding.value)} {finding.text}"
            else:
                text = "is read differently by some YAML parsers; put it in quotes"
            self.add(finding.position, finding.path, text)
        self._traps = document.traps - literals


def locate(path: KeyPath, root: Table) -> tuple[KeyPath, Value | None]:
    """Return as much of a path as may be shown, and the declaration of the value at its end, None if there is none.

    Nothing below a secret is shown, nor below a key that is not known: it may be a misspelt secret.
    """
    kind: Kind = root
    for index, step in enumerate(path):
        if isinstance(kind, Value):
            return path[:index], None
        if not isinstance(kind, Table):
            kind = kind.of
        elif step in kind.keys:
            kind = kind.keys[step].kind
        else:
            return path[: index + 1], None
    return path, kind if isinstance(kind, Value) else None
