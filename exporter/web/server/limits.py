"""Requests that are refused before they are routed: too large, or sent by a page of another site."""

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
FOREIGN = "A page of another site has sent this: only this site's own pages may.\n"

_SAFE = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})  # RFC 9110 §9.2.1


@dataclass(frozen=True, slots=True)
class RequestLimits:
    """Refuses requests that are too large, and those of another site's pages that would change something."""

    app: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request, or refuse it."""
        headers = Headers(scope=scope)
        if _head_size(scope) > MAX_HEAD:
            answer: ASGIApp = PlainTextResponse(TOO_LARGE_HEAD, 431, {"Connection": "close"})
        elif _content_length(headers) > MAX_BODY:
            answer = PlainTextResponse(TOO_LARGE_BODY, 413)
        elif scope["method"] not in _SAFE and is_foreign(headers):
            answer = PlainTextResponse(FOREIGN, 403)
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


def is_foreign(headers: Headers) -> bool:
    """Whether a page of another site made the request. Only browsers send the headers for that."""
    # https://www.w3.org/TR/fetch-metadata/#sec-fetch-site-header: "none" is a request of the user's own.
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site not in {"same-origin", "none"}
    # Browsers leave it out over plain HTTP. RFC 6454 §7: no origin is the same as "null".
    # It is compared, not parsed: §6.2 has one form for it, and any other is foreign.
    origin = headers.get("origin")
    return origin is not None and origin.partition("://")[2].lower() != headers.get("host", "").lower()
