"""Text in a configuration and in a message."""

from __future__ import annotations

import sys
import unicodedata

import pytest

from exporter.model.message import (
    Unacceptable,
    check_identity,
    check_text,
    escape_invisible,
    invisible_in,
    is_visible,
    one_line,
    show,
)


@pytest.mark.parametrize("text", ["", "a\nb", "a\x00", "\x85", "\u2028", "\ud800"])
def test_bad_text(text: str) -> None:
    """Empty text, control characters and lone surrogates are refused, with a message that does not repeat them."""
    with pytest.raises(Unacceptable) as caught:
        check_text(text)
    assert str(caught.value) in {"must not be empty", "must not hold control characters"}


@pytest.mark.parametrize("text", ['ümläut 🎉 "quoted"', " outer spaces ", "❤️ 👨‍👩‍👧", "می‌خواهم", "日本語"])
def test_good_text(text: str) -> None:
    """Any other text is returned as it is: emoji and Persian have joiners and variation selectors."""
    assert check_text(text) == text
    assert invisible_in(text) == ""


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("ab\u200bc", "U+200B (zero width space) at character 3"),
        ("\u00a0", "U+00A0 (no-break space) at character 1"),
        ("a\ufe0f", "U+FE0F (variation selector-16) at character 2"),
        ("\u200d", "U+200D (zero width joiner) at character 1"),
        ("ä\u200d\u200d", "U+200D (zero width joiner) at character 3"),
        ("ä\U000e0041", "U+E0041 (tag latin capital letter a) at character 2"),
        ("x\u034f", "U+034F (combining grapheme joiner) at character 2"),
        ("x\uffa0", "U+FFA0 (halfwidth hangul filler) at character 2"),
    ],
)
def test_invisible_text(text: str, found: str) -> None:
    """An invisible character is refused, with its number, its name and its place, and nothing else of the text."""
    with pytest.raises(Unacceptable) as caught:
        check_text(text)
    assert str(caught.value) == f"must not hold an invisible character: {found}"


def test_allowed() -> None:
    """Characters that a text may have are passed over."""
    assert invisible_in("a\tb\n", allowed="\t\n") == ""
    assert invisible_in("a\tb\u200b", allowed="\t\n") == "U+200B (zero width space) at character 4"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "must not be empty"),
        (" a", "must not begin with a space"),
        ("a ", "must not end with a space"),
        ("“a”", "must not be in typographic quotation marks"),
        ("a\u00a0", "must not hold an invisible character: U+00A0 (no-break space) at character 2"),
    ],
)
def test_bad_identity(text: str, message: str) -> None:
    """The name of a user has nothing around it."""
    with pytest.raises(Unacceptable) as caught:
        check_identity(text)
    assert str(caught.value) == message


@pytest.mark.parametrize("text", ["ops@example.com", "DOMAIN\\user name", "jörg", "“a” b"])
def test_identity(text: str) -> None:
    """Any other name is returned as it is."""
    assert check_identity(text) == text


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


INVISIBLE = [
    *"\0\t\n\r\x1b\x7f\x85\xa0\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b\u180d\u180e\u180f\u200b\u200e\u200f",
    *"\u2028\u202a\u202e\u2060\u2066\u206f\u2800\u3000\u3164\ufe00\ufe0f\ufeff\uffa0\ufff9\ud800\ue000",
    *"\U0001bca0\U0001d159\U0001d173\U00016fe4\U000e0001\U000e0041\U000e007f\U000e0100\U000e01ef\U0010ffff",
]


@pytest.mark.parametrize("character", INVISIBLE, ids=ascii)
def test_invisible(character: str) -> None:
    """What cannot be seen, or changes how other text is shown, is escaped wherever text is shown."""
    text = f"a{character}b"
    escaped = escape_invisible(text)
    assert escaped.startswith("a\\")
    assert escaped.endswith("b")
    assert escaped.isascii()
    assert escaped.isprintable()
    assert not is_visible(text)
    for shown in show(text), one_line(text):
        assert shown.startswith('"a\\')
        assert shown.isascii()
        assert shown.isprintable()


@pytest.mark.parametrize("text", ["", "a b", 'C:\\"x"', "é", "e\u0301", "пароль", "密码", "🎉", "한글", "ก็"], ids=ascii)
def test_visible(text: str) -> None:
    """What can be seen stays as it is, in any script; so does a backslash."""
    assert is_visible(text)
    assert escape_invisible(text) == text
    assert one_line(text) == text


def test_nothing_of_unicode_is_forgotten() -> None:
    """Every character that Unicode calls invisible by its nature is escaped: format, control, separator, unassigned."""
    seen = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
    for number in range(sys.maxunicode + 1):
        character = chr(number)
        if unicodedata.category(character) in seen or (character.isspace() and character != " "):
            assert not is_visible(character), ascii(character)
