"""HTTP/1.1 on one connection: uvicorn's, with a time limit for everything that a client can delay."""

from __future__ import annotations

import asyncio
import re
import sys
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import h11
from starlette.types import Message, Receive, Scope, Send
from uvicorn.config import Config
from uvicorn.protocols.http.flow_control import CLOSE_HEADER
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle
from uvicorn.server import ServerState

from exporter.web.server.clients import client_of
from exporter.web.server.connections import Connections, ConnectionSlot
from exporter.web.server.headers import ALWAYS, NO_STORE
from exporter.web.server.limits import MAX_HEAD, TOO_LARGE_HEAD
from exporter.web.server.outbox import Outbox
from exporter.web.server.turns import Turns

REQUEST_SECONDS = 10.0
"""Seconds in which a request must be complete, and the rest of an answer must have been taken."""

ANSWER_SECONDS = 120.0
"""Seconds in which an answer must be made and taken; a probe for a scrape takes as long as the scrape's timeout."""

PIECE = 16 << 10
"""Octets of an answer that are given to a connection at once. The next ones follow when it has sent three quarters."""

PIECE_SECONDS = 10.0
"""Seconds in which a client must take three quarters of a piece: a lower rate counts as not reading."""

MAX_PIECES = 1000
"""Empty lines in front of a request, and pieces of its body, such as chunks: each costs time, however short it is."""

_END_OF_HEAD = re.compile(rb"\n\r?\n")

UNKNOWN_CODING = "The only transfer coding that is understood here is chunked.\n"
TOO_MANY_PIECES = f"The request has more than {MAX_PIECES} chunks, or empty lines before it.\n"
MALFORMED = "This is no request in HTTP/1.1.\n"
FULL = "There are too many connections: try again.\n"


class TooManyPieces(h11.RemoteProtocolError):
    """A request comes in more than `MAX_PIECES`."""


@dataclass(frozen=True, slots=True)
class Shared:
    """What all connections share."""

    connections: Connections = field(default_factory=Connections)
    outbox: Outbox = field(default_factory=Outbox)
    turns: Turns = field(default_factory=Turns)


class _Parser(h11.Connection):
    """h11's, which passes over empty lines in front of a request, and bounds what costs more time than its octets show.

    RFC 9112 §2.2: a server "SHOULD ignore at least one empty line (CRLF) received prior to the request-line".
    """

    _pieces = 0
    """Empty lines in front of a request, or pieces of its body."""

    def next_event(self) -> type[h11.NEED_DATA | h11.PAUSED] | h11.Event:
        if self.their_state is h11.IDLE and not self._begin():
            return h11.NEED_DATA
        event = super().next_event()
        if isinstance(event, h11.Data):
            self._count()
        elif event is not h11.NEED_DATA and event is not h11.PAUSED:
            self._pieces = 0
        return event

    def _begin(self) -> bool:
        """Pass over empty lines; return whether there may be a request."""
        waiting = self._receive_buffer
        while (begin := bytes(waiting._data[:2])) == b"\r\n" or begin[:1] == b"\n":  # noqa: SLF001 (h11 has no other)
            waiting.maybe_extract_at_most(2 if begin == b"\r\n" else 1)
            self._count()
        # h11 has a limit only for a head that is not complete.
        if len(waiting) > MAX_HEAD and not _END_OF_HEAD.search(waiting._data, 0, MAX_HEAD):  # noqa: SLF001
            raise h11.RemoteProtocolError(TOO_LARGE_HEAD, error_status_hint=431)
        return begin != b"\r"  # the rest of the line is under way

    def _count(self) -> None:
        self._pieces += 1
        if self._pieces > MAX_PIECES:
            raise TooManyPieces(TOO_MANY_PIECES)


