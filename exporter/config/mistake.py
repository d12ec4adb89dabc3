"""A mistake in the configuration: where it stands and what is wrong, in one line.

ConfigError
 └── mistakes: Mistake, Mistake, …   every one that was found, not only the first
"""

import re
from dataclasses import dataclass
from typing import NamedTuple

from exporter.model.text import Unacceptable, one_line, show

Path = tuple[str, ...]
"""The keys that lead to a value, outermost first; the second item of a list is `[1]`."""

_BARE = re.compile(r"[A-Za-z0-9_-]{1,64}")


class Position(NamedTuple):
    """Where something stands in a text; line and column count characters from 1, 0 is nowhere in particular."""

    line: int
    column: int


NOWHERE = Position(0, 0)


class AlreadyTold(Unacceptable):
    """A value is of no use, and the mistake that makes it so is known."""


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


def show_path(path: Path) -> str:
    """Return the path as it is printed: `endpoints.imap.folders[1]`, odd keys in quotes."""
    shown = ""
    for step in path:
        if step.startswith("["):
            shown += step if step.endswith("]") and step[1:-1].isdecimal() else "." + show(step)
        else:
            shown += "." + (step if _BARE.fullmatch(step) else show(step))
    return shown.removeprefix(".")
