"""Listening sockets, and uvicorn in the probes' own event loop."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Iterator, Sequence
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from exporter.model.address import split_address
from exporter.web.server.accepting import Accepting
from exporter.web.server.acceptor import TlsAcceptor
from exporter.web.server.limits import MAX_HEAD
from exporter.web.server.protocol import HttpConnection, Shared
from exporter.web.server.websettings import WebSettings

RECEIVE_BUFFER = 32 << 10
"""Octets that the kernel keeps of what a client sends before it is read."""

SEND_BUFFER = 64 << 10
"""Octets that the kernel keeps of an answer before they are sent; what is under way to the client is not limited."""


class ListenError(Exception):
    """An address cannot be listened on; the message has the reason."""


def listen(addresses: Sequence[str]) -> list[socket.socket]:
    """Return listening sockets, one for each address (`:9993`, `127.0.0.1:9993`, `[::1]:9993`).

    Raises:
        ListenError: An address is malformed, in use, or not of this host; no socket stays open.
    """
    bound: list[socket.socket] = []
    try:
        for address in addresses:
            bound.append(_bind(address))  # noqa: PERF401 (the sockets before a failure must be closed)
    except ListenError:
        for bound_socket in bound:
            bound_socket.close()
        raise
    return bound


def _bind(address: str) -> socket.socket:
    host, port = _parse(address)
    try:
        if host == "":
            # Every interface: one socket for both families, where this host has IPv6.
            if socket.has_dualstack_ipv6():
                return _bound(("::", port), socket.AF_INET6, dualstack=True)
            return _bound(("0.0.0.0", port), socket.AF_INET)
        family, _, _, _, resolved = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        return _bound(resolved[:2], family)
    except (socket.gaierror, UnicodeError) as error:  # UnicodeError: IDNA cannot encode the host
        raise ListenError(f"cannot listen on {address}: {getattr(error, 'strerror', None) or 'no such host'}") from None
    except OSError as error:
        # Not the text of the exception: it repeats the address.
        raise ListenError(f"cannot listen on {address}: {os.strerror(error.errno or 0)}") from None


def _bound(address: tuple[Any, ...], family: int, *, dualstack: bool = False) -> socket.socket:
    bound = socket.create_server(address, family=family, dualstack_ipv6=dualstack, backlog=1024)
    # Every connection has its options. The kernel would keep megabytes for each client that does not read, and for each
    # one that sends more than it is asked for; they count as memory of the service (cgroups).
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
    if hasattr(socket, "TCP_NOTSENT_LOWAT"):
        bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, SEND_BUFFER)
    return bound


def _parse(address: str) -> tuple[str, int]:
    host, port = split_address(address)
    if port is None or not port.isdecimal() or not port.isascii() or len(port) > 5 or int(port) > 65535:
        raise ListenError(f'cannot listen on {address}: wanted HOST:PORT or :PORT, such as ":9993" or "[::1]:9993"')
    return host, int(port)


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

    def new_protocol(self) -> asyncio.Protocol:
        """Return what serves one more connection."""
        http = HttpConnection(self.config, self.server_state, {}, self.shared)
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
