"""A text and what can be decoded from it, so that a secret is found in whatever way a server has written it.

Decoded are escapes (percent, HTML, backslash, quoted-printable, IMAP's modified UTF-7), hexadecimal and base64, and one
in the other. Every reading of a text knows where in the text its characters come from. All work is linear in the length
of the text: it is read in a fixed number of ways, and what is decoded is no longer than what it was decoded from.
"""

from __future__ import annotations

import html
import re
import string
from abc import ABC, abstractmethod
from binascii import a2b_base64, a2b_hex
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import cached_property, partial
from typing import TypeAlias

from exporter.probing.pieces import Span, is_mark, letters, letters_at

DEPTH = 4
"""Encodings that are undone, one in the other."""

_MOST = 4  # times the characters of a text that are read of it, besides its octets
_LEAST = 256  # characters that are read in any case


class Reading(ABC):
    """A text, read in one way. What is `noise` is decoded from digits that may be none."""

    text: str
    noise = False

    @abstractmethod
    def origin(self, span: Span) -> Span:
        """Return the part of the original text from which a part of this one comes."""


def readings(text: str, *, wide: bool = False) -> Iterator[Reading]:
    """Yield the text, and every other reading of it; `wide` if octets may be more than ASCII.

    What is decoded is decoded in turn, `DEPTH` times, and as long as that is not much more than the text itself.
    """
    waiting: deque[tuple[Reading, int]] = deque([(_Original(text), DEPTH)])
    less_likely: list[tuple[Reading, int]] = []
    left = _MOST * len(text) + _LEAST
    while waiting or less_likely:
        reading, depth = waiting.popleft() if waiting else less_likely.pop()
        reading = _visible(reading)
        left -= len(reading.text)
        if left < 0:
            return
        yield reading
        has_text = False  # in octets
        for octets in (*_base64(reading, wide=wide), *_hexadecimal(reading, wide=wide)):
            has_text |= octets.has_text
            yield octets
        if depth:
            of_all_kinds, *of_one_kind = _unescaped(reading)
            unpacked = _unpacked(reading) if has_text else ()
            waiting.extend((one, depth - 1) for one in (of_all_kinds, *unpacked) if one)
            less_likely.extend((one, depth - 1) for one in of_one_kind if one)


def unescape(text: str) -> str:
    """Return the text with its escapes undone, those within others too."""
    reading: Reading = _Original(text)
    for _ in range(DEPTH):
        reading = next(_unescaped(reading)) or reading
    return reading.text


class _Original(Reading):
    """The text as it is."""

    def __init__(self, text: str) -> None:
        self.text = text

    def origin(self, span: Span) -> Span:
        return span


_Unit: TypeAlias = tuple[str, Span]
"""A character, and the part of an escape that stands for it."""

_Decode: TypeAlias = Callable[[str], Iterable[_Unit]]


class _Replaced(Reading):
    """A reading in which parts that match an expression are replaced by the characters that they stand for."""

    def __init__(self, source: Reading, pattern: re.Pattern[str], decode: _Decode) -> None:
        self._source, self._pattern, self._decode = source, pattern, decode
        self.text = pattern.sub(lambda found: "".join(character for character, _ in decode(found[0])), source.text)

    def origin(self, span: Span) -> Span:
        begins, ends = self._places
        return self._source.origin((begins[span[0]], ends[span[1] - 1]))

    @cached_property
    def _places(self) -> tuple[list[int], list[int]]:
        """Where each character begins in the source, and where it ends."""
        begins: list[int] = []
        ends: list[int] = []
        done = 0
        for found in self._pattern.finditer(self._source.text):
            begin, end = found.span()
            begins += range(done, begin)
            ends += range(done + 1, begin + 1)
            for _, (first, last) in self._decode(found[0]):
                begins.append(begin + first)
                ends.append(begin + last)
            done = end
        begins += range(done, len(self._source.text))
        ends += range(done + 1, len(self._source.text) + 1)
        return begins, ends


# Invisible characters, which may stand between the digits of a code, or within an escape.


