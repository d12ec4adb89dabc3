"""YAML → data with positions: what the bad files do not show."""

import pytest

from exporter.config.mistake import Position
from exporter.config.nodes import MAX_DEPTH, MAX_VALUES, ListNode, MappingNode, ScalarNode, compose, describe

ROOT = ("the key a", "is empty")


def root(text: str) -> MappingNode:
    document = compose(text, *ROOT)
    assert document.root is not None
    assert document.findings == []
    return document.root


def only(text: str) -> tuple[tuple[int, int], str]:
    """Return the only finding of a text that cannot be read."""
    document = compose(text, *ROOT)
    assert document.root is None
    (finding,) = document.findings
    return finding.position, finding.text


def test_positions() -> None:
    """Every key and value knows its line and column, counted in characters from 1."""
    mapping = root("a: 1\nü:\n  - 'x'\n  - {ö: z}\n")
    assert mapping.entries["a"] == ((1, 1), ScalarNode((1, 4), 1, "1"))  # type: ignore[arg-type]
    assert mapping.entries["ü"].position == (2, 1)
    items = mapping.entries["ü"].node
    assert isinstance(items, ListNode)
    assert [item.position for item in items.items] == [(3, 5), (4, 5)]
    inner = items.items[1]
    assert isinstance(inner, MappingNode)
    assert inner.entries["ö"].position == (4, 6)
    assert inner.entries["ö"].node.position == (4, 9)


def test_quotes_make_text() -> None:
    """Quoted and block scalars are text, whatever they look like."""
    entries = root("a: 'no'\nb: \"10:30\"\nc: |-\n  010\n").entries
    assert [entry.node for entry in entries.values() if isinstance(entry.node, ScalarNode)] == [
        ScalarNode(entries["a"].node.position, "no", "no"),
        ScalarNode(entries["b"].node.position, "10:30", "10:30"),
        ScalarNode(entries["c"].node.position, "010", "010"),
    ]


def test_alias() -> None:
    """An alias is the value of its anchor, of the last one if there are several."""
    entries = root("a: &x [1]\nb: *x\nc: &x 2\nd: *x\n").entries
    assert entries["b"].node is entries["a"].node
    assert entries["d"].node is entries["c"].node


def test_merge() -> None:
    """Merged keys come after the mapping's own, those of earlier mappings before those of later ones."""
    entries = root("a: &a {x: 1, v: 1, z: 1}\nb: &b {v: 2, w: 2}\nc:\n  <<: [*b, *a]\n  x: 3\n").entries
    merged = entries["c"].node
    assert isinstance(merged, MappingNode)
    values = {key: entry.node.value for key, entry in merged.entries.items() if isinstance(entry.node, ScalarNode)}
    assert values == {"x": 3, "v": 2, "w": 2, "z": 1}
    assert merged.entries["w"].position == (2, 14)


def test_quoted_merge_key_is_a_key() -> None:
    """In quotes << is a key like any other."""
    assert list(root("'<<': 1\n").entries) == ["<<"]


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n", "---\n...\n", "~", "null\n"])
def test_empty(text: str) -> None:
    """A text without a document, or with nothing in it, is empty."""
    assert only(text) == ((0, 0), "is empty")


def test_another_kind_of_file() -> None:
    """Another kind of file has other keys, and may be empty."""
    assert compose("", "", empty=None).root == MappingNode(Position(0, 0), {})
    assert [finding.text for finding in compose("", "", empty="no")[1]] == ["no"]
    assert [finding.text for finding in compose("- a", "the key b", None)[1]] == ["must be a mapping with the key b"]


def test_one_document_may_be_marked() -> None:
    """The marks around a single document are fine, and so is a directive."""
    assert list(root("%YAML 1.2\n---\na: 1\n...\n").entries) == ["a"]


def test_alias_bomb() -> None:
    """Aliases of aliases end at the limit, without using time or memory."""
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n"
    bomb += "".join(f"a{n + 1}: &a{n + 1} [{', '.join([f'*a{n}'] * 9)}]\n" for n in range(20))
    position, text = only(bomb)
    assert text == f"more than {MAX_VALUES} values, aliases written out"
    assert position[0] == 6


def test_merge_bomb() -> None:
    """A merged mapping counts as if it was written out."""
    bomb = "a0: &a0 {" + ", ".join(f"k{n}: x" for n in range(1000)) + "}\n"
    bomb += "".join(f"b{n}:\n  <<: [{', '.join(['*a0'] * 9)}]\n" for n in range(200))
    assert only(bomb)[1] == f"more than {MAX_VALUES} values, aliases written out"


def test_depth() -> None:
    """Nesting ends at the limit, and not before it."""
    assert compose("a: " + "[" * (MAX_DEPTH - 1) + "]" * (MAX_DEPTH - 1), *ROOT).root is not None
    too_deep = f"nested more than {MAX_DEPTH} levels deep"
    assert only("a: " + "[" * MAX_DEPTH + "]" * MAX_DEPTH) == ((1, 35), too_deep)
    assert only("[" * 100_000)[1] == too_deep


def test_depth_of_aliases() -> None:
    """An alias counts as deep as its value."""
    text = "a: &a " + "[" * 20 + "]" * 20 + "\nb: " + "[" * 12 + "*a" + "]" * 12 + "\n"
    assert only(text) == ((2, 16), f"nested more than {MAX_DEPTH} levels deep")
    assert compose(text.replace("[" * 12, "[" * 11).replace("]" * 12, "]" * 11, 1), *ROOT).findings != []


def test_describe() -> None:
    """A value is described by its kind, text in quotes, any other scalar as it is written."""
    entries = root("a: {}\nb: []\nc: '1'\nd: 1.50\n").entries
    assert [describe(entry.node) for entry in entries.values()] == ["a mapping", "a list", '"1"', "1.50"]
