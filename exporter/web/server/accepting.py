"""Connections are accepted a few at a time.

An event loop's own server accepts all that wait at once: a burst would take every file descriptor, those of the probes
too, before the first connection is closed for the limit, and hold up everything else. Where none is left, a few
connections are accepted on descriptors of the reserve; each is closed after its answer.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterable
from functools import partial

import structlog

from exporter.host.reserve import RESERVE, USED_UP, Reserve

AT_ONCE = 16
"""Connections that are accepted in one iteration of the event loop."""

MAX_BEGINNING = 32
"""Accepted connections whose protocol does not know them yet."""

PAUSE = 1.0
"""Seconds until the next attempt where the host has no descriptor or memory for a connection."""

log = structlog.get_logger("web")


class Accepting:
    """Accepts the connections of listening sockets.

    Args:
        sockets: They listen.
        new_protocol: Called for each connection, with whether it may stay open after its first answer.
        reserve: Has the descriptors of connections where the system has no other.
    """

    def __init__(
        self,
        sockets: Iterable[socket.socket],
        new_protocol: Callable[[bool], asyncio.Protocol],
        reserve: Reserve = RESERVE,
    ) -> None:
        self._sockets = list(sockets)
        self._new_protocol = new_protocol
        self._reserve = reserve
        reserve.fill()
        self._loop = asyncio.get_running_loop()
        self._beginning: set[asyncio.Task[None]] = set()
        self._pauses: dict[socket.socket, asyncio.TimerHandle] = {}
        for listening in self._sockets:
            listening.setblocking(False)
            self._resume(listening)

    def close(self) -> None:
        """Accept no more."""
        for listening in self._sockets:
            self._loop.remove_reader(listening)
        for pause in self._pauses.values():
            pause.cancel()
        for task in self._beginning:
            task.cancel()

    def _resume(self, listening: socket.socket) -> None:
        self._pauses.pop(listening, None)
        self._loop.add_reader(listening, self._accept, listening)

    def _accept(self, listening: socket.socket) -> None:
        for _ in range(AT_ONCE):
            if len(self._beginning) >= MAX_BEGINNING:
                return  # this is called again in the next iteration
            try:
                accepted, stays_open = self._accept_one(listening)
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:  # it stays readable: without a pause this would be called over and over
                log.error("no connection can be accepted", error=error.strerror)  # noqa: TRY400
                self._loop.remove_reader(listening)
                self._pauses[listening] = self._loop.call_later(PAUSE, self._resume, listening)
                return
            task = self._loop.create_task(self._begin(accepted, stays_open), name="accept")
            self._beginning.add(task)
            task.add_done_callback(self._beginning.discard)

    def _accept_one(self, listening: socket.socket) -> tuple[socket.socket, bool]:
        """Return a connection, and whether it may stay open."""
        try:
            accepted, _ = listening.accept()
        except OSError as error:
            if error.errno not in USED_UP:
                raise
            return self._reserve.accept(listening), False
        self._reserve.fill()
        return accepted, True

    async def _begin(self, accepted: socket.socket, stays_open: bool) -> None:
        accepted.setblocking(False)
        try:
            await self._loop.connect_accepted_socket(partial(self._new_protocol, stays_open), accepted)
        except BaseException as error:
            accepted.close()
            if not isinstance(error, OSError):  # the client has disconnected
                raise
