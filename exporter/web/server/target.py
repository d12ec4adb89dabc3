"""Every form of a request's target that a server must accept (RFC 9112 §3.2), as if it had been a path.

§3.2.2: a server that gets the absolute form "MUST ignore the received Host header field (if any) and instead use the
host information of the request-target."
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import unquote

from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

METHODS = "GET, HEAD, POST, OPTIONS"
"""What this server answers, on one path or another."""

NO_TARGET = "The target of the request is neither a path nor an address of this server.\n"
NO_PROXY = f"CONNECT is not answered here, only {METHODS}.\n"

_SCHEMES = (b"http", b"https")


@dataclass(frozen=True, slots=True)
class RequestTarget:
    """Gives the application a path and a Host, whichever form the client has used; refuses what is no target."""

    app: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request, or refuse it."""
        resolved = resolve(scope)
        if isinstance(resolved, Response):
            await resolved(scope, receive, send)
        else:
            await self.app(resolved, receive, send)


def resolve(scope: Scope) -> Scope | Response:
    """Return the scope with a path and a Host, or the answer where there is none."""
    raw: bytes = scope.get("raw_path") or scope["path"].encode()
    if scope["method"] == "CONNECT":
        # §3.2.3: the authority form is only for CONNECT, which asks for a tunnel: this is no proxy (RFC 9110 §15.5.6).
        return PlainTextResponse(NO_PROXY, 405, {"Allow": METHODS})
    if raw.startswith(b"/"):  # §3.2.1, the origin form
        return scope
    if raw == b"*" and scope["method"] == "OPTIONS":  # §3.2.4, the asterisk form: about the server as a whole
        return Response(status_code=204, headers={"Allow": METHODS})
    scheme, separator, rest = raw.partition(b"://")
    authority, slash, path = rest.partition(b"/")
    # RFC 9110 §4.2.4: a user in the address would disguise the host.
    if not separator or scheme.lower() not in _SCHEMES or not authority or b"@" in authority:
        return PlainTextResponse(NO_TARGET, 400, {"Connection": "close"})
    if scope["method"] == "OPTIONS" and not slash and not scope["query_string"]:
        return Response(status_code=204, headers={"Allow": METHODS})  # §3.2.4: without a path it is about the server
    headers = [(name, value) for name, value in scope["headers"] if name != b"host"]
    raw = slash + path or b"/"
    changed = {
        "raw_path": raw,
        "path": unquote(raw.decode("ascii", "replace")),
        "headers": [(b"host", authority), *headers],
    }
    return {**scope, **changed}
