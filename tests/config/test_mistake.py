"""Mistakes as lines of text."""

import pytest

from exporter.config.mistake import ConfigError, Mistake, Path, show_path
from exporter.model.text import show


def test_line() -> None:
    """A mistake is one line with its place, its path and its text."""
    mistake = Mistake("c.yml", 3, 9, "endpoints.imap.port", 'must be a whole number from 1 to 65535, not "abc"')
    assert str(mistake) == 'c.yml:3:9: endpoints.imap.port: must be a whole number from 1 to 65535, not "abc"'


def test_line_without_place() -> None:
    """What is wrong with a whole file has neither line nor path."""
    assert str(Mistake("c.yml", 0, 0, "", "does not exist")) == "c.yml: does not exist"


def test_file_name_with_a_newline() -> None:
    """A mistake stays one line whatever the file is called."""
    assert str(Mistake("a\nb", 1, 1, "", "x")) == '"a\\nb":1:1: x'


def test_error_sorts_and_drops_repetitions() -> None:
    """The mistakes of an error are in the order of the file, each once."""
    first, second = Mistake("c", 2, 1, "a", "x"), Mistake("c", 10, 1, "a", "x")
    error = ConfigError([second, first, second])
    assert error.mistakes == (first, second)
    assert str(error) == "c:2:1: a: x\nc:10:1: a: x"


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ((), ""),
        (("endpoints", "imap", "folders", "[1]"), "endpoints.imap.folders[1]"),
        (("a b", 'c"d'), '"a b"."c\\"d"'),
        (("a", "[x]", "[x"), 'a."[x]"."[x"'),
        (("ü", ""), '"ü".""'),
    ],
)
def test_path(path: Path, shown: str) -> None:
    """A path is keys with dots between them, odd ones in quotes."""
    assert show_path(path) == shown


def test_show_cuts() -> None:
    """A long text is cut, so that a line stays one that people read."""
    assert show("x" * 65) == '"' + "x" * 64 + '…"'
