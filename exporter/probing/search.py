"""Searches texts for pieces of secrets.

What counts as a piece is a rule: `LEAST` characters or more of a secret, in any case, width, spacing and encoding, and
a shorter secret as a whole. A piece that is also of our own names, or of the vocabulary, needs `COMMON` characters.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator
from functools import cache, cached_property, partial
from typing import NamedTuple
from weakref import WeakSet

from exporter.probing.encodings import readings, unescape
from exporter.probing.pieces import LEAST, Pieces, Span, letters, letters_at, marks, marks_at
from exporter.probing.vocabulary import COMMON, common_letters, common_marks, common_words

_LEAST_BASE64 = 8  # digits of a secret in capitals: fewer may be there by chance
_MAX_CLEAN = 32  # texts that are known to hold no secret
_MAX_CLEAN_LENGTH = 2048  # characters of each: capabilities have some 300, the names of a chain of certificates 1,000


class _Form(NamedTuple):
    """A form in which texts are compared, the pieces of secrets in it, and the words that are no secret."""

    pieces: Pieces
    of: Callable[[str], str]
    places: Callable[[str], list[int]]
    vocabulary: Callable[[], str]


class Names:
    """Names of our own configuration: up to `COMMON` characters of them are no secret."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._names = tuple(names)

    def have(self, piece: str, form: _Form) -> bool:
        """Whether a piece is one of theirs, or of the vocabulary."""
        return any(piece in form.of(name) for name in self._names) or piece in form.vocabulary()

    @cached_property
    def words(self) -> frozenset[str]:
        """The names, and the words in them."""
        return frozenset(map(marks, self._names)) | frozenset(
            word for name in self._names for word in "".join(c if c.isalnum() else " " for c in name).casefold().split()
        )


class Secrets:
    """Secrets, prepared once to be found in many texts."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        spellings = {spelling for secret in secrets for spelling in _spellings(secret)}
        self._wide = not all(map(str.isascii, spellings))
        forms = (
            _Form(Pieces(map(letters, spellings)), letters, letters_at, common_letters),
            # In letters alone, a piece that is mostly punctuation is too short.
            _Form(Pieces(marks(s) for s in spellings if marks(s) != letters(s)), marks, marks_at, common_marks),
        )
        self._forms = tuple(form for form in forms if form.pieces)
        self._short = frozenset(code for s in spellings if len(marks(s)) < LEAST for code in _codes(s))
        self._in_capitals = Pieces((code for s in spellings for code in _base64_within(s)), _LEAST_BASE64)
        self._clean: set[str] = set()
        if spellings:
            _in_use.add(self)

    def __bool__(self) -> bool:
        return bool(self._forms or self._short)

    def find(self, text: str, names: Names) -> Iterator[Span]:
        """Yield the parts of a text that hold pieces of secrets, in any order; they may overlap."""
        if not self:
            return
        for reading in readings(text, wide=self._wide):
            for span in self._find_long(reading.text, names):
                yield reading.origin(span)
            if self._short and not reading.noise:
                for span in self._find_short(reading.text, names):
                    yield reading.origin(span)
        yield from self._find_capitals(text)

    def are_in(self, text: str) -> bool:
        """Whether any may be in a text, as fast as it can be said of a text that comes again and again."""
        if text in self._clean:
            return False
        if any(True for _ in self.find(text, NO_NAMES)):
            return True
        if len(text) <= _MAX_CLEAN_LENGTH:
            if len(self._clean) >= _MAX_CLEAN:
                self._clean.clear()
            self._clean.add(text)
        return False

    def _find_long(self, text: str, names: Names) -> Iterator[Span]:
        for form in self._forms:
            shape = form.of(text)
            if not form.pieces.may_be_in(shape):
                continue
            places = form.places(text)
            have = cache(partial(names.have, form=form))
            for run in form.pieces.runs(shape):
                if run[1] - run[0] >= COMMON or not have(shape[slice(*run)]):
                    for begin, end in form.pieces.split(run):
                        yield places[begin], places[end - 1] + 1

    def _find_short(self, text: str, names: Names) -> Iterator[Span]:
        shape = marks(text)
        for secret in self._short:
            if secret not in shape or secret in names.words or secret in common_words():
                continue
            places, at = marks_at(text), shape.find(secret)
            while at >= 0:
                begin, end = places[at], places[at + len(secret) - 1] + 1
                if not any(map(str.isspace, text[begin:end])):
                    yield begin, end
                at = shape.find(secret, at + len(secret))

    def _find_capitals(self, text: str) -> Iterator[Span]:
        """Yield base64 in lines of capitals, which cannot be decoded any more; our own capabilities are in capitals."""
        first = 0
        for line in text.split("\n"):
            if line.isupper() and self._in_capitals.may_be_in(shape := letters(line)):
                places = letters_at(line)
                for begin, end in self._in_capitals.runs(shape):
                    yield first + places[begin], first + places[end - 1] + 1
            first += len(line) + 1


def _spellings(secret: str) -> Iterator[str]:
    """Yield a secret as it may be spelled without an encoding: as UTF-8 that was taken for Latin-1, too."""
    for spelling in {secret, unescape(secret)}:
        if marks(spelling):
            yield spelling
            if not spelling.isascii():
                yield spelling.encode("utf-8", "surrogatepass").decode("latin-1")


def _codes(secret: str) -> Iterator[str]:
    """Yield a short secret, and its base64 and hexadecimal where they are long enough."""
    raw = secret.encode("utf-8", "surrogatepass")
    yield marks(secret)
    if len(raw) >= 3:
        yield marks(b64encode(raw).decode().rstrip("="))
        yield raw.hex()


def _base64_within(secret: str) -> Iterator[str]:
    """Yield the base64 of a secret at each of its three places within a group of digits, as letters."""
    raw = secret.encode("utf-8", "surrogatepass")
    for before in range(3):
        # A digit has 6 bits: the first and the last may have bits of the text around it.
        inner = b64encode(b"\0" * before + raw)[(before * 8 + 5) // 6 : (before + len(raw)) * 8 // 6]
        yield letters(inner.decode())


_in_use: WeakSet[Secrets] = WeakSet()
NO_NAMES = Names()
NO_SECRETS = Secrets()


def in_use() -> list[Secrets]:
    """Return all secrets that this process has prepared and still holds."""
    return list(_in_use)
