"""File descriptors in reserve, for the few things that must work where this process may open no more files.

Whoever is on call then reads the pages, and Prometheus the metrics: a descriptor of the reserve is closed, so that the
next connection or file gets its number, and opened again as soon as that is closed.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager

SIZE = 8
"""Descriptors in reserve: a browser opens up to six connections, Prometheus and a health check one each."""

USED_UP = frozenset({errno.EMFILE, errno.ENFILE})
"""What the system says where this process, or the host, may open no more files (open(2), accept(2))."""


class Reserve:
    """Descriptors of /dev/null; it is used by one thread.

    Args:
        size: How many there are, those on loan included.
    """

    def __init__(self, size: int = SIZE) -> None:
        self._size = size
        self._held: list[int] = []
        self._on_loan = 0

    def __len__(self) -> int:
        return len(self._held)

    def is_needed(self) -> bool:
        """Return whether no file can be opened without it."""
        try:
            os.close(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))
        except OSError as error:
            return error.errno in USED_UP
        return False

    def fill(self) -> None:
        """Open what is missing, as far as possible."""
        try:
            while len(self._held) + self._on_loan < self._size:
                self._held.append(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))
        except OSError:
            return  # it is tried again with the next connection

    def lend(self, count: int = 1) -> int:
        """Close up to so many, so that others may be opened; return how many were closed."""
        closed = min(count, len(self._held))
        for _ in range(closed):
            os.close(self._held.pop())
        self._on_loan += closed
        return closed

    def take_back(self, count: int = 1) -> None:
        """So many that were lent are free again."""
        self._on_loan -= count
        self.fill()

    @contextmanager
    def lent(self, count: int) -> Iterator[None]:
        """Lend up to so many until the end of the block."""
        closed = self.lend(count)
        try:
            yield
        finally:
            self.take_back(closed)

    def accept(self, listening: socket.socket) -> socket.socket:
        """Accept a connection on a descriptor of the reserve, which gets it back when the connection is closed.

        Raises:
            BlockingIOError: No connection waits.
            OSError: The reserve is empty, or the system has nothing left for a connection.
        """
        if not self.lend():
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        try:
            accepted, _ = listening.accept()
        except BaseException:
            self.take_back()
            raise
        return _Borrowed(accepted, self)


class _Borrowed(socket.socket):
    """A connection on a descriptor of a reserve."""

    def __init__(self, accepted: socket.socket, lender: Reserve) -> None:
        super().__init__(fileno=accepted.detach())
        self._lender: Reserve | None = lender

    def close(self) -> None:
        """Close it, and give its descriptor back, before anything else can take that."""
        super().close()
        self._give_back()

    def detach(self) -> int:
        """Let go of the descriptor: uvloop calls this when it has closed that itself."""
        number = super().detach()
        self._give_back()
        return number

    def _give_back(self) -> None:
        lender, self._lender = self._lender, None
        if lender is not None:
            lender.take_back()


RESERVE = Reserve()
"""That of this process; empty until something fills it."""
