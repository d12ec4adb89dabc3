"""What is refused before anybody looks at it: requests that are too large, and those that another site makes."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEAD = 16 << 10
"""Octets of a request line and its headers, together."""

BODY = 64 << 10
"""Octets of a request's body: forms with nothing but a button in them."""

TOO_LARGE_HEAD = f"The request line and its headers have more than {HEAD} octets.\n"
TOO_LARGE_BODY = f"The body has more than {BODY} octets.\n"
FOREIGN = "A page of another site has sent this: only this site's own pages may.\n"

_SAFE = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})  # RFC 9110 §9.2.1


@dataclass(frozen=True, slots=True)
class Guard:
    """Lets through what is of a sensible size and, where it changes something, was not made by another site."""

    app: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or refuse."""
        headers = Headers(scope=scope)
        if _head_size(scope) > HEAD:
            answer: ASGIApp = PlainTextResponse(TOO_LARGE_HEAD, 431, {"Connection": "close"})
        elif _announced(headers) > BODY:
            answer = PlainTextResponse(TOO_LARGE_BODY, 413)
        elif scope["method"] not in _SAFE and is_foreign(headers):
            answer = PlainTextResponse(FOREIGN, 403)
        else:
            await self._pass_on(scope, receive, send)
            return
        await answer(scope, receive, send)

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Count a body that did not say its size, as far as somebody reads it."""
        read = 0

        async def receive_bounded() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > BODY:
                raise HTTPException(413, TOO_LARGE_BODY.rstrip())
            return message

        await self.app(scope, receive_bounded, send)


def _head_size(scope: Scope) -> int:
    size = len(scope.get("raw_path") or scope["path"]) + len(scope["query_string"])
    return size + sum(len(name) + len(value) for name, value in scope["headers"])


def _announced(headers: Headers) -> int:
    length = headers.get("content-length", "")
    return int(length[:20]) if length.isascii() and length.isdecimal() else 0


def is_foreign(headers: Headers) -> bool:
    """Whether a browser says that another site's page made the request. What is no browser says nothing."""
    # https://www.w3.org/TR/fetch-metadata/#sec-fetch-site-header: "none" is the user's own doing.
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site not in {"same-origin", "none"}
    # Browsers leave it out over plain HTTP. RFC 6454 §7: "null" is an origin that nobody can be the same as.
    origin = headers.get("origin")
    return origin is not None and urlsplit(origin).netloc.lower() != headers.get("host", "").lower()