class HttpConnection(H11Protocol):
    """One connection, in plain text or behind a `TlsAcceptor`."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        shared: Shared,
        *,
        stays_open: bool = True,
    ) -> None:
        super().__init__(config, server_state, app_state, asyncio.get_running_loop())
        self.conn = _Parser(h11.SERVER, MAX_HEAD)
        self.slot: ConnectionSlot | None = None
        self.app = self._answer  # uvicorn calls it for each request
        self._shared = shared
        self._stays_open = stays_open
        self._client = ""
        self._deadline = 0.0
        self._timeout: asyncio.TimerHandle | None = None
        self._is_serving = False
        self._is_refused = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Wait for the first request, if there is a slot for one more connection."""
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=PIECE)
        self._client = client_of(transport.get_extra_info("peername"))
        self.slot = self.slot or self._shared.connections.admit(transport.abort, self._client)
        self._wait()
        if self.slot is None:
            # Only a busy server sends Retry-After: by that `exporter/healthcheck.py` knows it from an unhealthy one.
            self.refuse(503, FULL, ("Retry-After", "1"))
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

    def pause_writing(self) -> None:
        """Wait for the client to take what was sent; the connection may be closed for another one meanwhile."""
        super().pause_writing()
        if self._is_serving:
            self._wait_for_room()

    def resume_writing(self) -> None:
        """Go on with the answer."""
        super().resume_writing()
        if self._is_serving:
            self._go_on()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 (uvicorn has one text for all faults)
        """Refuse a request that h11 cannot parse."""
        error = sys.exc_info()[1]  # of h11: uvicorn calls this where it handles it
        if self.conn.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            self.transport.abort()  # a part of an answer was sent already
        elif isinstance(error, h11.RemoteProtocolError) and error.error_status_hint == 501:
            self.refuse(501, UNKNOWN_CODING)
        elif isinstance(error, TooManyPieces):
            self.refuse(400, TOO_MANY_PIECES)
        elif len(self.conn.trailing_data[0]) > MAX_HEAD:
            self.refuse(431, TOO_LARGE_HEAD)
        else:
            self.refuse(400, MALFORMED)

    def connection_lost(self, exc: Exception | None) -> None:
        """Release what the connection holds."""
        self._limit(None)
        if self.slot is not None:
            self.slot.release()
        super().connection_lost(exc)

    def refuse(self, status: int, text: str, *more: tuple[str, str]) -> None:
        """Answer with a line of text, and close the connection once the client has read it."""
        if self.cycle is not None:
            self.cycle.disconnected = True  # what is being answered now has no reader: nothing is sent behind this
            self.cycle.message_event.set()
        body = text.encode()
        headers = [
            ("Content-Type", "text/plain; charset=utf-8"),
            ("Content-Length", str(len(body))),
            ("Cache-Control", NO_STORE),
            ("Connection", "close"),
            *more,
            *ALWAYS.items(),
        ]
        if self.conn.our_state is h11.SEND_RESPONSE and self.scope["method"] == "HEAD":
            body = b""  # its body is refused
        for event in (h11.Response(status_code=status, headers=headers), h11.Data(data=body), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
        # RFC 9112 §9.6: if it were closed while more data arrives, it would be reset, and the answer lost.
        self._is_refused = True
        if self.transport.can_write_eof():
            self.transport.write_eof()

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._shared.turns.take(self._client)
        head: list[Message] = []
        await self.config.loaded_app(scope, receive, partial(self._send, scope, send, head))

    async def _send(self, scope: Scope, send: Send, head: list[Message], message: Message) -> None:
        """Send the head of an answer with its body: what is made counts as unsent while it waits for its turn, too."""
        if message["type"] == "http.response.start":
            close = [CLOSE_HEADER] if has_two_lengths(scope) else []
            head.append({**message, "headers": [*message["headers"], *close]})
            return
        body = message.get("body", b"")
        if len(body) <= PIECE:
            await self._begin(send, head)
            await send(message)
            return
        with self._shared.outbox.sending(body, self.transport.abort):
            await self._begin(send, head)
            await _send_in_pieces(send, message, len(body) if scope["method"] == "HEAD" else PIECE)

    async def _begin(self, send: Send, head: list[Message]) -> None:
        while head:
            await self._shared.turns.take(self._client)
            await send(head.pop())

    def _wait(self) -> None:
        self._is_serving = False
        if self.slot is not None:
            self.slot.wait()
        self._limit(REQUEST_SECONDS)

    def _serve(self) -> None:
        self._is_serving = True
        self._deadline = self.loop.time() + ANSWER_SECONDS
        if self.flow.write_paused:
            self._wait_for_room()
        else:
            self._go_on()

    def _wait_for_room(self) -> None:
        if self.slot is not None:
            self.slot.wait()
        self._limit(min(PIECE_SECONDS, self._deadline - self.loop.time()))

    def _go_on(self) -> None:
        if self.slot is not None:
            self.slot.serve()
        self._limit(self._deadline - self.loop.time())

    def _limit(self, seconds: float | None) -> None:
        """Close the connection after so many seconds unless this is called again; None sets no limit."""
        if self._timeout is not None:
            self._timeout.cancel()
        self._timeout = None if seconds is None else self.loop.call_later(seconds, self.transport.abort)


async def _send_in_pieces(send: Send, message: Message, octets: int) -> None:
    """Send a body in pieces, each when the client has taken those before: it is never copied as a whole."""
    with memoryview(message["body"]) as view:
        for at in range(0, len(view), octets):
            is_last = at + octets >= len(view)
            more = message.get("more_body", False) if is_last else True
            await send({**message, "body": view[at : at + octets], "more_body": more})


def has_two_lengths(scope: Scope) -> bool:
    """Whether a request says its length twice, as one that is smuggled past a proxy does.

    RFC 9112 §6.1: with Transfer-Encoding and Content-Length, "the server MUST close the connection after responding".
    """
    names = {name for name, _ in scope["headers"]}
    return b"transfer-encoding" in names and b"content-length" in names
