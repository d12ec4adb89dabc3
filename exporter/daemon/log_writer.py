"""Writes log lines in a thread: whoever reads them may stop reading, and then a write never returns.

Lines wait in a queue that is bounded in octets. A line that does not fit, or that cannot be written, is dropped and
counted; as soon as lines can be written again, a line says how many are missing, in their place.
"""

from __future__ import annotations

import io
import os
import select
import sys
import threading
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

MAX_WAITING = 1024 * 1024
"""Octets of the lines that wait: those of some three thousand endpoints that go down at the same time."""

LAST = 1.0
"""Seconds in which the lines that wait at the end of the program are still written."""

PATIENCE = 1000
"""Milliseconds for which the thread waits at a time, where the other side takes nothing and does not block either."""


class _Line(NamedTuple):
    """Octets to write, and how many dropped lines they tell of, 0 for an ordinary line."""

    octets: bytes
    tells: int = 0


class LogWriter:
    """Writes to a file descriptor.

    Args:
        descriptor: Where to.
        notice: Makes the line, with its line end, that says how many lines were dropped.
    """

    def __init__(self, descriptor: int, notice: Callable[[int], bytes]) -> None:
        self.dropped = 0
        """Lines that were dropped since the start."""
        self._descriptor = descriptor
        self._notice = notice
        self._waiting: deque[_Line] = deque()
        self._octets = 0
        self._untold = 0
        """Dropped lines that no line has told of."""
        self._failing = False
        """Whether the last write failed."""
        self._torn = False
        """Whether a line was written in part."""
        self._closing = False
        self._changed = threading.Condition()
        # A daemon thread: where a write never returns, the end of the program does not wait for it.
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()

    def put(self, line: bytes) -> None:
        """Let a line, with its line end, be written; it never waits."""
        with self._changed:
            if self._octets + len(line) > MAX_WAITING:
                self._drop(1)
                return
            if self._untold:
                self._append(self._told())
            self._append(_Line(line))
            self._changed.notify()

    def close(self, seconds: float = LAST) -> bool:
        """Write what waits, for so many seconds at most; return whether all was written."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _append(self, line: _Line) -> None:
        self._waiting.append(line)
        self._octets += len(line.octets)

    def _told(self) -> _Line:
        untold, self._untold = self._untold, 0
        return _Line(self._notice(untold), untold)

    def _drop(self, lines: int) -> None:
        self.dropped += lines
        self._untold += lines

    def _run(self) -> None:
        while line := self._next():
            written = self._write(line.octets)
            with self._changed:
                self._failing = not written
                if written:
                    continue
                if line.tells:
                    self._untold += line.tells
                else:
                    self._drop(1)

    def _next(self) -> _Line | None:
        """Wait for the next line; None at the end."""
        with self._changed:
            # While writing fails, a notice would only fail, too: the next line tries.
            while not self._waiting and (self._failing or not self._untold):
                if self._closing:
                    return None
                self._changed.wait()
            if not self._waiting:
                return self._told()
            line = self._waiting.popleft()
            self._octets -= len(line.octets)
            return line

    def _write(self, octets: bytes) -> bool:
        """Write all of it; return whether that succeeded."""
        left = memoryview(b"\n" + octets if self._torn else octets)
        whole = len(left)
        try:
            while left:
                try:
                    left = left[os.write(self._descriptor, left) :]
                except BlockingIOError:  # somebody else has made it non-blocking
                    poll = select.poll()
                    poll.register(self._descriptor, select.POLLOUT)
                    poll.poll(PATIENCE)
        except OSError:  # the reader has gone, the disk is full, …
            self._torn |= 0 < len(left) < whole
            return False
        self._torn = False
        return True


class StandardError(io.TextIOBase):
    """In place of `sys.stderr`: what Python itself and libraries print goes through the same queue."""

    encoding = "utf-8"
    errors = "backslashreplace"

    def __init__(self, writer: LogWriter) -> None:
        self._writer = writer
        self._begun = ""

    def writable(self) -> bool:
        """It is."""
        return True

    def fileno(self) -> int:
        """The descriptor, for the standard library's handler of crashes."""
        return sys.__stderr__.fileno() if sys.__stderr__ else 2

    def write(self, text: str) -> int:
        """Let every line that is complete be written."""
        *lines, self._begun = (self._begun + text).split("\n")
        for line in lines:
            self._writer.put(f"{line}\n".encode(errors="backslashreplace"))
        return len(text)

    def flush(self) -> None:
        """Let the begun line be written, too."""
        if self._begun:
            self.write("\n")
