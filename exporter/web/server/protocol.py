"""HTTP/1.1 on one connection: uvicorn's, with a time limit for everything that a client can delay."""

from __future__ import annotations

import asyncio
from typing import Any

import h11
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle
from uvicorn.server import ServerState

from exporter.web.server.connections import Connections, ConnectionSlot
from exporter.web.server.headers import ALWAYS, NO_STORE
from exporter.web.server.limits import MAX_HEAD, TOO_LARGE_HEAD

REQUEST_SECONDS = 10.0
"""Seconds in which a request must be complete, and an answer must have been taken."""

ANSWER_SECONDS = 120.0
"""Seconds in which an answer must have been made; a probe for a scrape takes as long as the scrape's timeout."""

MALFORMED = "This is no request in HTTP/1.1.\n"
FULL = "There are too many connections: try again.\n"


class HttpConnection(H11Protocol):
    """One connection, in plain text or behind a `TlsAcceptor`."""

    def __init__(
        self, config: Config, server_state: ServerState, app_state: dict[str, Any], connections: Connections
    ) -> None:
        super().__init__(config, server_state, app_state, asyncio.get_running_loop())
        self.slot: ConnectionSlot | None = None
        self._connections = connections
        self._timeout: asyncio.TimerHandle | None = None
        self._is_serving = False
        self._is_refused = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Wait for the first request, if there is a slot for one more connection."""
        super().connection_made(transport)
        self.slot = self.slot or self._connections.admit(transport.abort)
        self._wait()
        if self.slot is None:
            # Only a busy server sends Retry-After: by that `exporter/healthcheck.py` knows it from an unhealthy one.
            self._refuse(503, FULL, ("Retry-After", "1"))
            transport.close()

    def data_received(self, data: bytes) -> None:
        """Take the data, unless the request was refused already."""
        if not self._is_refused:
            super().data_received(data)

    def handle_events(self) -> None:
        """Take the data; a request that is complete, with its body, is being served from now on."""
        super().handle_events()
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is not None and not cycle.more_body and not cycle.response_complete and not self._is_serving:
            self._serve()

    def on_response_complete(self) -> None:
        """Wait for the next request, and until the answer is taken."""
        self._wait()  # first, for the next line may find the next request in the buffer
        super().on_response_complete()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 (uvicorn has one text for all faults)
        """Refuse a request that h11 cannot parse."""
        if self.conn.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            self.transport.abort()  # a part of an answer was sent already
        elif len(self.conn.trailing_data[0]) > MAX_HEAD:
            self._refuse(431, TOO_LARGE_HEAD)
        else:
            self._refuse(400, MALFORMED)

    def connection_lost(self, exc: Exception | None) -> None:
        """Release what the connection holds."""
        self._limit(None)
        if self.slot is not None:
            self.slot.release()
        super().connection_lost(exc)

    def _refuse(self, status: int, text: str, *more: tuple[str, str]) -> None:
        body = text.encode()
        headers = [
            ("Content-Type", "text/plain; charset=utf-8"),
            ("Content-Length", str(len(body))),
            ("Cache-Control", NO_STORE),
            ("Connection", "close"),
            *more,
            *ALWAYS.items(),
        ]
        for event in (h11.Response(status_code=status, headers=headers), h11.Data(data=body), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
        # RFC 9112 §9.6: if it were closed while more data arrives, it would be reset, and the answer lost.
        self._is_refused = True
        if self.transport.can_write_eof():
            self.transport.write_eof()

    def _wait(self) -> None:
        self._is_serving = False
        if self.slot is not None:
            self.slot.wait()
        self._limit(REQUEST_SECONDS)

    def _serve(self) -> None:
        self._is_serving = True
        if self.slot is not None:
            self.slot.serve()
        self._limit(ANSWER_SECONDS)

    def _limit(self, seconds: float | None) -> None:
        """Close the connection after so many seconds unless this is called again; None sets no limit."""
        if self._timeout is not None:
            self._timeout.cancel()
        self._timeout = None if seconds is None else self.loop.call_later(seconds, self.transport.abort)
