"""uvicorn, in the probes' own event loop."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator

import uvicorn
from starlette.types import ASGIApp

from exporter.web.server.accepting import Accepting
from exporter.web.server.acceptor import TlsAcceptor
from exporter.web.server.limits import MAX_HEAD
from exporter.web.server.protocol import HttpConnection, Shared
from exporter.web.server.websettings import WebSettings


class Server(uvicorn.Server):
    """uvicorn, without its signal handlers: the daemon has its own.

    Args:
        app: The ASGI application.
        settings: Whether connections are in TLS, and with which certificate.
    """

    def __init__(self, app: ASGIApp, settings: WebSettings | None = None) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_graceful_shutdown=1,
                h11_max_incomplete_event_size=MAX_HEAD,
            )
        )
        self.shared = Shared()
        self._settings = settings or WebSettings()
        self._handshakes: set[asyncio.Task[None]] = set()
        self.config.load()

    def new_protocol(self, stays_open: bool = True) -> asyncio.Protocol:
        """Return what serves one more connection, which may stay open after its first answer, or not."""
        http = HttpConnection(self.config, self.server_state, {}, self.shared, stays_open=stays_open)
        tls = self._settings.config.tls
        return http if tls is None else TlsAcceptor(http, tls, self.shared.connections, self._handshakes)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept connections."""
        await self.lifespan.startup()
        self.servers = []  # those of the event loop, in place of which connections are accepted here
        self._accepting = Accepting(sockets or (), self.new_protocol)
        self.started = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close all connections, those in a handshake at once."""
        self._accepting.close()
        for task in self._handshakes:
            task.cancel()
        await super().shutdown(sockets)

    async def stop(self) -> None:
        """Let `serve` return."""
        self.should_exit = True
