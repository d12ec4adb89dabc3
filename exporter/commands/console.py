"""Standard output and standard error: the output of commands, and progress on a terminal.

Standard output may be a closed pipe, or a file on a full disk.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # rich takes long to import, and the daemon does not need it
    from rich.console import RenderableType
    from rich.progress import Progress, TaskID

UNBOUNDED = 10_000
"""Columns where standard output is no terminal: nothing is wrapped."""


class CannotWrite(Exception):
    """Standard output cannot be written; the message has the reason, and is empty where the pipe was closed."""


def write(text: str, encoding: str = "utf-8") -> None:
    """Write to standard output and flush it; a character that the encoding lacks becomes a question mark.

    Raises:
        CannotWrite: It could not be written.
    """
    left = memoryview(text.encode(encoding, "replace"))
    try:
        while left:  # where PYTHONUNBUFFERED is set, a write may take only a part
            left = left[sys.stdout.buffer.write(left) :]
        sys.stdout.buffer.flush()
    except OSError as error:
        # At its end, Python would write the rest of the buffer, and fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise CannotWrite("" if isinstance(error, BrokenPipeError) else str(error.strerror)) from None


class Screen:
    """Standard output; without colours and without line wrapping where it is no terminal."""

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
            emoji=False,  # text of a server is shown as it is
        )

    @property
    def width(self) -> int:
        """Columns."""
        return self._console.width

    def show(self, *what: RenderableType) -> None:
        """Print each, on lines of its own.

        Raises:
            CannotWrite: It could not be written.
        """
        self._text.seek(0)
        self._text.truncate()
        for each in what:
            self._console.print(each)
        # Tables pad their last column with spaces, which would wrap in a narrower terminal.
        lines = (line.rstrip(" ") for line in self._text.getvalue().split("\n"))
        write("\n".join(lines), sys.stdout.encoding)


class Running:
    """The steps under way, in the order in which they began."""

    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress = progress
        self._task = task
        self._names: list[str] = []

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Show a step as under way."""
        self._names.append(name)
        self._progress.update(self._task, description=", ".join(self._names))
        yield
        self._names.remove(name)
        self._progress.update(self._task, description=", ".join(self._names), advance=1)


@contextmanager
def progress(total: int) -> Iterator[Running]:
    """Show how many of `total` steps are done; nothing where standard error is no terminal."""
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
    return not os.environ.get("NO_COLOR")  # https://no-color.org
