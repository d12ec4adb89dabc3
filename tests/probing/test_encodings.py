"""What can be decoded from a text is read, and each character's origin is known."""

from __future__ import annotations

import html
import json
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.probing.encodings import readings, unescape
from exporter.probing.pieces import letters, letters_at

SECRET = "Xqzd fgHijk-LMnop9"
FORM = letters(SECRET)


def origins(text: str, *, wide: bool = False, form: str = FORM) -> set[str]:
    """The parts of a text that are read as the secret, in any way."""
    found = set()
    for reading in readings(text, wide=wide):
        at = letters(reading.text).find(form)
        if at >= 0:
            places = letters_at(reading.text)
            begin, end = reading.origin((places[at], places[at + len(form) - 1] + 1))
            found.add(text[begin:end])
    return found


def mutf7(text: str) -> str:
    """IMAP's modified UTF-7 (RFC 3501 §5.1.3), of every character."""
    return f"&{b64encode(text.encode('utf-16-be')).decode().rstrip('=').replace('/', ',')}-"


OCTETS = SECRET.encode()
CODES: dict[str, str] = {
    "as it is": SECRET,
    "capitals": SECRET.upper(),
    "percent": "".join(f"%{octet:02x}" for octet in OCTETS),
    "percent where needed": quote(SECRET),
    "percent of percent": quote(quote("".join(f"%{octet:02X}" for octet in OCTETS))),
    "percent u": "".join(f"%u{octet:04x}" for octet in OCTETS),
    "percent, invisible within": "".join(f"%{octet:02x}" for octet in OCTETS).replace("%", "%\u200b"),
    "quoted-printable": "".join(f"={octet:02X}" for octet in OCTETS),
    "html decimal": "".join(f"&#{octet};" for octet in OCTETS),
    "html hexadecimal": "".join(f"&#x{octet:x};" for octet in OCTETS),
    "backslash x": "".join(f"\\x{octet:02x}" for octet in OCTETS),
    "backslash u": "".join(f"\\u{octet:04x}" for octet in OCTETS),
    "backslash u braces": "".join(f"\\u{{{octet:x}}}" for octet in OCTETS),
    "backslash U": "".join(f"\\U{octet:08x}" for octet in OCTETS),
    "octal": "".join(f"\\{octet:03o}" for octet in OCTETS),
    "modified UTF-7": mutf7(SECRET),
    "hexadecimal": OCTETS.hex(),
    "hexadecimal capitals": OCTETS.hex().upper(),
    "hexadecimal colons": OCTETS.hex(":"),
    "hexadecimal 0x": ", ".join(f"0x{octet:02x}" for octet in OCTETS),
    "hexadecimal of UTF-16": SECRET.encode("utf-16-be").hex(),
    "base64": b64encode(OCTETS).decode(),
    "base64 within, 1": b64encode(b"x" + OCTETS + b"x").decode(),
    "base64 within, 2": b64encode(b"xy" + OCTETS + b"xy").decode(),
    "base64 for URLs": urlsafe_b64encode(b"?>?" + OCTETS).decode(),
    "base64 without padding": b64encode(OCTETS).decode().rstrip("="),
    "base64 of UTF-16": b64encode(SECRET.encode("utf-16-le")).decode(),
    "base64 in lines": "\n".join(b64encode(OCTETS).decode()[at : at + 8] for at in range(0, 24, 8)),
    "base64, invisible within": "\u2060".join(b64encode(OCTETS).decode()),
    "base64 of hexadecimal in lines": "NTg3MTdhNj\n\nQyMDY2Njc0ODY5NmE2\nYjJkNGM0ZDZlNmY3MDM5",
    "base64 of base64": b64encode(b"x" + b64encode(OCTETS)).decode(),
    "base64 of percent": b64encode("".join(f"%{octet:02x}" for octet in OCTETS).encode()).decode(),
    "base64 of JSON": b64encode(json.dumps({"password": SECRET}).encode()).decode(),
    "percent of base64": quote(b64encode(b"\xff\xfe\xfd" + OCTETS).decode(), safe=""),
    "hexadecimal of base64": b64encode(OCTETS).hex(),
    "base64 of hexadecimal": b64encode(OCTETS.hex().encode()).decode(),
    "html of percent": html.escape("".join(f"&%{octet:02x}" for octet in OCTETS)),
}  # fmt: skip


