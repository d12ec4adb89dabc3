"""Pieces of secrets in text: what two texts have in common when neither case, width, spaces nor punctuation counts.

A text is compared in two forms, in each of which one character stands for all that look or mean the same (Unicode's
NFKD and case folding): `letters` has its letters and digits alone, `marks` has its punctuation too. Neither has spaces
or invisible characters. All work is linear in the length of the text.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from itertools import chain
from typing import TypeAlias

from exporter.model.message import is_invisible

LEAST = 6
"""Characters of a piece that is a secret's and not there by chance."""

Span: TypeAlias = tuple[int, int]
"""The first character of a part of a text, and the first behind it."""

_GRAM = 4
_FEW = 24  # of them are looked for one by one
_LOWER = bytes(range(256)).lower()
_NOT_LETTERS = bytes(code for code in range(128) if not chr(code).isalnum())
_NOT_MARKS = bytes(code for code in range(128) if chr(code).isspace() or not chr(code).isprintable())
_WITHOUT_LETTERS, _WITHOUT_MARKS = frozenset(_NOT_LETTERS), frozenset(_NOT_MARKS)


def letters(text: str) -> str:
    """Return the letters and digits of a text, of one case and width and without accents."""
    if text.isascii():
        return text.encode().translate(_LOWER, _NOT_LETTERS).decode()
    return _folded(text).translate(_letters)


def marks(text: str) -> str:
    """Return what is visible in a text, of one case and width and without spaces."""
    if text.isascii():
        return text.encode().translate(_LOWER, _NOT_MARKS).decode()
    return _folded(text).translate(_marks)


def letters_at(text: str) -> list[int]:
    """Return where in the text each character of its `letters` is."""
    if text.isascii():
        return [at for at, code in enumerate(text.encode()) if code not in _WITHOUT_LETTERS]
    return [at for at, one in _characters(text) if _letters[ord(one)]]


def marks_at(text: str) -> list[int]:
    """Return where in the text each character of its `marks` is."""
    if text.isascii():
        return [at for at, code in enumerate(text.encode()) if code not in _WITHOUT_MARKS]
    return [at for at, one in _characters(text) if _marks[ord(one)]]


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKD", text).casefold()


def _characters(text: str) -> Iterator[tuple[int, str]]:
    """Each character of the folded text, with its place in the text."""
    # Marks may change places within a character, which does not matter here.
    return ((at, one) for at, whole in enumerate(text) for one in _folded(whole))


def _is_letter(one: str) -> bool:
    return one.isalnum() and not is_invisible(one)


def is_mark(one: str) -> bool:
    """Whether a character is visible, or half of one, which may be shown with the other half."""
    return one != " " and (not is_invisible(one) or "\ud800" <= one <= "\udfff")


class _Kept(dict[int, int | None]):
    """A table for `str.translate` that keeps some characters, and leaves out the others."""

    def __init__(self, is_kept: Callable[[str], bool]) -> None:
        super().__init__()
        self._is_kept = is_kept

    def __missing__(self, code: int) -> int | None:
        if len(self) >= _MAX_KEPT:
            self.clear()
        self[code] = code if self._is_kept(chr(code)) else None
        return self[code]


_MAX_KEPT = 4096  # characters
_letters = _Kept(_is_letter)
_marks = _Kept(is_mark)


class Pieces:
    """The pieces of at least so many characters of some texts, all in one form."""

    def __init__(self, texts: Iterable[str], least: int = LEAST) -> None:
        self._texts = frozenset(text for text in texts if len(text) >= least)
        self._least = least
        self._longest = max(map(len, self._texts), default=0)
        # In every piece there is one of these: where it begins in the text is a multiple of their distance.
        distance = least - _GRAM + 1
        self._grams = {
            text[at : at + _GRAM] for text in self._texts for at in range(0, len(text) - _GRAM + 1, distance)
        }
        self._few = tuple(self._grams) if len(self._grams) <= _FEW else ()

    def __bool__(self) -> bool:
        return bool(self._texts)

    def may_be_in(self, text: str) -> bool:
        """Whether one may be in a text; False is certain, and what nearly every text gives. It is fast."""
        for gram in self._few:
            if gram in text:
                return True
        return not (self._few or self._numbers.isdisjoint(chain(_words(text, 0), _words(text, 2))))

    def runs(self, text: str) -> Iterator[Span]:
        """Yield the parts of a text that consist of pieces, each as long as it can be."""
        begin = end = -1
        for at in range(len(text) - self._least + 1):
            if text[at : at + self._least] in self._all:
                if at >= end:
                    if begin >= 0:
                        yield begin, end
                    begin = at
                end = at + self._least
        if begin >= 0:
            yield begin, end

    def split(self, run: Span) -> Iterator[Span]:
        """Yield a run in parts that are no longer than the longest text, for one that comes several times in a row."""
        begin, end = run
        for at in range(begin, end, self._longest):
            yield at, min(at + self._longest, end)

    @cached_property
    def _all(self) -> frozenset[str]:
        least = self._least
        return frozenset(text[at : at + least] for text in self._texts for at in range(len(text) - least + 1))

    @cached_property
    def _numbers(self) -> frozenset[int]:
        """Every four characters of the texts as a number; what is not ASCII counts as one character.

        Of those of a piece, one begins at an even place of any text that it is in.
        """
        return frozenset(number for text in self._texts for shift in range(_GRAM) for number in _words(text, shift))


def _words(text: str, shift: int) -> memoryview[int]:
    """Return each four characters as a number, from a character on."""
    octets = text.encode("ascii", "replace")[shift:]
    return memoryview(octets[: len(octets) // _GRAM * _GRAM]).cast("I")
