"""Requests that are refused before anything else: too large."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_HEAD = 16 << 10
"""Octets of a request line and its headers, together."""

MAX_BODY = 64 << 10
"""Octets of a request's body: forms with nothing but a button in them."""

TOO_LARGE_HEAD = f"The request line and its headers have more than {MAX_HEAD} octets.\n"
TOO_LARGE_BODY = f"The body has more than {MAX_BODY} octets.\n"


@dataclass(frozen=True, slots=True)
class RequestLimits:
    """Refuses requests that are too large."""

    app: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request, or refuse it."""
        if _head_size(scope) > MAX_HEAD:
            answer: ASGIApp = PlainTextResponse(TOO_LARGE_HEAD, 431, {"Connection": "close"})
        elif _content_length(Headers(scope=scope)) > MAX_BODY:
            answer = PlainTextResponse(TOO_LARGE_BODY, 413)
        else:
            await self._pass_on(scope, receive, send)
            return
        await answer(scope, receive, send)

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request; a body without a Content-Length is counted while it is read."""
        read = 0

        async def receive_bounded() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > MAX_BODY:
                raise HTTPException(413, TOO_LARGE_BODY.rstrip())
            return message

        await self.app(scope, receive_bounded, send)


def _head_size(scope: Scope) -> int:
    size = len(scope.get("raw_path") or scope["path"]) + len(scope["query_string"])
    return size + sum(len(name) + len(value) for name, value in scope["headers"])


def _content_length(headers: Headers) -> int:
    length = headers.get("content-length", "")
    return int(length[:20]) if length.isascii() and length.isdecimal() else 0
