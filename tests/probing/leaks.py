"""The judge of the tests of redaction: what a server may write, and what a reader could get out of what is shown.

It uses the decoders of the standard library, and nothing of the redaction.
"""

from __future__ import annotations

import base64
import binascii
import html
import json
import quopri
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from urllib.parse import quote, unquote

from exporter.probing.redact import REDACTED

LEAST = 6
"""Characters of a piece of a secret."""


def survivors(shown: str, secret: str) -> set[str]:
    """Return the pieces of a secret that can be got out of a text that was redacted; a short one as a whole."""
    pieces = _pieces(_marks(secret)) | _pieces(_letters(secret))
    found: set[str] = set()
    for part in shown.split(REDACTED):
        for reading in _readings(part):
            for form in _marks(reading), _letters(reading):
                found |= {piece for piece in pieces if piece in form}
    return found


def _pieces(text: str) -> set[str]:
    if len(text) < LEAST:
        return set()
    return {text[at : at + LEAST] for at in range(len(text) - LEAST + 1)}


def _marks(text: str) -> str:
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    gone = {"Cc", "Cf", "Zs", "Zl", "Zp"}
    return "".join(one for one in folded if unicodedata.category(one) not in gone and one not in "\u034f\u3164\ufe0f")


def _letters(text: str) -> str:
    return "".join(filter(str.isalnum, _marks(text)))


def _readings(text: str, depth: int = 2) -> Iterator[str]:
    """Yield the text, and everything that can be decoded from it."""
    yield text
    if depth:
        for decoded in _decoded(text):
            if decoded != text:
                yield from _readings(decoded, depth - 1)


def _decoded(text: str) -> Iterable[str]:
    yield unquote(text)
    yield html.unescape(text)
    yield re.sub(r"\\x([0-9a-fA-F]{2})|\\u([0-9a-fA-F]{4})", lambda found: chr(int(found[1] or found[2], 16)), text)
    yield quopri.decodestring(text.encode("utf-8", "replace")).decode("utf-8", "replace")
    together = re.sub(r"\s", "", text)
    for digits in re.findall(r"[0-9A-Za-z+/_,-]{8,}", together):
        alphabet = digits.translate(str.maketrans("-_,", "+//"))
        for begin in range(4):
            some = alphabet[begin:]
            raw = base64.b64decode(some[: len(some) - (len(some) % 4 == 1)] + "=" * (-len(some) % 4))
            yield raw.decode("utf-8", "replace").replace("\0", "")
    for digits in re.findall(r"[0-9a-fA-F]{12,}", re.sub(r"0x|[^0-9A-Za-z]", "", together)):
        for begin in range(2):
            some = digits[begin:]
            yield binascii.unhexlify(some[: len(some) // 2 * 2]).decode("utf-8", "replace").replace("\0", "")


def _octets(text: str, form: str) -> str:
    return "".join(form.format(octet) for octet in text.encode())


def _base64(before: bytes, text: str, after: bytes = b"") -> str:
    return base64.b64encode(before + text.encode() + after).decode()


def _between(text: str, separator: str) -> str:
    return separator.join(text)


ENCODERS: Mapping[str, Callable[[str], str]] = {
    "as it is": str,
    "capitals": str.upper,
    "small letters": str.lower,
    "without spaces": lambda text: text.replace(" ", ""),
    "spaces": lambda text: _between(text, " "),
    "hyphens": lambda text: _between(text, "-"),
    "zero-width spaces": lambda text: _between(text, "\u200b"),
    "soft hyphens": lambda text: _between(text, "\u00ad"),
    "variation selectors": lambda text: _between(text, "\ufe0f"),
    "tags": lambda text: _between(text, "\U000e0041"),
    "full width": lambda text: "".join(chr(ord(one) + 0xFEE0) if "!" <= one <= "~" else one for one in text),
    "quoted": lambda text: text.replace("\\", "\\\\").replace('"', '\\"'),
    "json": json.dumps,
    "repr": repr,
    "hexadecimal": lambda text: text.encode().hex(),
    "hexadecimal, capitals": lambda text: text.encode().hex().upper(),
    "hexadecimal, colons": lambda text: text.encode().hex(":"),
    "hexadecimal, 0x": lambda text: _octets(text, "0x{:02x} "),
    "percent": quote,
    "percent, all": lambda text: _octets(text, "%{:02X}"),
    "percent, twice": lambda text: quote(_octets(text, "%{:02X}")),
    "html": html.escape,
    "html, decimal": lambda text: "".join(f"&#{ord(one)};" for one in text),
    "html, hexadecimal": lambda text: "".join(f"&#x{ord(one):x};" for one in text),
    "backslash x": lambda text: _octets(text, "\\x{:02x}"),
    "backslash u": lambda text: "".join(f"\\u{unit:04x}" for unit in memoryview(text.encode("utf-16-le")).cast("H")),
    "quoted-printable": lambda text: _octets(text, "={:02X}"),
    "base64": lambda text: _base64(b"", text),
    "base64, one octet before": lambda text: _base64(b"x", text, b"x"),
    "base64, two octets before": lambda text: _base64(b'{"', text, b'"}'),
    "base64 for URLs": lambda text: base64.urlsafe_b64encode(b"?>?" + text.encode()).decode(),
    "base64 of capitals": lambda text: _base64(b"", text.upper()),
    "base64 of UTF-16": lambda text: base64.b64encode(text.encode("utf-16-le")).decode(),
    "base64 of percent": lambda text: _base64(b"", _octets(text, "%{:02x}")),
    "PLAIN": lambda text: _base64(b"\0probe@gmail.com\0", text),
    "XOAUTH2": lambda text: _base64(b"user=probe@gmail.com\1auth=Bearer ", text, b"\1\1"),
    "modified UTF-7": lambda text: (
        f"&{base64.b64encode(text.encode('utf-16-be')).decode().rstrip('=').replace('/', ',')}-"
    ),
}
"""The ways in which a server may write a secret that it was sent."""

DOUBLED = {"percent, twice", "base64 of percent"}
"""Those that are an encoding in another."""
