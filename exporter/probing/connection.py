"""One TCP connection with its receive buffer: connect, read, write, start TLS, close.

asyncio's streams are not used: their `start_tls` passes plaintext that came with the STARTTLS reply to the reader as if
it had been encrypted. Here all that is in the buffer when TLS starts is the beginning of the handshake, whether it came
before the client's side of that or after it; where it is text, it is an injection after STARTTLS (CVE-2011-0411), and
the wrong port otherwise.

    OSError, ssl.SSLError      from the operating system and OpenSSL
    NoTLS                      one of these: the server speaks in the clear on a TLS port
    ConnectionClosed           the server closed the connection in order
    PlaintextInjected          the server goes on in the clear after STARTTLS
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

from exporter.probing.dialogue import MAX_LINE, ResponseTooLarge, excerpt
from exporter.probing.pace import Pace
from exporter.probing.tls_layer import TlsLayer

_HIGH_WATER = 64 << 10
"""Octets in the buffer above which reading pauses, so that a server cannot fill the memory."""

_TLS_RECORDS = range(20, 25)
"""The first octet of a TLS record (RFC 8446 §5.1, RFC 6520 §3); text for people begins with no such octet."""

_TCP_INFO_RTT = 68  # offset of tcpi_rtt in Linux's struct tcp_info, in microseconds


class ConnectionClosed(Exception):
    """The server closed the connection, in order."""


class PlaintextInjected(Exception):
    """Plaintext came where TLS should begin, after the server had agreed to STARTTLS."""


class NoTLS(ssl.SSLError):
    """Plaintext came where TLS should begin with the connection: the server speaks no TLS on this port."""


class Connection(asyncio.Protocol):
    """A connection to one address. Times are those of `time.perf_counter`."""

    def __init__(self) -> None:
        self.connected_at = 0.0
        self.secured_at = 0.0
        self.received_at = 0.0
        self.received = 0
        """Octets since the connect, after decryption."""
        self.pace = Pace()
        """Of whoever reads: to wait for the server is a pause."""
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._end: Exception | None = None
        self._paused = False
        self._layer: TlsLayer | None = None
        self._has_spoken = False
        """Whether anything was read or written in the clear."""
        self._closing = False

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Record the time of the connect."""
        self.connected_at = time.perf_counter()
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Buffer the data and record the time now: waking the reader takes time that is not the server's."""
        now = time.perf_counter()
        if self._layer is not None:
            data = self._receive_tls(self._layer, data)
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
        """Record the end; the transport closes itself."""
        self._end_with(ConnectionClosed("the server closed the connection"))
        self._close_in_order()

    def connection_lost(self, exc: Exception | None) -> None:
        """Record why the connection ended."""
        self._end_with(exc or ConnectionClosed("the server closed the connection"))
        if not self._lost.done():
            self._lost.set_result(None)

    def _receive_tls(self, layer: TlsLayer, data: bytes) -> bytes:
        """Return the plaintext of `data`; the first octet of a handshake shows whether it is one."""
        if not layer.begun and not layer.secured and data[0] not in _TLS_RECORDS:
            self._end_with(self._plaintext(data))
            self._close_in_order()
            return b""
        layer.begun = True
        return self._decrypt(layer, data)

    def _plaintext(self, data: bytes) -> Exception:
        """Return the error for plaintext in place of a handshake."""
        words = excerpt(data[:MAX_LINE].split(b"\n")[0].removesuffix(b"\r"))
        if self._has_spoken:
            return PlaintextInjected(f"{len(data)} octets of plaintext came in place of the TLS handshake: {words}")
        return NoTLS(ssl.SSL_ERROR_SSL, f"wrong version number: the server speaks in the clear on this port: {words}")

    def _decrypt(self, layer: TlsLayer, data: bytes) -> bytes:
        """Return the plaintext of `data`, and send what TLS itself has to answer."""
        plaintext, ended = b"", False
        try:
            if self._closing:
                ended = layer.close(data)
            elif layer.secured:
                plaintext, ended = layer.decrypt(data)
            elif layer.do_handshake(data):
                self.secured_at = time.perf_counter()
                self._flush(layer)  # the server waits for the end of the handshake
                plaintext, ended = layer.decrypt()
                self._wake()
        except ssl.SSLZeroReturnError:
            ended = True
        except ssl.SSLError as error:
            self._end_with(error)
            self._closing = True  # only the alert can still be sent
            ended = True
        self._flush(layer)
        if ended:
            self._end_with(ConnectionClosed("the server closed the connection"))
            self._close_in_order()
        return plaintext

    def _close_in_order(self) -> None:
        """Send close_notify, if that was not done, and close; what is written is still sent."""
        if self._transport is None:
            return
        if self._layer is not None and self._layer.secured and not self._closing:
            self._closing = True
            with suppress(ssl.SSLError):  # the connection ends in any case
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

    # For the probe

    async def read_line(self) -> bytes:
        """Return the next line without its line end.

        Raises:
            ResponseTooLarge: it is longer than `MAX_LINE`.
            ConnectionClosed, OSError: the connection ended first.
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
            ConnectionClosed, OSError: the connection ended first.
        """
        while len(self._buffer) < count:
            await self._wait()
        return self._take(count)

    def unread(self) -> bytes:
        """Return what has come of a line that is not complete."""
        return bytes(self._buffer[:MAX_LINE])

    def write(self, data: bytes) -> None:
        """Send `data`. If the connection has ended, the next read raises that."""
        if self._transport is None or self._transport.is_closing() or self._closing:
            return
        if self._layer is None:
            self._has_spoken = True
            self._transport.write(data)
        else:
            self._layer.encrypt(data)
            self._flush(self._layer)

    async def start_tls(self, context: ssl.SSLContext, server_name: str) -> ssl.SSLObject:
        """Do the TLS handshake on this connection; the result is for certificate facts.

        Raises:
            PlaintextInjected: after STARTTLS the server goes on in the clear.
            ssl.SSLError, OSError, ConnectionClosed: the handshake failed.
        """
        early, end = bytes(self._buffer), self._end
        self._buffer.clear()
        if early and early[0] not in _TLS_RECORDS:
            raise self._plaintext(early)
        if early:
            self._end = None  # it came after what is in the buffer
        elif end is not None:
            raise end
        layer = self._layer = TlsLayer(context, server_name)
        layer.do_handshake()
        self._flush(layer)
        if early:
            self._receive_tls(layer, early)
            self._end = self._end or end
        while not layer.secured:
            await self._wait()
        return layer.connection

    def tcp_rtt(self) -> float | None:
        """Return the kernel's estimate of the round-trip time in seconds; None where there is none."""
        if self._transport is None or not sys.platform.startswith("linux"):
            return None
        try:
            info = self._transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
            microseconds: int = struct.unpack_from("=I", info, _TCP_INFO_RTT)[0]
        except (OSError, struct.error):  # a kernel in user space, as of some containers, may not have it
            return None
        return microseconds / 1e6

    def local_address(self) -> str:
        """Return this side's IP address."""
        assert self._transport is not None  # noqa: S101 (connected)
        return cast("str", self._transport.get_extra_info("sockname")[0])

    async def close(self, grace: float) -> None:
        """Send close_notify after a handshake, wait at most `grace` seconds for the server's, and close."""
        if self._transport is None:
            return
        if self._layer is not None and self._layer.secured and not self._closing:
            self._closing = True
            self._resume()
            self._decrypt(self._layer, b"")  # closes at once if the server's has come
        elif self._layer is None or not self._layer.secured:
            self._transport.close()
        _, late = await asyncio.wait({self._lost}, timeout=grace)
        if late:
            self.abort()

    def abort(self) -> None:
        """Close at once, in any state, and let go of what was received."""
        if self._transport is not None:
            self._transport.abort()
        self._buffer.clear()
        if self._end is not None:
            # Its frames refer to the whole session, and that to this connection: a cycle, which would keep megabytes
            # until the garbage collector runs, and that is rare.
            self._end.__traceback__ = None

    async def _wait(self) -> None:
        if self._end is not None:
            raise self._end
        self._resume()
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None
        self.pace.begin()

    def _resume(self) -> None:
        if self._paused and self._transport is not None:
            self._paused = False
            self._transport.resume_reading()

    def _take(self, count: int) -> bytes:
        self._has_spoken = True
        taken = bytes(self._buffer[:count])
        del self._buffer[:count]
        return taken


async def connect(address: str, port: int) -> Connection:
    """Connect to one address, once.

    Raises:
        OSError: from the operating system.
    """
    _, connection = await asyncio.get_running_loop().create_connection(Connection, address, port)
    return connection
