"""One TCP connection with its receive buffer: connect, read, write, start TLS, close.

asyncio's streams are not used: their `start_tls` passes plaintext that came with the STARTTLS reply to the reader as if
it had been encrypted. Here a buffer that is not empty when TLS starts is an injection (CVE-2011-0411).

    OSError, ssl.SSLError      from the operating system and OpenSSL
    ConnectionClosed           the server closed the connection in order
    PlaintextInjected          plaintext came before the TLS handshake
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import ssl
import time
from collections.abc import Callable
from contextlib import suppress
from typing import cast

from exporter.probing.dialogue import MAX_LINE, ResponseTooLarge, excerpt
from exporter.probing.kernel import ANCILLARY, ARRIVAL_CLOCK, TcpInfo, tcp_info
from exporter.probing.pace import Pace
from exporter.probing.tls_layer import TlsLayer

_HIGH_WATER = 64 << 10
"""Octets in the buffer above which reading pauses, so that a server cannot fill the memory."""

_TLS_RECORDS = range(20, 25)
"""The first octet of a TLS record (RFC 8446 §5.1, RFC 6520 §3); text for people begins with no such octet."""

_BUFFER = bytearray(256 << 10)
"""What one read takes, of any connection: it is copied from here before the next one."""
_VIEW = memoryview(_BUFFER)
_BUFFERS = [_BUFFER]


class ConnectionClosed(Exception):
    """The server closed the connection, in order."""


class PlaintextInjected(Exception):
    """Plaintext came where TLS should begin, after the server had agreed to STARTTLS."""


class NoTLS(ssl.SSLError):
    """Plaintext came where TLS should begin with the connection: the server speaks no TLS on this port."""


class Connection:
    """A connection to one address. Times are those of `time.perf_counter`.

    What arrives has the time of its arrival, which the kernel takes where it can (`probing/kernel.py`): in the time
    until this process reads it, it may have done other work.
    """

    def __init__(self) -> None:
        self.connected_at = 0.0
        self.secured_at = 0.0
        """When the server's last flight of the handshake arrived."""
        self.received_at = 0.0
        self.sent_at = 0.0
        """When the last octets were handed to the kernel."""
        self.received = 0
        """Octets since the connect, after decryption."""
        self.pace = Pace()
        """Of whoever reads: to wait for the server is a pause."""
        self.rtt: float | None = None
        """The kernel's first estimate of the round-trip time in seconds; None where there is none."""
        self.info: TcpInfo | None = None
        """What the kernel knew of the connection at its end; None before, or where it does not tell."""
        self._loop = asyncio.get_running_loop()
        self._socket: socket.socket | None = None
        self._buffer = bytearray()
        self._unsent = bytearray()
        self._waiter: asyncio.Future[None] | None = None
        self._lost: asyncio.Future[None] | None = None
        self._end: Exception | None = None
        self._reading = False
        self._layer: TlsLayer | None = None
        self._has_spoken = False
        """Whether anything was read or written in the clear."""
        self._closing = False
        """Whether close_notify was sent, or cannot be sent any more."""
        self._leaving = False
        """Whether the socket is closed as soon as all is sent."""

    # The socket

    async def open(self, address: str, port: int) -> None:
        """Connect.

        Raises:
            OSError: from the operating system.
        """
        opened = self._socket = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
        try:
            opened.setblocking(False)
            ARRIVAL_CLOCK.enable(opened)
            with suppress(OSError):  # else Nagle's algorithm may delay what is sent, and that is all
                opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await self._connect(opened, (address, port))
        except BaseException:
            self._dispose()
            raise

    async def _connect(self, opened: socket.socket, address: tuple[str, int]) -> None:
        began = time.perf_counter()
        error = opened.connect_ex(address)
        self.connected_at = time.perf_counter()
        if error == errno.EINPROGRESS:
            connected: asyncio.Future[None] = self._loop.create_future()
            self._loop.add_writer(opened.fileno(), self._note_connect, connected)
            try:
                await connected
            finally:
                self._loop.remove_writer(opened.fileno())
            error = opened.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error:
            raise OSError(error, os.strerror(error))
        if info := tcp_info(opened):
            self.rtt = info.rtt
            if info.total_retrans == 0 and info.rtt:
                # The kernel has measured from the connection request to the answer, and was not late.
                self.connected_at = min(self.connected_at, began + info.rtt)

    def _note_connect(self, connected: asyncio.Future[None]) -> None:
        self.connected_at = time.perf_counter()
        if not connected.done():
            connected.set_result(None)

    def _read(self) -> None:
        """Take what has arrived."""
        if self._socket is None:
            return
        try:
            count, ancillary, _, _ = self._socket.recvmsg_into(_BUFFERS, ANCILLARY)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._lose(error)
            return
        if count:
            self.receive(_VIEW[:count], ARRIVAL_CLOCK.time(ancillary))
        else:
            self._end_with(ConnectionClosed("the server closed the connection"))
            self._close_in_order()

    def _send(self, data: bytes) -> None:
        """Hand `data` to the kernel; what it does not take at once follows when it can."""
        if self._socket is None or self._leaving:
            return
        if self._unsent:
            self._unsent += data
            return
        # Before the call: over loopback the answer may arrive within it.
        self.sent_at = time.perf_counter()
        try:
            sent = self._socket.send(data)
        except (BlockingIOError, InterruptedError):
            sent = 0
        except OSError as error:
            self._lose(error)
            return
        if sent < len(data):
            self._unsent += data[sent:]
            self._loop.add_writer(self._socket.fileno(), self._send_rest)

    def _send_rest(self) -> None:
        assert self._socket is not None  # noqa: S101 (the writer is removed with the socket)
        rest, self._unsent = bytes(self._unsent), bytearray()
        self._loop.remove_writer(self._socket.fileno())
        leaving, self._leaving = self._leaving, False
        self._send(rest)
        if leaving:
            self._leave()

    def _leave(self) -> None:
        """Close the socket as soon as all is sent."""
        if self._unsent:
            self._leaving = True
        else:
            self._dispose()

    def _lose(self, error: OSError) -> None:
        self._end_with(error)
        self._dispose()

    def _dispose(self) -> None:
        """Close the socket now."""
        gone, self._socket = self._socket, None
        if gone is None:
            return
        self.info = self.info or tcp_info(gone)
        if self._reading:
            self._loop.remove_reader(gone.fileno())
        if self._unsent:
            self._loop.remove_writer(gone.fileno())
        gone.close()
        self._end_with(ConnectionClosed("the server closed the connection"))
        if self._lost is not None and not self._lost.done():
            self._lost.set_result(None)

    # What arrives

    def receive(self, data: bytes | memoryview, at: float) -> None:
        """Buffer the data that arrived at `at`: waking the reader takes time that is not the server's."""
        if self._layer is not None:
            data = self._receive_tls(self._layer, data, at)
            if not data:
                return
        self.received_at = at
        self.received += len(data)
        self._buffer += data
        if len(self._buffer) > _HIGH_WATER:
            self._pause()
        self._wake()

    def _receive_tls(self, layer: TlsLayer, data: bytes | memoryview, at: float) -> bytes:
        """Return the plaintext of `data`; the first octet of a handshake shows whether it is one."""
        if not layer.begun and not layer.secured and data[0] not in _TLS_RECORDS:
            self._end_with(self._plaintext(bytes(data)))
            self._close_in_order()
            return b""
        layer.begun = True
        return self._decrypt(layer, data, at)

    def _plaintext(self, data: bytes) -> Exception:
        """Return the error for plaintext in place of a handshake."""
        words = excerpt(data[:MAX_LINE].split(b"\n")[0].removesuffix(b"\r"))
        if self._has_spoken:
            return PlaintextInjected(f"{len(data)} octets of plaintext came in place of the TLS handshake: {words}")
        return NoTLS(ssl.SSL_ERROR_SSL, f"wrong version number: the server speaks in the clear on this port: {words}")

    def _decrypt(self, layer: TlsLayer, data: bytes | memoryview, at: float) -> bytes:
        """Return the plaintext of `data`, and send what TLS itself has to answer."""
        plaintext, ended = b"", False
        try:
            if self._closing:
                ended = layer.close(data)
            elif layer.secured:
                plaintext, ended = layer.decrypt(data)
            elif layer.do_handshake(data):
                self.secured_at = at
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
        if self._layer is not None and self._layer.secured and not self._closing:
            self._closing = True
            with suppress(ssl.SSLError):  # the connection ends in any case
                self._layer.close()
            self._flush(self._layer)
        self._leave()

    def _flush(self, layer: TlsLayer) -> None:
        if data := layer.take():
            self._send(data)

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
        if self._closing:
            return
        if self._layer is None:
            self._has_spoken = True
            self._send(data)
        else:
            self._layer.encrypt(data)
            self._flush(self._layer)

    async def start_tls(
        self, context: ssl.SSLContext, server_name: str, began: Callable[[float], None] = lambda _at: None
    ) -> ssl.SSLObject:
        """Do the TLS handshake on this connection; the result is for certificate facts.

        `began` is called with the time at which its first octets were handed to the kernel.

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
        began(self.sent_at)
        if early:
            self._receive_tls(layer, early, self.received_at)
            self._end = self._end or end
        while not layer.secured:
            await self._wait()
        return layer.connection

    @property
    def ready_at(self) -> float:
        """From when on the server may send its greeting: the connect, or the client's last flight of the handshake."""
        return max(self.secured_at, self.sent_at) if self.secured_at else self.connected_at

    def kernel_info(self) -> TcpInfo | None:
        """Return what the kernel knows of the connection, or knew at its end; None where it does not tell."""
        return self.info or (tcp_info(self._socket) if self._socket is not None else None)

    def local_address(self) -> str:
        """Return this side's IP address."""
        assert self._socket is not None  # noqa: S101 (connected)
        return cast("str", self._socket.getsockname()[0])

    async def close(self, grace: float) -> None:
        """Send close_notify after a handshake, wait at most `grace` seconds for the server's, and close."""
        if self._socket is None:
            return
        if self._layer is not None and self._layer.secured and not self._closing:
            self._closing = True
            self._resume()
            self._decrypt(self._layer, b"", 0.0)  # closes at once if the server's has come
        elif self._layer is None or not self._layer.secured:
            self._leave()
        if self._socket is not None:
            self._lost = self._loop.create_future()
            await asyncio.wait({self._lost}, timeout=grace)
            self.abort()

    def abort(self) -> None:
        """Close at once, in any state, and let go of what was received."""
        self._dispose()
        self._buffer.clear()
        if self._end is not None:
            # Its frames refer to the whole session, and that to this connection: a cycle, which would keep megabytes
            # until the garbage collector runs, and that is rare.
            self._end.__traceback__ = None

    async def _wait(self) -> None:
        if self._end is not None:
            raise self._end
        self._resume()
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None
        self.pace.begin()

    def _pause(self) -> None:
        if self._reading and self._socket is not None:
            self._loop.remove_reader(self._socket.fileno())
            self._reading = False

    def _resume(self) -> None:
        """Read what arrives from now on, and what has arrived already."""
        if not self._reading and self._socket is not None:
            self._loop.add_reader(self._socket.fileno(), self._read)
            self._reading = True

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
    connection = Connection()
    await connection.open(address, port)
    return connection
