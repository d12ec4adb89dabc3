"""Stands between a client and a server on loopback, and ends the server's side after a given number of octets."""

from __future__ import annotations

import asyncio
import socket
import struct
from contextlib import suppress
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

CHUNK = 65536

End = Literal["reset", "half-close", "silence"]
"""Reset the connection; end the server's stream and go on reading; read on and say nothing more."""


class Relay:
    """Passes on what both sides say. Of the server's octets, those after the first `most` of a connection are not.

    With `single`, each octet of the server is a segment of its own.
    """

    def __init__(
        self,
        port: int,
        address: str = "127.0.0.1",
        *,
        most: float = float("inf"),
        end: End = "silence",
        single: bool = False,
    ) -> None:
        self.port = 0
        self.passed = 0
        """Octets of the server that were passed on, of all connections."""
        self._server_port = port
        self._address = address
        self._most, self._end, self._single = most, end, single
        self._listening: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._listening = await asyncio.start_server(self._accept, self._address, 0)
        self.port = self._listening.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._listening is not None
        self._listening.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        server, to_server = await asyncio.open_connection("127.0.0.1", self._server_port)
        forward = asyncio.create_task(_forward(client, to_server))
        try:
            with suppress(ConnectionError, RuntimeError):  # uvloop's for a transport that is closed
                await self._answer(server, to_client)
            await forward  # until the client closes, too
        finally:
            forward.cancel()
            to_client.transport.abort()
            to_server.transport.abort()
            self._tasks.discard(task)

    async def _answer(self, server: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        handle: socket.socket = to_client.get_extra_info("socket")
        handle.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        left = self._most
        while left > 0:
            data = await server.read(1 if self._single else int(min(left, CHUNK)))
            if not data:
                to_client.write_eof()
                return
            to_client.write(data)
            await to_client.drain()
            if self._single:
                await asyncio.sleep(0)
            left -= len(data)
            self.passed += len(data)
        if self._end == "reset":
            # A reset that overtakes the client's connect would be a failure of that.
            await asyncio.sleep(0.02)
            handle.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            to_client.transport.abort()
        elif self._end == "half-close":
            to_client.write_eof()


async def _forward(client: asyncio.StreamReader, to_server: asyncio.StreamWriter) -> None:
    try:
        while data := await client.read(CHUNK):
            to_server.write(data)
            await to_server.drain()
        to_server.write_eof()
    except (ConnectionError, RuntimeError):
        to_server.transport.abort()  # what waits for an answer of the server is not to wait for ever
