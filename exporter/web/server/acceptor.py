"""TLS in front of HTTP: the handshake of each connection, with the certificate that is in force at that moment.

The handshake is done here, and not by the listening server: so it counts as a connection and has a time limit, and a
renewed certificate needs no restart.
"""

from __future__ import annotations

import asyncio
from typing import cast

from exporter.config.server_tls import ServerTls
from exporter.web.server.clients import client_of
from exporter.web.server.connections import Connections, ConnectionSlot
from exporter.web.server.protocol import PIECE, HttpConnection

HANDSHAKE_SECONDS = 10.0
"""Seconds in which a TLS handshake must be done."""

PLAIN_TEXT = "Client sent an HTTP request to an HTTPS server.\n"
"""The words of Go's servers, which people search for."""

CLOSE_NOTIFY_SECONDS = 0.5
"""Seconds in which a client must answer our close_notify: shutdown waits for it."""


class TlsAcceptor(asyncio.Protocol):
    """The protocol of a connection until its handshake is done; then `http` replaces it."""

    def __init__(
        self, http: HttpConnection, tls: ServerTls, connections: Connections, handshakes: set[asyncio.Task[None]]
    ) -> None:
        self._http = http
        self._tls = tls
        self._connections = connections
        self._handshakes = handshakes
        self._task: asyncio.Task[None] | None = None
        self._transport: asyncio.Transport
        self._early = b""
        self._first: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # a socket's is one
        """Begin the handshake, if there is a slot for one more connection."""
        self._transport = transport
        transport.set_write_buffer_limits(high=PIECE)
        self._http.slot = self._connections.admit(transport.abort, client_of(transport.get_extra_info("peername")))
        if self._http.slot is None:
            transport.abort()
            return
        self._task = asyncio.get_running_loop().create_task(self._do_handshake(self._http.slot), name="handshake")
        self._handshakes.add(self._task)
        self._task.add_done_callback(self._handshakes.discard)

    def data_received(self, data: bytes) -> None:
        """Keep data that arrives before the handshake has begun: it is a part of it."""
        self._transport.pause_reading()
        self._early += data
        if not self._first.done():
            self._first.set_result(None)

    def connection_lost(self, _exc: Exception | None) -> None:
        """Cancel the handshake, and release the slot of a client that has disconnected."""
        if self._task is not None:
            self._task.cancel()
        if self._http.slot is not None:
            self._http.slot.release()

    async def _do_handshake(self, slot: ConnectionSlot) -> None:
        loop = asyncio.get_running_loop()
        ends = loop.time() + HANDSHAKE_SECONDS
        inner = _InnerProtocol()
        try:
            async with asyncio.timeout_at(ends):
                await self._first
            if self._early[:1].isalpha():  # RFC 8446 §5.1: a handshake begins with 22, which is no letter
                self._refuse_plain_text()
                return
            loop.call_soon(self._pass_on_early_data)  # runs once `start_tls` waits
            secured = await loop.start_tls(
                self._transport,
                inner,
                self._tls.context,
                server_side=True,
                ssl_handshake_timeout=max(0.001, ends - loop.time()),
                ssl_shutdown_timeout=CLOSE_NOTIFY_SECONDS,
            )
        except asyncio.CancelledError:  # the server stops, or the client has disconnected
            self._transport.abort()
            raise
        except Exception:  # noqa: BLE001 (no TLS, a timeout, a certificate refused by OpenSSL or not read by ssl)
            secured = None
        if secured is None or inner.is_lost or not self._tls.admits(secured.get_extra_info("peercert")):
            slot.release()
            self._transport.abort()
        else:
            secured.set_protocol(self._http)
            self._http.connection_made(secured)
            if inner.early:
                self._http.data_received(inner.early)

    def _refuse_plain_text(self) -> None:
        self._transport.set_protocol(self._http)
        self._http.connection_made(self._transport)
        self._http.refuse(400, PLAIN_TEXT)
        self._transport.resume_reading()

    def _pass_on_early_data(self) -> None:
        """Give the transport's new protocol the data that came too early; reading is paused until then."""
        if self._transport.get_protocol() is self:
            return  # the handshake could not begin
        protocol = cast("asyncio.BufferedProtocol", self._transport.get_protocol())
        while self._early:
            buffer = cast("memoryview", protocol.get_buffer(len(self._early)))
            count = min(len(buffer), len(self._early))
            buffer[:count] = self._early[:count]
            self._early = self._early[count:]
            protocol.buffer_updated(count)


class _InnerProtocol(asyncio.Protocol):
    """Keeps what arrives between the end of the handshake and the moment in which `start_tls` returns."""

    early = b""
    is_lost = False

    def data_received(self, data: bytes) -> None:
        self.early += data

    def connection_lost(self, _exc: Exception | None) -> None:
        self.is_lost = True
