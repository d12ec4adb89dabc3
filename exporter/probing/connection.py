"""One TCP connection with its receive buffer: connect, read, write, start TLS, close.

asyncio's streams are not used: their `start_tls` passes plaintext that came with the STARTTLS reply to the reader as if
it had been encrypted. Here a buffer that is not empty when TLS starts is an injection (CVE-2011-0411).

    OSError, ssl.SSLError      from the operating system and OpenSSL
    ConnectionClosed           the server closed the connection in order
    PlaintextInjected          plaintext came before the TLS handshake
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from contextlib import suppress

from exporter.probing.dialogue import MAX_LINE, MAX_REPLY, ResponseTooLarge, excerpt
from exporter.probing.pace import Pace
from exporter.probing.tcp import TcpSocket
from exporter.probing.tls_layer import TlsLayer

_HIGH_WATER = 64 << 10
"""Octets in the buffer above which reading pauses, so that a server cannot fill the memory."""

_MAX_EXPANSION = 3
"""Octets of TLS for one of text, with `MAX_REPLY` more: records of one octet have 23, and session tickets no text."""

_TLS_RECORDS = range(20, 25)
"""The first octet of a TLS record (RFC 8446 §5.1, RFC 6520 §3); text for people begins with no such octet."""


class ConnectionClosed(Exception):
    """The server closed the connection, in order."""


class PlaintextInjected(Exception):
    """Plaintext came where TLS should begin, after the server had agreed to STARTTLS."""


class NoTLS(ssl.SSLError):
    """Plaintext came where TLS should begin with the connection: the server speaks no TLS on this port."""


class Connection:
    """A connection to one address. Times are those of `time.perf_counter`; what arrives has that of its arrival."""

    def __init__(self) -> None:
        self.tcp = TcpSocket()
        self.secured_at = 0.0
        """When the server's last flight of the handshake arrived."""
        self.received_at = 0.0
        self.received = 0
        """Octets since the connect, after decryption."""
        self.pace = Pace()
        """Of whoever reads: to wait for the server is a pause."""
        self._loop = asyncio.get_running_loop()
        self._buffer = bytearray()
        self._waiter: asyncio.Future[None] | None = None
        self._end: Exception | None = None
        self._layer: TlsLayer | None = None
        self._encrypted = 0
        """Octets since TLS began, before decryption."""
        self._has_spoken = False
        """Whether anything was read or written in the clear."""
        self._closing = False
        """Whether close_notify was sent, or cannot be sent any more."""

    async def open(self, address: str, port: int) -> None:
        """Connect.

        Raises:
            OSError: from the operating system.
        """
        await self.tcp.open(address, port, self)

    # What arrives

    def receive(self, data: bytes | memoryview, at: float) -> None:
        """Buffer the data that arrived at `at`: waking the reader takes time that is not the server's."""
        if self._layer is not None:
            self._encrypted += len(data)
            data = self._receive_tls(self._layer, data, at)
            self._check_expansion(self.received + len(data))
            if not data:
                return
        self.received_at = at
        self.received += len(data)
        self._buffer += data
        if len(self._buffer) > _HIGH_WATER:
            self.tcp.pause()
        self._wake()

    def receive_end(self) -> None:
        """Note that the server closed its side, and close this one."""
        self._end_with(_closed())
        self._close_in_order()

    def lose(self, error: OSError | None) -> None:
        """Note that the socket is closed."""
        self._end_with(error or _closed())

    def _receive_tls(self, layer: TlsLayer, data: bytes | memoryview, at: float) -> bytes:
        """Return the plaintext of `data`; the first octet of a handshake shows whether it is one."""
        if not layer.begun and not layer.secured and data[0] not in _TLS_RECORDS:
            self._end_with(self._plaintext(bytes(data)))
            self._close_in_order()
            return b""
        layer.begun = True
        return self._decrypt(layer, data, at)

    def _check_expansion(self, octets: int) -> None:
        """End a connection on which much comes and says little: it would cost time until the deadline."""
        if self._encrypted > MAX_REPLY + _MAX_EXPANSION * octets and self._end is None:
            self._end_with(ResponseTooLarge(f"{self._encrypted} octets of TLS records with {octets} octets of text"))
            self._close_in_order()

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
            self._end_with(_closed())
            self._close_in_order()
        return plaintext

    def _close_in_order(self) -> None:
        """Send close_notify, if that was not done, and close; what is written is still sent."""
        if self._layer is not None and self._layer.secured and not self._closing:
            self._closing = True
            with suppress(ssl.SSLError):  # the connection ends in any case
                self._layer.close()
            self._flush(self._layer)
        self.tcp.leave()

    def _flush(self, layer: TlsLayer) -> None:
        if data := layer.take():
            self.tcp.send(data)

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
            self.tcp.send(data)
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
        began(self.tcp.sent_at)
        if early:
            self._receive_tls(layer, early, self.received_at)
            self._end = self._end or end
        while not layer.secured:
            await self._wait()
        return layer.connection

    @property
    def sent_at(self) -> float:
        """When the last octets were handed to the kernel."""
        return self.tcp.sent_at

    @property
    def ready_at(self) -> float:
        """From when on the server may send its greeting: the connect, or the client's last flight of the handshake."""
        return max(self.secured_at, self.tcp.sent_at) if self.secured_at else self.tcp.connected_at

    async def close(self, grace: float) -> None:
        """Send close_notify after a handshake, wait at most `grace` seconds for the server's, and close."""
        if not self.tcp.is_open:
            return
        if self._layer is not None and self._layer.secured and not self._closing:
            self._closing = True
            self.tcp.resume()
            self._decrypt(self._layer, b"", 0.0)  # closes at once if the server's has come
        elif self._layer is None or not self._layer.secured:
            self.tcp.leave()
        await self.tcp.wait_closed(grace)
        self.abort()

    def abort(self) -> None:
        """Close at once, in any state, and let go of what was received."""
        self.tcp.close()
        self._buffer.clear()
        if self._end is not None:
            # Its frames refer to the whole session, and that to this connection: a cycle, which would keep megabytes
            # until the garbage collector runs, and that is rare.
            self._end.__traceback__ = None

    async def _wait(self) -> None:
        if self._end is not None:
            raise self._end
        self.tcp.resume()
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None
        self.pace.begin()

    def _take(self, count: int) -> bytes:
        self._has_spoken = True
        taken = bytes(self._buffer[:count])
        del self._buffer[:count]
        return taken


def _closed() -> ConnectionClosed:
    return ConnectionClosed("the server closed the connection")


async def connect(address: str, port: int) -> Connection:
    """Connect to one address, once.

    Raises:
        OSError: from the operating system.
    """
    connection = Connection()
    await connection.open(address, port)
    return connection