@pytest.mark.parametrize("code", CODES.values(), ids=CODES)
@pytest.mark.parametrize("around", ["{}", "NO you sent {} to me", '{{"a": "{}"}}', "user={}&x=y", "535 5.7.8 <{}>"])
@pytest.mark.parametrize("wide", [False, True])
def test_codes(code: str, around: str, wide: bool) -> None:
    """A secret is read in any encoding, whatever stands around it, and where it is."""
    text = around.format(code)
    found = origins(text, wide=wide)
    assert found
    assert min(map(len, found)) <= len(code) + 3  # the 0x before the first octet may be left
    assert any(part in code or code in part for part in found)


@pytest.mark.parametrize("secret", ["wörd пароль", "密码密码密码密码", "🔒é🔒éabcdef"])
@pytest.mark.parametrize(
    "encode",
    [
        quote,
        mutf7,
        json.dumps,
        lambda text: text.encode().hex(),
        lambda text: b64encode(text.encode()).decode(),
        lambda text: b64encode(b"x" + text.encode()).decode(),
        lambda text: text.encode("unicode_escape").decode(),
        lambda text: text.encode("ascii", "xmlcharrefreplace").decode(),
        lambda text: "".join(f"\\x{octet:02x}" for octet in text.encode()),
    ],
)
def test_more_than_ascii(secret: str, encode: Callable[[str], str]) -> None:
    """So is one of any script."""
    code = encode(secret)
    [*found] = origins(f"x {code} y", wide=True, form=letters(secret))
    assert found
    assert all(len(part) <= len(code) for part in found)


def test_latin_1() -> None:
    """Octets that are not UTF-8 are read as Latin-1, as a server's line is escaped that holds them."""
    line = "NO wörd".encode("latin-1").decode("utf-8", "backslashreplace")
    assert line == "NO w\\xf6rd"
    assert "NO wörd" in {reading.text for reading in readings(line)}


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("100%", "100%"),
        ("100%25", "100%"),
        ("AUTH=DEAD LIMIT=35", "AUTH=DEAD LIMIT=35"),
        ("a=3Db c=41=\n=42=\n43", "a=b cABC"),
        ("a &amp;amp; b", "a & b"),
        ("&nosuchthing; &", "&nosuchthing; &"),
        ("&-", "&"),
        ("T&APw-m", "Tüm"),
        (r"\"a\\b\"", '"a\\b"'),
        (r"\HasNoChildren \u00", r"\HasNoChildren \u00"),
        (r"\U00110000 \u{110000}", r"\U00110000 \u{110000}"),
        ("\\ud83d\\ude00", "😀"),
        ("%C3%A9%E9", "éé"),
        ("", ""),
    ],
)
def test_unescape(text: str, plain: str) -> None:
    """Escapes are undone, those in others too, and what is none stays."""
    assert unescape(text) == plain


def test_ordinary_text() -> None:
    """An ordinary line is read as it is, and as octets at each digit, and no more: it is all that costs."""
    kinds = [type(reading).__name__ for reading in readings("* CAPABILITY IMAP4rev1 IDLE AUTH=PLAIN SASL-IR")]
    assert kinds == ["_Original"] + ["_Base64"] * 4


ANY = st.text(st.one_of(st.characters(), st.sampled_from('%&=\\"#xXuU0123456789abcdefABCDEF;-+/,_ \n')), max_size=80)


@given(text=ANY, wide=st.booleans())
def test_any_text(text: str, wide: bool) -> None:
    """Any text can be read, and every part of every reading comes from a part of the text."""
    for reading in readings(text, wide=wide):
        shown = letters_at(reading.text)
        for begin in shown:
            first, last = reading.origin((begin, begin + 1))
            assert 0 <= first < last <= len(text)
        if shown:
            first, last = reading.origin((shown[0], shown[-1] + 1))
            assert 0 <= first < last <= len(text)


@given(text=ANY)
def test_bounded(text: str) -> None:
    """What is read is at most a fixed multiple of the text."""
    found = [reading.text for reading in readings(text * 3)]
    assert len(found) <= 240
    assert all(len(one) <= len(text) * 3 + 3 for one in found)
