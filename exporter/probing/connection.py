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
from contextlib import suppress
from typing import cast

from exporter.probing.dialogue import MAX_LINE, ResponseTooLarge
from exporter.probing.tls_layer import TlsLayer

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
        self.secured_at = 0.0
        self.received_at = 0.0
        self.received = 0
        """Octets since the connection was made, without those of TLS itself."""
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._end: Exception | None = None
        self._paused = False
        self._layer: TlsLayer | None = None
        self._leaving = False

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Note when the connection stood."""
        self.connected_at = time.perf_counter()
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Buffer what came, and note when: waking the reader takes its own time, which is not the server's."""
        now = time.perf_counter()
        if self._layer is not None:
            data = self._decrypt(self._layer, data)
            if not data:
                return
        self.received_at = now
        self.received += len(data)
        self._buffer += data
        if len(self._buffer) > _HIGH_WATER and not self._paused and self._transport is not None:
            self._transport.pause_reading()
            self._paused = True
        self._wake()

    def eof_received(self) -> None:
        """Note that no more will come; the transport closes itself."""
        self._end_with(ConnectionClosed("the server closed the connection"))
        self._leave()

    def connection_lost(self, exc: Exception | None) -> None:
        """Note why the connection went away."""
        self._end_with(exc or ConnectionClosed("the server closed the connection"))
        if not self._lost.done():
            self._lost.set_result(None)

    def _decrypt(self, layer: TlsLayer, data: bytes) -> bytes:
        """Return what was said in `data`; do what TLS itself wants done."""
        said, ended = b"", False
        try:
            if self._leaving:
                ended = layer.close(data)
            elif layer.secured:
                said, ended = layer.decrypt(data)
            elif layer.do_handshake(data):
                self.secured_at = time.perf_counter()
                self._flush(layer)  # the server waits for it
                said, ended = layer.decrypt()
                self._wake()
        except ssl.SSLZeroReturnError:
            ended = True
        except ssl.SSLError as error:
            self._end_with(error)
            self._leaving = True  # nothing but the alert can be said any more
            ended = True
        self._flush(layer)
        if ended:
            self._end_with(ConnectionClosed("the server closed the connection"))
            self._leave()
        return said

    def _leave(self) -> None:
        """Say close_notify where that was not done, and close; what is written is still sent."""
        if self._transport is None:
            return
        if self._layer is not None and self._layer.secured and not self._leaving:
            self._leaving = True
            with suppress(ssl.SSLError):  # what there was to say has been said
                self._layer.close()
            self._flush(self._layer)
        self._transport.close()

    def _flush(self, layer: TlsLayer) -> None:
        if (data := layer.take()) and self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

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
        if self._transport is None or self._transport.is_closing() or self._leaving:
            return
        if self._layer is None:
            self._transport.write(data)
        else:
            self._layer.encrypt(data)
            self._flush(self._layer)

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
        layer = self._layer = TlsLayer(context, server_name)
        layer.do_handshake()
        self._flush(layer)
        while not layer.secured:
            await self._wait()
        return layer.connection

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
        if self._layer is not None and self._layer.secured and not self._leaving:
            self._leaving = True
            self._resume()
            self._decrypt(self._layer, b"")  # which closes where the server's has come already
        elif self._layer is None or not self._layer.secured:
            self._transport.close()
        _, late = await asyncio.wait({self._lost}, timeout=grace)
        if late:
            self.abort()

    def abort(self) -> None:
        """Close at once, whatever the state."""
        if self._transport is not None:
            self._transport.abort()

    async def _wait(self) -> None:
        if self._end is not None:
            raise self._end
        self._resume()
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _resume(self) -> None:
        if self._paused and self._transport is not None:
            self._paused = False
            self._transport.resume_reading()

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
