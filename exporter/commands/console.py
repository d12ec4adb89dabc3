"""Standard output and standard error: what commands print, and the progress that a terminal shows.

Standard output may be a pipe whose reader has left, or a file on a full disk.
"""

from __future__ import annotations

import io
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the daemon writes nothing there, and rich takes long to import
    from rich.console import RenderableType
    from rich.progress import Progress, TaskID

UNBOUNDED = 10_000
"""Columns of a pipe: what reads it may want a remedy in one line, and has no edge to wrap at."""


class CannotWrite(Exception):
    """Standard output takes no more; the message says why, and is empty where its reader has seen enough."""


def write(text: str, encoding: str = "utf-8") -> None:
    """Write to standard output now; a character that the encoding does not have becomes a question mark.

    Raises:
        CannotWrite: it could not be written.
    """
    left = memoryview(text.encode(encoding, "replace"))
    try:
        while left:  # where PYTHONUNBUFFERED is set, a write may take only a part
            left = left[sys.stdout.buffer.write(left) :]
        sys.stdout.buffer.flush()
    except OSError as error:
        # What is still in the buffer would be tried again, and fail again, when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise CannotWrite("" if isinstance(error, BrokenPipeError) else str(error.strerror)) from None


class Screen:
    """Standard output; without colours, and as wide as it likes, where that is no terminal."""

    def __init__(self) -> None:
        from rich.console import Console  # noqa: PLC0415

        terminal = sys.stdout.isatty()
        self._text = io.StringIO()
        self._console = Console(
            file=self._text,
            force_terminal=terminal,
            width=None if terminal else UNBOUNDED,
            color_system="auto" if _colours() else None,
            highlight=False,
            emoji=False,  # a server's words are shown as they are
        )

    @property
    def width(self) -> int:
        """Columns that there are."""
        return self._console.width

    def show(self, *what: RenderableType) -> None:
        """Print each, on lines of its own.

        Raises:
            CannotWrite: it could not be written.
        """
        self._text.seek(0)
        self._text.truncate()
        for each in what:
            self._console.print(each)
        # Tables fill their last column up with spaces, which wrap when a terminal gets narrower.
        write(re.sub(r" +$", "", self._text.getvalue(), flags=re.MULTILINE), sys.stdout.encoding)


class Running:
    """What is being done at the moment, in the order in which it began."""

    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress = progress
        self._task = task
        self._names: list[str] = []

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """One of the steps, from its begin to its end."""
        self._names.append(name)
        self._progress.update(self._task, description=", ".join(self._names))
        yield
        self._names.remove(name)
        self._progress.update(self._task, description=", ".join(self._names), advance=1)


@contextmanager
def progress(total: int) -> Iterator[Running]:
    """Show how many of so many steps are done, until the end; nothing where standard error is no terminal."""
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn  # noqa: PLC0415
    from rich.table import Column  # noqa: PLC0415

    console = Console(stderr=True, color_system="auto" if _colours() else None)
    columns = (
        SpinnerColumn(),
        MofNCompleteColumn(),
        BarColumn(bar_width=20),
        TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=True, overflow="ellipsis")),
    )
    shown = sys.stderr.isatty() and not console.is_dumb_terminal
    with Progress(*columns, console=console, transient=True, disable=not shown) as bar:
        yield Running(bar, bar.add_task("", total=total))


def _colours() -> bool:
    return not os.environ.get("NO_COLOR")  # https://no-color.org: set, and not empty
