"""Listening sockets, and uvicorn in the probes' own event loop."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Iterator, Sequence

import uvicorn
from starlette.applications import Starlette
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle


class ListenError(Exception):
    """An address cannot be listened on; the message says why."""


def listen(addresses: Sequence[str]) -> list[socket.socket]:
    """Bind every address (`:9993`, `127.0.0.1:9993`, `[::1]:9993`) and return the listening sockets.

    Raises:
        ListenError: an address is malformed, in use, or not of this host. Nothing stays bound.
    """
    bound: list[socket.socket] = []
    try:
        for address in addresses:
            bound.append(_bind(address))  # noqa: PERF401 (what was bound before a failure must be closed)
    except ListenError:
        for bound_socket in bound:
            bound_socket.close()
        raise
    return bound


def _bind(address: str) -> socket.socket:
    host, port = _parse(address)
    try:
        if host == "":
            # Every interface: both families by one socket where this host has IPv6.
            if socket.has_dualstack_ipv6():
                return socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=1024)
            return socket.create_server(("0.0.0.0", port), backlog=1024)
        family, _, _, _, resolved = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        return socket.create_server(resolved[:2], family=family, backlog=1024)
    except (socket.gaierror, UnicodeError) as error:  # UnicodeError: no name of a host can be spelled so
        raise ListenError(f"cannot listen on {address}: {getattr(error, 'strerror', None) or 'no such host'}") from None
    except OSError as error:
        # Not the exception's own words: they repeat the address.
        raise ListenError(f"cannot listen on {address}: {os.strerror(error.errno or 0)}") from None


def _parse(address: str) -> tuple[str, int]:
    host, colon, port = address.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    if not colon or not port.isdecimal() or not port.isascii() or int(port) > 65535 or (":" in host and not bracketed):
        raise ListenError(f'cannot listen on {address}: wanted HOST:PORT or :PORT, such as ":9993" or "[::1]:9993"')
    return host.strip("[]") if bracketed else host, int(port)


REQUEST_SECONDS = 10.0
"""Seconds in which a request must have come whole, from the connection or from the answer before it."""


class _Http(H11Protocol):
    """HTTP/1.1 with a deadline for each request: without one, a client that sends nothing keeps a socket for ever."""

    _late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for the first request."""
        super().connection_made(transport)
        self._late = self.loop.call_later(REQUEST_SECONDS, transport.abort)

    def handle_events(self) -> None:
        """Take what came; a request that is whole is no longer waited for."""
        super().handle_events()
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is not None and not cycle.response_complete:
            self._in_time()

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        super().on_response_complete()
        self._in_time()
        if not self.transport.is_closing():
            self._late = self.loop.call_later(REQUEST_SECONDS, self.transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        self._in_time()
        super().connection_lost(exc)

    def _in_time(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None


class Server(uvicorn.Server):
    """uvicorn, without its signal handlers: the daemon has its own."""

    def __init__(self, app: Starlette) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=_Http,
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=1,
            )
        )

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield

    async def stop(self) -> None:
        """Let `serve` return."""
        self.should_exit = True
