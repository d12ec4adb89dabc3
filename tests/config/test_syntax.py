"""Why a text is not YAML, in texts of our own."""

import pytest
import yaml

from exporter.config.syntax import explain


@pytest.mark.parametrize("loader", [yaml.SafeLoader, yaml.CSafeLoader])
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('a: "b', "the quote that opens here is never closed"),
        ('a: "b\n---\n', "the quote that opens here is never closed"),
        ("a: [b", "the list that opens here is never closed, or lacks a comma"),
        ("a: {b", "the mapping that opens here is never closed, or lacks a comma"),
        ("a: b: c", 'a ": " cannot stand here: put the text in quotes, or correct the indentation'),
        ("a: %b", "a tab, or one of % @ `, cannot start a value: use spaces, or put the text in quotes"),
        ('a: "\\q"', "no such escape in double quotes: write \\\\ for a backslash, or use single quotes"),
        ('a: "\\x4"', "no such escape in double quotes: write \\\\ for a backslash, or use single quotes"),
        ("a: !b!c d", "tags are not used here: remove it, or put the text in quotes"),
        ("}", "is not YAML from here on: a bracket, a quote or the indentation is wrong"),
    ],
)
def test_kinds(loader: type[yaml.SafeLoader], text: str, expected: str) -> None:
    """A kind of mistake has the same text with libyaml and with PyYAML's own parser."""
    with pytest.raises(yaml.YAMLError) as caught:
        list(yaml.parse(text, Loader=loader))
    position, why = explain(caught.value)
    assert why == expected
    assert position.line >= 1


def test_without_a_mark() -> None:
    """An error without a position still has a text."""
    assert explain(yaml.YAMLError()) == (
        (0, 0),
        "is not YAML from here on: a bracket, a quote or the indentation is wrong",
    )
