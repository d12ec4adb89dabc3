"""Text in a configuration and in a message."""

from __future__ import annotations

import pytest

from exporter.model.message import Unacceptable, check_text, one_line, show


@pytest.mark.parametrize("text", ["", "a\nb", "a\x00", "\x85", "\u2028", "\ud800"])
def test_bad_text(text: str) -> None:
    """Empty text, control characters and lone surrogates are refused, with a message that does not repeat them."""
    with pytest.raises(Unacceptable) as caught:
        check_text(text)
    assert str(caught.value) in {"must not be empty", "must not hold control characters"}


def test_good_text() -> None:
    """Any other text is returned as it is."""
    assert check_text('ümläut 🎉 "quoted"') == 'ümläut 🎉 "quoted"'


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a", '"a"'),
        ('a"b', '"a\\"b"'),
        ("ü", '"ü"'),
        ("a\x1b[2J", '"a\\u001b[2J"'),
        ("x" * 65, '"' + "x" * 64 + '…"'),
    ],
)
def test_show(text: str, shown: str) -> None:
    """Text is shown in quotes on one line, escaped where it is not printable, and cut where it is long."""
    assert show(text) == shown


def test_one_line() -> None:
    """Printable text stays as it is; any other is escaped."""
    assert one_line("/etc/gmail exporter.yml") == "/etc/gmail exporter.yml"
    assert one_line("a\nb") == '"a\\nb"'
