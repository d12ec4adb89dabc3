"""One TCP connection: connect, TLS, upgrade in place. It owns its receive buffer.

asyncio's own streams are not used: `StreamWriter.start_tls` hands plaintext that came with the STARTTLS reply to the
reader as if it had been encrypted. Here, a buffer that is not empty when the upgrade begins is an injection
(CVE-2011-0411 and its kin).

    OSError, ssl.SSLError      as the operating system and OpenSSL say
    ConnectionClosed           the server closed, in order
    PlaintextInjected          plaintext came before the upgrade to TLS
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
import sys
import time
from typing import cast

from exporter.probing.dialogue import MAX_LINE, ResponseTooLarge

_HIGH_WATER = 64 << 10
"""Octets in the buffer above which reading pauses: a server that floods must not fill the memory."""

_TCP_INFO_RTT = 68  # offset of tcpi_rtt in Linux's struct tcp_info, in microseconds


class ConnectionClosed(Exception):
    """The server closed the connection, in order."""


class PlaintextInjected(Exception):
    """Plaintext arrived between the STARTTLS reply and the upgrade."""


class Connection(asyncio.Protocol):
    """A connection to one address. Times are of `time.perf_counter`."""

    def __init__(self) -> None:
        self.connected_at = 0.0
        self.received_at = 0.0
        self.received = 0
        """Octets since the connection was made."""
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._end: Exception | None = None
        self._paused = False

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Note when the connection stood."""
        self.connected_at = time.perf_counter()
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Buffer what came, and note when: waking the reader takes its own time, which is not the server's."""
        self.received_at = time.perf_counter()
        self.received += len(data)
        self._buffer += data
        if len(self._buffer) > _HIGH_WATER and not self._paused and self._transport is not None:
            self._transport.pause_reading()
            self._paused = True
        self._wake()

    def eof_received(self) -> None:
        """Note that no more will come; the transport closes itself."""
        self._end_with(ConnectionClosed("the server closed the connection"))

    def connection_lost(self, exc: Exception | None) -> None:
        """Note why the connection went away."""
        self._end_with(exc or ConnectionClosed("the server closed the connection"))
        if not self._lost.done():
            self._lost.set_result(None)

    def _end_with(self, end: Exception) -> None:
        self._end = self._end or end
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # What a probe asks for

    async def read_line(self) -> bytes:
        """Return the next line without its line end.

        Raises:
            ResponseTooLarge: it is longer than `MAX_LINE`.
            ConnectionClosed, OSError: the connection ended before it did.
        """
        searched = 0
        while (end := self._buffer.find(b"\n", searched, MAX_LINE)) < 0:
            searched = len(self._buffer)
            if searched >= MAX_LINE:
                raise ResponseTooLarge(f"a line of more than {MAX_LINE} octets")
            await self._wait()
        return self._take(end + 1)[:-1].removesuffix(b"\r")

    async def read_bytes(self, count: int) -> bytes:
        """Return exactly `count` octets.

        Raises:
            ConnectionClosed, OSError: the connection ended before they came.
        """
        while len(self._buffer) < count:
            await self._wait()
        return self._take(count)

    def write(self, data: bytes) -> None:
        """Send `data`. A connection that is gone shows at the next read."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    async def start_tls(self, context: ssl.SSLContext, server_name: str) -> ssl.SSLObject:
        """Secure the connection in place; the result is for certificate facts.

        Raises:
            PlaintextInjected: something was received that nobody asked for.
            ssl.SSLError, OSError, ConnectionClosed: the handshake failed.
        """
        if self._buffer:
            raise PlaintextInjected(f"{len(self._buffer)} octets of plaintext came before the TLS handshake")
        if self._end is not None:
            raise self._end
        assert self._transport is not None  # noqa: S101 (connected)
        if self._transport.is_closing():
            # It was reset, and the loop has yet to say so: there is nothing left to upgrade.
            await self._lost
            await self._wait()  # which raises why
        # The deadline of the whole probe bounds this; asyncio's own time-out must only be later.
        upgrade = asyncio.get_running_loop().start_tls(
            self._transport, self, context, server_hostname=server_name, ssl_handshake_timeout=3600
        )
        try:
            secured = await upgrade
        except BaseException as error:
            # The loop has closed the connection, and tells only a protocol whose handshake was complete.
            self.connection_lost(None)
            # A reset has a number; what the loop raises when the server merely closes has none.
            if isinstance(error, ConnectionResetError) and error.errno is None:
                raise ConnectionClosed("the server closed the connection") from error
            raise
        if secured is None:
            self.connection_lost(None)
            raise ConnectionClosed("the server closed the connection")
        self._transport = secured
        return cast("ssl.SSLObject", secured.get_extra_info("ssl_object"))

    def tcp_rtt(self) -> float | None:
        """Return the kernel's estimate of the round-trip time in seconds; None where it does not tell."""
        if self._transport is None or not sys.platform.startswith("linux"):
            return None
        info = self._transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
        microseconds: int = struct.unpack_from("=I", info, _TCP_INFO_RTT)[0]
        return microseconds / 1e6

    def local_address(self) -> str:
        """Return this side's IP address."""
        assert self._transport is not None  # noqa: S101 (connected)
        return cast("str", self._transport.get_extra_info("sockname")[0])

    async def close(self, grace: float) -> None:
        """Say close_notify where TLS got that far, wait at most `grace` seconds for the server's, and close."""
        if self._transport is None:
            return
        self._transport.close()
        try:
            await asyncio.wait_for(asyncio.shield(self._lost), grace)
        except TimeoutError:
            self.abort()

    def abort(self) -> None:
        """Close at once, whatever the state."""
        if self._transport is not None:
            self._transport.abort()

    async def _wait(self) -> None:
        if self._end is not None:
            raise self._end
        if self._paused and self._transport is not None:
            self._paused = False
            self._transport.resume_reading()
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _take(self, count: int) -> bytes:
        taken = bytes(self._buffer[:count])
        del self._buffer[:count]
        return taken


async def connect(address: str, port: int) -> Connection:
    """Connect to one address, once.

    Raises:
        OSError: as the operating system says.
    """
    _, connection = await asyncio.get_running_loop().create_connection(Connection, address, port)
    return connection
