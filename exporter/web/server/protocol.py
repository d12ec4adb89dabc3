"""HTTP/1.1 on one connection: uvicorn's, with a limit to everything that a client can draw out."""

from __future__ import annotations

import asyncio
from typing import Any

import h11
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle
from uvicorn.server import ServerState

from exporter.web.server.connections import Connections, Place
from exporter.web.server.headers import ALWAYS, NOT_KEPT
from exporter.web.server.limits import HEAD, TOO_LARGE_HEAD

REQUEST_SECONDS = 10.0
"""Seconds in which a request must have come whole, and an answer must have been taken."""

ANSWER_SECONDS = 120.0
"""Seconds in which an answer must have been made; a probe for a scrape takes as long as the scrape may."""

MALFORMED = "This is no request in HTTP/1.1.\n"
FULL = "There are too many connections: try again.\n"


class Http(H11Protocol):
    """One connection, in the clear, or behind a `Door`."""

    def __init__(
        self, config: Config, server_state: ServerState, app_state: dict[str, Any], connections: Connections
    ) -> None:
        super().__init__(config, server_state, app_state, asyncio.get_running_loop())
        self.place: Place | None = None
        self._connections = connections
        self._late: asyncio.TimerHandle | None = None
        self._is_serving = False
        self._is_refused = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Wait for the first request, if there is room for one more connection."""
        super().connection_made(transport)
        self.place = self.place or self._connections.admit(transport.abort)
        self._wait()
        if self.place is None:
            # What is busy says when to come again; what is not healthy does not (`exporter/healthcheck.py`).
            self._refuse(503, FULL, ("Retry-After", "1"))
            transport.close()

    def data_received(self, data: bytes) -> None:
        """Take what came, unless the client was told already that nothing is taken from it."""
        if not self._is_refused:
            super().data_received(data)

    def handle_events(self) -> None:
        """Take what came; a request that is whole, its body included, is no longer waited for."""
        super().handle_events()
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is not None and not cycle.more_body and not cycle.response_complete and not self._is_serving:
            self._serve()

    def on_response_complete(self) -> None:
        """Wait for the next request, and for the answer to be taken."""
        self._wait()  # before what follows, which may find the next request here already
        super().on_response_complete()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 (uvicorn's word for every fault of a client)
        """Say what is wrong with a request that h11 does not take."""
        if self.conn.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            self.transport.abort()  # an answer is under way already: there is no place for another
        elif len(self.conn.trailing_data[0]) > HEAD:
            self._refuse(431, TOO_LARGE_HEAD)
        else:
            self._refuse(400, MALFORMED)

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        self._expect(None)
        if self.place is not None:
            self.place.leave()
        super().connection_lost(exc)

    def _refuse(self, status: int, text: str, *more: tuple[str, str]) -> None:
        body = text.encode()
        headers = [
            ("Content-Type", "text/plain; charset=utf-8"),
            ("Content-Length", str(len(body))),
            ("Cache-Control", NOT_KEPT),
            ("Connection", "close"),
            *more,
            *ALWAYS.items(),
        ]
        for event in (h11.Response(status_code=status, headers=headers), h11.Data(data=body), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
        # RFC 9112 §9.6: closed at once, with more on its way, the connection would be reset and the answer lost.
        self._is_refused = True
        if self.transport.can_write_eof():
            self.transport.write_eof()

    def _wait(self) -> None:
        self._is_serving = False
        if self.place is not None:
            self.place.wait()
        self._expect(REQUEST_SECONDS)

    def _serve(self) -> None:
        self._is_serving = True
        if self.place is not None:
            self.place.serve()
        self._expect(ANSWER_SECONDS)

    def _expect(self, seconds: float | None) -> None:
        """End the connection unless something happens within so many seconds; None expects nothing."""
        if self._late is not None:
            self._late.cancel()
        self._late = None if seconds is None else self.loop.call_later(seconds, self.transport.abort)
