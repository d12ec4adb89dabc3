"""Mistakes as lines of text."""

import pytest

from exporter.config.mistake import ConfigError, KeyPath, Mistake, nearest, show_path, unknown_key
from exporter.model.message import show


def test_line() -> None:
    """A mistake is one line with its place, its path and its text."""
    mistake = Mistake("c.yml", 3, 9, "endpoints.imap.port", 'must be a whole number from 1 to 65535, not "abc"')
    assert str(mistake) == 'c.yml:3:9: endpoints.imap.port: must be a whole number from 1 to 65535, not "abc"'


def test_line_without_place() -> None:
    """A mistake of the whole file has neither line nor path."""
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
def test_path(path: KeyPath, shown: str) -> None:
    """A path is keys with dots between them, odd ones in quotes."""
    assert show_path(path) == shown


def test_show_cuts() -> None:
    """A long text is cut, so that its line can be read."""
    assert show("x" * 65) == '"' + "x" * 64 + '…"'


def test_nearest() -> None:
    """The nearest word is suggested, whatever its case, and none if nothing is near."""
    assert nearest("INTERVALL", ("interval", "login_interval")) == "interval"
    assert nearest("x" * 1_000_000, ("interval",)) is None
    assert unknown_key("Interval", ("interval", "host")) == 'unknown key; did you mean "interval"?'
    assert unknown_key("x", ("interval", "host")) == "unknown key; known here: interval, host"
