"""Personal parts of links."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.probing.links import brackets, may_have_links, personal_parts

LINK = "https://accounts.google.com/signin/continue"


def personal(text: str) -> list[str]:
    """The personal parts, in order."""
    return [text[begin:end] for begin, end in sorted(personal_parts(text))]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        (f"{LINK}?a=b c", ["a=b"]),
        (f"[WEBALERT {LINK}?a=b] c", ["a=b"]),
        (f"<{LINK}?a=b c> d", ["a=b c"]),
        (f"<{LINK}?a=b c", ["a=b c"]),
        (f"<{LINK} x?a=b> d", ["a=b"]),
        (f"{LINK} x?a=b", []),
        (f"{LINK}{LINK}?a=b", ["a=b"]),
        (f"{LINK}?a=b{LINK}?c=d e", [f"a=b{LINK}?c=d"]),
        (f"{LINK}<{LINK} x?q>", ["q"]),
        (f"{LINK}?a<{LINK} x?q> y", ["a", "q"]),
        (f"{LINK.upper()}?A=B", ["A=B"]),
        ("http://accounts.google.com/?a", ["a"]),
        ("https://accounts.google.com.example/?a", []),
        ("https://support.google.com/mail/?p=BadCredentials", []),
        (f"{LINK}?", [""]),
        ("plt=", []),
        ("Xplt=a&b plt=c", ["a", "c"]),
        ("534-5.7.14 abcdefghijklmnop", ["abcdefghijklmnop"]),
        ("534-5.7.14 Please", []),
    ],
)
def test_personal_parts(text: str, parts: list[str]) -> None:
    """The query of a sign-in link is personal, wherever the link is broken, and so is each value of plt."""
    assert personal(text) == parts
    assert may_have_links(text) or not any(parts)


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (f"<{LINK}?q> x", f"{LINK}?q x"),
        (f"<{LINK}?q", f"{LINK}?q"),
        (f"<{LINK}> x", f"<{LINK}> x"),
        (f"{LINK}?q>", None),
    ],
)
def test_brackets(text: str, left: str | None) -> None:
    """Brackets go with the query between them, and stay around a link without one."""
    found = sorted(brackets(text), reverse=True)
    shown = text
    for begin, end in found:
        shown = shown[:begin] + shown[end:]
    assert shown == (left or text)


@given(st.lists(st.sampled_from([LINK, "<", ">", "?", " ", "]", "a", "plt=", "534-5.7.14 "])).map("".join))
def test_any_text(text: str) -> None:
    """Parts are within the text, for any text that is made of what matters here."""
    for begin, end in [*personal_parts(text), *brackets(text)]:
        assert 0 <= begin <= end <= len(text)
