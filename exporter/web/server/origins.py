"""Requests that a page of another site has made, in the browser of somebody who may use this one.

The browser says so in `Sec-Fetch-Site` and `Origin`, except where the owner of that page lets its name lead to the
address of this server (DNS rebinding): then it takes both for one site. But `Host` has a name that this server does not
know. A password or a client certificate prevents that too, for the browser has none for that name.
"""

from __future__ import annotations

from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from exporter.model.message import show
from exporter.web.server.websettings import WebSettings

FOREIGN = "A page of another site has sent this: only this site's own pages may.\n"

UNKNOWN_NAME = (
    "This exporter does not know the name {name}, by which it was addressed: a page of another site may have done so. "
    "If the name is right, start the exporter with --web.allowed-host=NAME, or with --web.external-url=URL.\n"
)

_SAFE = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})  # RFC 9110 §9.2.1


@dataclass(frozen=True, slots=True)
class OwnPages:
    """Refuses what a page of another site has sent: where it would have an effect, or be read.

    Attributes:
        open_paths: Paths that are asked for by any name: Prometheus' own, which show nothing but health and metrics.
    """

    app: ASGIApp
    settings: WebSettings
    open_paths: frozenset[str]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request, or refuse it."""
        headers = Headers(scope=scope)
        answer = self.app
        if scope["method"] not in _SAFE and is_foreign(headers):
            answer = PlainTextResponse(FOREIGN, 403)
        elif scope["path"] not in self.open_paths and not self.settings.config.authenticates:
            host = headers.get("host")
            if host is not None and not self.settings.hosts.knows(host):
                answer = PlainTextResponse(UNKNOWN_NAME.format(name=show(host)), 421)
        await answer(scope, receive, send)


def is_foreign(headers: Headers) -> bool:
    """Whether a page of another site made the request. Only browsers send the headers for that."""
    # https://www.w3.org/TR/fetch-metadata/#sec-fetch-site-header: "none" is a request of the user's own.
    if sites := headers.getlist("sec-fetch-site"):
        return not {"same-origin", "none"}.issuperset(sites)
    # Browsers leave it out over plain HTTP. RFC 6454 §7: no origin is the same as "null".
    # It is compared, not parsed: §6.2 has one form for it, and any other is foreign.
    host = headers.get("host", "").lower()
    return any(origin.partition("://")[2].lower() != host for origin in headers.getlist("origin"))
