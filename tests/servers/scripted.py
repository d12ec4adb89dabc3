"""A small TCP and TLS server whose every byte a test decides, for what only a socket can show.

TLS runs over memory buffers, not in the transport: only so can the server tell a client that closed with close_notify
from one that merely closed the connection, and write plaintext behind a STARTTLS reply in the same segment.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Literal

from tests.servers.process import loopback_addresses
from tests.waiting import PATIENCE

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

CHUNK = 65536
LINGER_SECONDS = 30.0
EXIT_SECONDS = 1.0

Security = Literal["tls", "starttls", "none"]


class _Reader(asyncio.StreamReader):
    """A stream whose bytes can still be read after a reset: a client's close_notify may be among them."""

    was_reset = False

    def set_exception(self, exc: Exception) -> None:
        self.was_reset = True
        self.feed_eof()


class Session:
    """One connection, as the server sees it.

    Attributes:
        received: every byte that the client sent, decrypted.
        tls_version: for example `TLSv1.3`, once the handshake is done.
        tag: of the client's last IMAP command, for acts that answer it.
        close_notify: whether the client said in TLS that it closes; None while it has not closed. A reset
            (`was_reset`) may have overtaken it where the server was writing.
    """

    def __init__(self, server: ScriptedServer, reader: _Reader, writer: asyncio.StreamWriter) -> None:
        self.server = server
        self.received = bytearray()
        self.tag = b"*"
        self.tls_version: str | None = None
        self.close_notify: bool | None = None
        self._reader = reader
        self._writer = writer
        self._pending = bytearray()
        # The client's stream has ended; ours has.
        self._ended = self._closed = False
        self._tls: ssl.SSLObject | None = None
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()

    @property
    def encrypted(self) -> bool:
        """Whether TLS is up."""
        return self._tls is not None

    @property
    def was_reset(self) -> bool:
        """Whether the client ended the connection with a TCP reset."""
        return self._reader.was_reset

    async def start_tls(self) -> None:
        """Do the server's side of the handshake.

        Raises:
            ssl.SSLError: the handshake failed, for example because the client trusts no such certificate.
            ConnectionError: the client went away.
        """
        if self.server.context is None:
            raise ValueError("this scripted server was given no TLS context")
        self._incoming.write(bytes(self._pending))
        self._pending.clear()
        tls = self.server.context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        while True:
            try:
                tls.do_handshake()
            except ssl.SSLWantReadError:
                await self._send(self._outgoing.read())
                raw = await self._reader.read(CHUNK)
                if not raw:
                    self.close_notify = False
                    raise ConnectionResetError("the client closed during the handshake") from None
                self._incoming.write(raw)
            except ssl.SSLError:
                await self._send(self._outgoing.read())
                raise
            else:
                break
        self._tls, self.tls_version = tls, tls.version()
        await self._send(self._outgoing.read())

    async def write(self, data: bytes) -> None:
        """Send bytes, encrypted once TLS is up; in one segment where they fit one."""
        if self._tls is not None:
            self._tls.write(data)
            data = self._outgoing.read()
        await self._send(data)

    async def read_line(self) -> bytes:
        """The next line with its end; what is left without one, or nothing, once the client has closed."""
        while b"\n" not in self._pending and await self._receive():
            pass
        end = self._pending.find(b"\n") + 1 or len(self._pending)
        return self._take(end)

    async def read_exactly(self, count: int) -> bytes:
        """So many bytes; fewer only if the client has closed."""
        while len(self._pending) < count and await self._receive():
            pass
        return self._take(count)

    async def wait_closed(self) -> None:
        """Take what the client sends, and say nothing, until it closes."""
        while await self._receive():
            self._pending.clear()

    async def close(self, *, notify: bool = True) -> None:
        """Close as a server does: close_notify where TLS is up (unless told otherwise), then the end of the stream.

        Then wait for the client to close too, so that it is known how it did.
        """
        if self._closed:
            return
        if self._tls is not None and notify:
            with suppress(ssl.SSLError):
                self._tls.unwrap()
            await self._send(self._outgoing.read())
        self._closed = True
        # The client may have gone already.
        with suppress(OSError):
            self._writer.write_eof()
        with suppress(TimeoutError):
            async with asyncio.timeout(LINGER_SECONDS):
                await self.wait_closed()
        self.abort()

    def reset(self) -> None:
        """End the connection with a TCP reset."""
        handle: socket.socket = self._writer.get_extra_info("socket")
        # Closing with nothing to linger for is how a program sends RST.
        handle.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.abort()

    def abort(self) -> None:
        """Drop the connection, with whatever is still to be sent."""
        self._closed = self._ended = True
        self._writer.transport.abort()

    def _take(self, count: int) -> bytes:
        taken = bytes(self._pending[:count])
        del self._pending[:count]
        return taken

    async def _send(self, data: bytes) -> None:
        if self._closed:
            raise ConnectionAbortedError("the server has closed this connection")
        self._writer.write(data)
        await self._writer.drain()

    async def _receive(self) -> bool:
        """Add what comes next to the pending bytes; False at the end of the client's stream."""
        if self._ended:
            return False
        data = await self._reader.read(CHUNK) if self._tls is None else await self._decrypt(self._tls)
        if not data:
            self._ended = True
            self.close_notify = bool(self.close_notify)
            return False
        self.received += data
        self._pending += data
        return True

    async def _decrypt(self, tls: ssl.SSLObject) -> bytes:
        """What comes next through TLS; nothing at the end of the client's stream, however it ends."""
        while True:
            try:
                data = tls.read(CHUNK)
            except ssl.SSLWantReadError:
                if raw := await self._reader.read(CHUNK):
                    self._incoming.write(raw)
                else:
                    self._incoming.write_eof()
            except ssl.SSLZeroReturnError:
                self.close_notify = True
                return b""
            except ssl.SSLError as error:
                # Python before 3.11.4 has no SSLEOFError for what OpenSSL 3 says here.
                if isinstance(error, ssl.SSLEOFError) or error.reason == "UNEXPECTED_EOF_WHILE_READING":
                    return b""
                raise
            else:
                # An empty read is close_notify as well; an end without one is an error.
                self.close_notify = True if not data else None
                return data


