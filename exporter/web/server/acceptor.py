"""TLS in front of HTTP: each connection's handshake, by the certificate of that moment.

The handshake is done here, and not by the listening server, so that it counts among the connections, ends in time, and
needs no restart when the certificate is renewed.
"""

from __future__ import annotations

import asyncio
from typing import cast

from exporter.config.server_tls import ServerTls
from exporter.web.server.connections import Connections, Place
from exporter.web.server.protocol import Http

HANDSHAKE_SECONDS = 10.0
"""Seconds in which a TLS handshake must be done."""

GOODBYE_SECONDS = 0.5
"""Seconds in which a client must answer our close_notify: the end of this program waits for that."""


class Door(asyncio.Protocol):
    """A connection until its handshake is done: then it is handed to `http`."""

    def __init__(
        self, http: Http, tls: ServerTls, connections: Connections, handshakes: set[asyncio.Task[None]]
    ) -> None:
        self._http = http
        self._tls = tls
        self._connections = connections
        self._handshakes = handshakes
        self._task: asyncio.Task[None] | None = None
        self._transport: asyncio.Transport
        self._early = b""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # a socket's is one
        """Begin the handshake, if there is room for one more connection."""
        self._transport = transport
        self._http.place = self._connections.admit(transport.abort)
        if self._http.place is None:
            transport.abort()
            return
        self._task = asyncio.get_running_loop().create_task(self._secure(self._http.place), name="handshake")
        self._handshakes.add(self._task)
        self._task.add_done_callback(self._handshakes.discard)

    def data_received(self, data: bytes) -> None:
        """Keep what comes before the handshake has begun: it is for that."""
        self._transport.pause_reading()
        self._early += data

    def connection_lost(self, _exc: Exception | None) -> None:
        """Forget a client that has gone before the handshake has begun."""
        if self._task is not None:
            self._task.cancel()
        if self._http.place is not None:
            self._http.place.leave()

    async def _secure(self, place: Place) -> None:
        loop = asyncio.get_running_loop()
        loop.call_soon(self._pass_on)  # runs when what follows waits
        inside = _Inside()
        try:
            secured = await loop.start_tls(
                self._transport,
                inside,
                self._tls.context,
                server_side=True,
                ssl_handshake_timeout=HANDSHAKE_SECONDS,
                ssl_shutdown_timeout=GOODBYE_SECONDS,
            )
        except OSError:  # no TLS, no certificate that is taken, no patience: the client's affair, and it is told
            secured = None
        if secured is None or inside.is_lost or not self._tls.admits(secured.get_extra_info("peercert")):
            place.leave()
            self._transport.abort()
        else:
            secured.set_protocol(self._http)
            self._http.connection_made(secured)
            if inside.early:
                self._http.data_received(inside.early)

    def _pass_on(self) -> None:
        """Give the transport's new protocol what came too early; reading is paused until then."""
        if self._transport.get_protocol() is self:
            return  # the handshake could not begin
        protocol = cast("asyncio.BufferedProtocol", self._transport.get_protocol())
        while self._early:
            buffer = cast("memoryview", protocol.get_buffer(len(self._early)))
            count = min(len(buffer), len(self._early))
            buffer[:count] = self._early[:count]
            self._early = self._early[count:]
            protocol.buffer_updated(count)


class _Inside(asyncio.Protocol):
    """Takes what comes between the end of the handshake and the moment in which we hear of it."""

    early = b""
    is_lost = False

    def data_received(self, data: bytes) -> None:
        self.early += data

    def connection_lost(self, _exc: Exception | None) -> None:
        self.is_lost = True