def _visible(reading: Reading) -> Reading:
    """Return the reading without them; itself where it has none."""
    if reading.text.isascii():
        return reading
    visible = _Replaced(reading, _NOT_ASCII, _visible_units)
    return reading if visible.text == reading.text else visible


def _visible_units(text: str) -> Iterator[_Unit]:
    return ((one, (at, at + 1)) for at, one in enumerate(text) if is_mark(one))


_NOT_ASCII = re.compile(r"[^\x00-\x7f]+")


# Escapes, each with what it begins with: to search for that alone is fast.

_ESCAPES = (
    # RFC 3986 §2.1; with a u, JavaScript's `escape` (ECMA-262 §B.2.1.1).
    r"%(?:[0-9a-fA-F]{2}(?:%[0-9a-fA-F]{2})*|u[0-9a-fA-F]{4}(?:%u[0-9a-fA-F]{4})*)",
    # RFC 2045 §6.7. Alone, only what has to be encoded: AUTH=DE and LIMIT=35 are none.
    r"=(?:\n?[0-9a-fA-F]{2}(?:=?\n?=\n?[0-9a-fA-F]{2})+|0[9aAdD]|2[0-9a-fA-F]|3[a-fA-F]|40|5[b-fB-F]|60|7[b-fB-F])",
    r"\\(?:x[0-9a-fA-F]{2}(?:\\x[0-9a-fA-F]{2})*|[0-3][0-7]{2}(?:\\[0-3][0-7]{2})*"
    r"|u[0-9a-fA-F]{4}(?:\\u[0-9a-fA-F]{4})*|u\{[0-9a-fA-F]{1,6}\}|U[0-9a-fA-F]{8}|[\"'\\/])",
    r"&(?:#[0-9]{1,8};?|#[xX][0-9a-fA-F]{1,7};?|[a-zA-Z]{2,8};|[0-9a-zA-Z+,]*-)",  # HTML; RFC 3501 §5.1.3
)
_PATTERNS = tuple(map(re.compile, _ESCAPES))


def _unescaped(reading: Reading) -> Iterator[Reading | None]:
    """Yield the reading with all its escapes replaced, None where it has none; then with those of each of its kinds."""
    replaced, alone = reading, []
    for pattern in _PATTERNS:
        if pattern.search(replaced.text):
            replaced = _Replaced(replaced, pattern, _units)
            alone.append(pattern)
    yield None if replaced.text == reading.text else replaced
    if len(alone) > 1:
        yield from (_Replaced(reading, pattern, _units) for pattern in alone)


def _units(escape: str) -> Iterable[_Unit]:
    match escape[:2]:
        case "\\x":
            return _of_octets(bytes.fromhex(escape.replace("\\x", "")), 4)
        case "\\u" | "%u" if "{" not in escape:
            return _of_code_units(bytes.fromhex(escape.replace(escape[:2], "")))
        case "\\u" | "\\U":
            return _whole(escape, _character(int(escape[2:].strip("{}"), 16)))
        case two if two[0] in "%=":
            units = _of_octets(bytes.fromhex(escape.replace(two[0], "")), 3)
            return _whole(escape, "".join(one for one, _ in units)) if "\n" in escape else units
        case two if two[0] == "\\" and two[1].isdigit():
            return _of_octets(bytes(int(digits, 8) for digits in escape.split("\\")[1:]), 4)
        case two if two[0] == "\\":
            return _whole(escape, two[1])
    return _whole(escape, _utf7(escape) if escape.endswith("-") else html.unescape(escape))


def _whole(escape: str, text: str | None) -> Iterable[_Unit]:
    """The text that an escape stands for as a whole; the escape itself, where it stands for none."""
    if text is None:
        return [(character, (at, at + 1)) for at, character in enumerate(escape)]
    return [(character, (0, len(escape))) for character in text]


def _of_octets(raw: bytes, width: int) -> Iterator[_Unit]:
    """The characters of octets that are written in so many characters each: of UTF-8, else of Latin-1."""
    at = 0
    for character in raw.decode("utf-8", "surrogateescape"):
        invalid = "\udc80" <= character <= "\udcff"
        end = at + (1 if invalid else len(character.encode()))
        yield chr(raw[at]) if invalid else character, (at * width, end * width)
        at = end