Behaviour = Callable[[Session], Awaitable[None]]


class ScriptedServer:
    """Listens on loopback, or on `sockets`, and lets `behave` do what it likes with every connection.

    With security `tls` the handshake comes first, unless `behave` has an attribute `does_handshake` that is true:
    it then calls `Session.start_tls` itself, or never. When `behave` returns, the connection is closed properly. An
    exception of a behaviour that is neither the client's doing nor the end of the test is raised when the server ends.
    """

    host = "localhost"

    def __init__(
        self,
        behave: Behaviour,
        *,
        context: ssl.SSLContext | None = None,
        security: Security = "none",
        ipv6: bool = False,
        sockets: Sequence[socket.socket] = (),
    ) -> None:
        self.behave = behave
        self.context = context
        self.security = security
        if context is not None:
            # Python before 3.11.4 asks OpenSSL to take a bare end of the stream for close_notify.
            context.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF
        self.port = 0
        self.sessions: list[Session] = []
        self._handshake = security == "tls" and not getattr(behave, "does_handshake", False)
        self._addresses = loopback_addresses() if ipv6 else ["127.0.0.1"]
        self._sockets = sockets
        self._servers: list[asyncio.Server] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._errors: list[Exception] = []

    @property
    def connections(self) -> int:
        """How many connections were accepted so far."""
        return len(self.sessions)

    @property
    def received(self) -> list[bytes]:
        """What each connection sent, decrypted."""
        return [bytes(session.received) for session in self.sessions]

    @property
    def close_notify(self) -> list[bool | None]:
        """For each connection: closed by the client with close_notify, without it, or not yet closed (None)."""
        return [session.close_notify for session in self.sessions]

    async def wait_idle(self, connections: int = 1) -> None:
        """Wait until so many connections have come and all have ended, so that what is known of them is final.

        Raises:
            TimeoutError: not in time.
        """
        async with asyncio.timeout(PATIENCE):
            # A connection that its client has closed already may still be waiting to be accepted.
            while self._tasks or self.connections < connections:
                await asyncio.sleep(0.002)

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        for handle in self._sockets or _listen(self._addresses):
            self._servers.append(await loop.create_server(self._protocol, sock=handle, backlog=1024))
            self.port = handle.getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for server in self._servers:
            server.close()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=EXIT_SECONDS)
        for session in self.sessions:
            session.abort()
        for server in self._servers:
            with suppress(TimeoutError):
                await asyncio.wait_for(server.wait_closed(), EXIT_SECONDS)
        # An aborted transport closes its socket in the loop's next turn.
        await asyncio.sleep(0)
        if self._errors and error is None:
            raise self._errors[0]

    def _protocol(self) -> asyncio.StreamReaderProtocol:
        reader = _Reader()
        return asyncio.StreamReaderProtocol(reader, lambda _, writer: self._accept(reader, writer))

    def _accept(self, reader: _Reader, writer: asyncio.StreamWriter) -> None:
        session = Session(self, reader, writer)
        self.sessions.append(session)
        task = asyncio.create_task(self._serve(session))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, session: Session) -> None:
        try:
            if self._handshake:
                await session.start_tls()
            await self.behave(session)
            await session.close()
        except ConnectionError:
            # The client went away; perhaps it has said so before.
            await session.wait_closed()
        except ssl.SSLError:
            # The client refused the certificate, or spoke no TLS.
            pass
        except Exception as error:  # noqa: BLE001 - raised by __aexit__
            self._errors.append(error)
        finally:
            session.abort()


def _listen(addresses: list[str]) -> list[socket.socket]:
    """One listening socket for each address, all with the same port."""
    while True:
        with ExitStack() as opened, suppress(OSError):
            port = 0
            handles = []
            for address in addresses:
                handle = opened.enter_context(socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET))
                handle.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                handle.bind((address, port))
                handle.setblocking(False)
                port = handle.getsockname()[1]
                handles.append(handle)
            opened.pop_all()
            return handles
