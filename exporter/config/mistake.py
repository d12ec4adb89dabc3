"""A mistake in a configuration: its position and what is wrong, in one line.

ConfigError
 └── mistakes: Mistake, Mistake, …   every one that was found, not only the first
"""

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from exporter.model.message import Unacceptable, one_line, show

KeyPath = tuple[str, ...]
"""The keys that lead to a value, outermost first; the second item of a list is `[1]`."""

_BARE = re.compile(r"[A-Za-z0-9_-]{1,64}")


class Position(NamedTuple):
    """A position in a text; line and column count characters from 1, and are 0 for the text as a whole."""

    line: int
    column: int


NOWHERE = Position(0, 0)


class AlreadyReported(Unacceptable):
    """A value cannot be used, for a mistake that is reported already."""


@dataclass(frozen=True, order=True, slots=True)
class Mistake:
    """One mistake. `str` is one line: `FILE:LINE:COLUMN: PATH: TEXT`, without the parts that do not apply."""

    file: str
    line: int
    column: int
    path: str
    text: str

    def __str__(self) -> str:
        place = one_line(self.file)
        if self.line:
            place += f":{self.line}:{self.column}"
        return ": ".join(part for part in (place, self.path, self.text) if part)


class ConfigError(Exception):
    """The configuration cannot be used.

    Attributes:
        mistakes: All mistakes found, sorted by file and position. `str` has one line for each.
    """

    def __init__(self, mistakes: list[Mistake]) -> None:
        self.mistakes: tuple[Mistake, ...] = tuple(sorted(set(mistakes)))
        super().__init__("\n".join(map(str, self.mistakes)))


def show_path(path: KeyPath) -> str:
    """Return the path as it is printed: `endpoints.imap.folders[1]`, odd keys in quotes."""
    shown = ""
    for step in path:
        if step.startswith("["):
            shown += step if step.endswith("]") and step[1:-1].isdecimal() else "." + show(step)
        else:
            shown += "." + (step if _BARE.fullmatch(step) else show(step))
    return shown.removeprefix(".")


def unknown_key(key: str, known: Iterable[str]) -> str:
    """Return the text of a mistake about a key that is none of the known ones."""
    known = tuple(known)
    near = nearest(key, known)
    return f"unknown key; did you mean {show(near)}?" if near else f"unknown key; known here: {', '.join(known)}"


def unknown_name(kind: str, name: str, known: Iterable[str]) -> str:
    """Return the text of a mistake about the name of an account or endpoint that there is not."""
    known = tuple(known)
    if near := nearest(name, known):
        hint = f"did you mean {show(near)}?"
    elif len(known) > 5:  # a few can be listed, hundreds cannot
        hint = f"none of the {len(known)} is like it"
    else:
        hint = f"known: {', '.join(map(show, known))}" if known else "there are none"
    return f"there is no {kind} {show(name)}; {hint}"


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the known word that is most like this one, None if no word is."""
    # Compared without case, and cut: the comparison is quadratic and the word may be as long as the file.
    by_lower = {one.lower(): one for one in reversed(tuple(known))}
    near = difflib.get_close_matches(word[:64].lower(), by_lower, n=1)
    return by_lower[near[0]] if near else None


def unknown(kind: str, name: str, known: Iterable[str]) -> str:
    """Return the message for an unknown name, with the name that was probably meant."""
    known = tuple(known)
    near = nearest(name, known)
    hint = f"did you mean {show(near)}?" if near else f"there are: {', '.join(known) or 'none'}"
    return f"there is no {kind} {show(name)}; {hint}"