def _of_code_units(raw: bytes) -> Iterator[_Unit]:
    """The characters of UTF-16 whose code units are written in six characters each."""
    at = 0
    for character in raw.decode("utf-16-be", "surrogatepass"):
        end = at + (12 if character > "\uffff" else 6)
        yield character, (at, end)
        at = end


def _character(code: int) -> str | None:
    return chr(code) if code < 0x110000 else None


def _utf7(escape: str) -> str | None:
    if escape == "&-":
        return "&"
    raw = _decode_base64(escape[1:-1].encode())
    return raw[: len(raw) // 2 * 2].decode("utf-16-be", "surrogatepass") or None


# Octets that are written as digits, wherever they begin in the text and whatever is around them.


class _Octets(Reading):
    """Octets that are written as digits, read as text. The first digit may be any: `phase` is which."""

    noise = True

    def __init__(self, source: Reading, raw: bytes, phase: int, *, wide: bool) -> None:
        self._source, self._phase = source, phase
        self.has_text = _MANY_READABLE in raw.translate(_READABLE)
        """Whether they may hold a text that has to be decoded, too."""
        # Most of them are noise: only ASCII is read of them where that is enough.
        self.text = raw.decode("utf-8", "surrogateescape") if wide else raw.translate(_ASCII).decode()

    def origin(self, span: Span) -> Span:
        if not self.text.isascii():
            begin = len(self.text[: span[0]].encode("utf-8", "surrogateescape"))
            span = begin, begin + len(self.text[span[0] : span[1]].encode("utf-8", "surrogateescape"))
        return self._source.origin(self._of_octets(*span))

    @abstractmethod
    def _of_octets(self, begin: int, end: int) -> Span:
        """Return the part of the source from which these octets come."""


_ASCII = bytes(code if code < 128 else 0 for code in range(256))
_TEXT = bytes([*b"\t\n\r", *range(32, 127)])
_READABLE = bytes(ord("t") if code in _TEXT else ord("-") for code in range(256))
_MANY_READABLE = b"t" * 12  # that so many octets are text is hardly chance


class _Base64(_Octets):
    """Four digits are three octets. A part is that of whole words, for the rest of a word says nothing to people."""

    def _of_octets(self, begin: int, end: int) -> Span:
        last = min(self._phase - (end * -4 // 3), len(self._at)) - 1
        begin, end = self._at[self._phase + begin * 4 // 3], self._at[last] + 1
        for word in self._word_with(begin), self._word_with(end - 1):
            begin, end = min(begin, word[0]), max(end, word[1])
        return begin, end

    @cached_property
    def _at(self) -> list[int]:
        return [at for at, code in enumerate(map(ord, self._source.text)) if code not in _WITHOUT_SPACES]

    @cached_property
    def _words(self) -> list[Span]:
        return [word.span() for word in _WORD.finditer(self._source.text)]

    def _word_with(self, at: int) -> Span:
        index = bisect_right(self._words, (at, len(self._source.text))) - 1
        begin, end = self._words[index] if index >= 0 else (at, at)
        return (begin, end) if begin <= at < end else (at, at + 1)


def _base64(reading: Reading, *, wide: bool) -> Iterator[_Octets]:
    digits = reading.text.encode("latin-1", "replace").translate(_TO_DIGIT, _SPACES)
    for phase in range(4):
        some = digits[phase:]
        yield _Base64(reading, a2b_base64(some + b"A" * (-len(some) % 4)), phase, wide=wide)


def _decode_base64(digits: bytes) -> bytes:
    """Return the whole octets that are in digits of any of the alphabets."""
    whole = len(digits) * 6 // 8
    return a2b_base64(digits.translate(_TO_DIGIT, _SPACES) + b"A" * (-len(digits) % 4))[:whole]


_WORD = re.compile(r"[0-9A-Za-z+/_,-]+={0,2}")
_SPACES = bytes(code for code in range(128) if chr(code).isspace() or not chr(code).isprintable())
_WITHOUT_SPACES = frozenset(_SPACES)
_ALPHABETS = f"{string.ascii_letters}{string.digits}+/-_,".encode()
# Both alphabets of RFC 4648, and that of RFC 3501 §5.1.3; any other character counts as a digit of zero bits.
_TO_DIGIT = bytes(
    ord({"-": "+", "_": "/", ",": "/"}.get(one, one if one.isascii() and (one.isalnum() or one in "+/") else "A"))
    for one in map(chr, range(256))
)


class _Hexadecimal(_Octets):
    """Two digits are one octet, whatever stands between the digits."""

    def _of_octets(self, begin: int, end: int) -> Span:
        return self._at[self._phase + 2 * begin], self._at[self._phase + 2 * end - 1] + 1

    @cached_property
    def _at(self) -> list[int]:
        return letters_at(_without_prefixes(self._source.text))


def _hexadecimal(reading: Reading, *, wide: bool) -> Iterator[_Octets]:
    written = letters(_without_prefixes(reading.text)).encode("ascii", "replace")
    if _MANY_DIGITS in written.translate(_HEX_ALIKE):
        digits = written.translate(_TO_HEX)
        for phase in range(2):
            yield _Hexadecimal(
                reading, a2b_hex(digits[phase : len(digits) - (len(digits) - phase) % 2]), phase, wide=wide
            )


def _without_prefixes(text: str) -> str:
    """The text with spaces in place of each 0x or backslash x before hexadecimal digits."""
    return _PREFIX_OF_HEX.sub(lambda prefix: " " * len(prefix[0]), text) if "x" in text or "X" in text else text


_HEX = b"0123456789abcdef"
_HEX_ALIKE = bytes(ord("h") if code in _HEX else ord("-") for code in range(256))
_MANY_DIGITS = b"h" * 12
_TO_HEX = bytes(code if code in _HEX else ord("0") for code in range(256))
_PREFIX_OF_HEX = re.compile(r"[0\\]\n?[xX]\n?(?=[0-9a-fA-F])")


# Words that are encoded as a whole, and hold a text that may be encoded, too.


def _unpacked(reading: Reading) -> Iterator[Reading]:
    """Yield the reading with the text of encoded words in their place, if there are any: of those of a line, of all."""
    found: set[str] = {reading.text}
    for patterns in _LONG, _LONG_OVER_LINES:
        unpacked = reading
        for pattern, decode in zip(patterns, (_decode_hex, _decode_base64), strict=True):
            if pattern.search(unpacked.text):
                unpacked = _Replaced(unpacked, pattern, partial(_text_of, decode))
        if unpacked.text not in found:
            found.add(unpacked.text)
            yield unpacked


def _text_of(decode: Callable[[bytes], bytes], word: str) -> Iterable[_Unit]:
    digits = word.replace("\n", "").rstrip("=").encode()
    texts = []
    for begin in range(8):  # the word may be cut, and its first group of digits with it
        raw = decode(digits[begin:])
        if not raw.isascii() or not raw.translate(None, _TEXT + b"\0\1"):  # which separate the parts of a SASL message
            with suppress(UnicodeDecodeError):
                texts.append(raw.decode())
    # Where it begins elsewhere, digits are read that look like text, too, but have characters that codes do not have.
    return _whole(word, max(texts, key=lambda text: len(text.encode().translate(None, _NO_CODES)), default=None))


_NO_CODES = bytes(code for code in range(256) if code not in _ALPHABETS + b"=%&#;\\")


def _decode_hex(digits: bytes) -> bytes:
    """Return the whole octets that are in digits."""
    return a2b_hex(digits[: len(digits) // 2 * 2])


_LONG = re.compile(r"(?:[0-9a-fA-F]{2}){12,}"), re.compile(r"[0-9A-Za-z+/_-]{16,}={0,2}")
_LONG_OVER_LINES = re.compile(r"(?:[0-9a-fA-F]\n*){24,}"), re.compile(r"(?:[0-9A-Za-z+/_-]\n*){16,}={0,2}")
