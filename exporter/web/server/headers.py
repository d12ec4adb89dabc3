"""Headers of every response: what a browser may do with it."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from exporter.web.server.websettings import WebSettings

ALWAYS = MappingProxyType(
    {
        # Nothing from elsewhere and nothing inline: text of a mail server can never become a script.
        "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "deny",
        # Not no-referrer: a POST of our own pages would have the origin "null", which limits.py refuses.
        "Referrer-Policy": "same-origin",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Embedder-Policy": "require-corp",
        "Cross-Origin-Resource-Policy": "same-origin",
    }
)

NO_STORE = "no-store"
"""Cache-Control of a response that has none of its own."""


@dataclass(frozen=True, slots=True)
class SecurityHeaders:
    """Adds the headers that a response does not have; those of the web configuration replace all others."""

    app: ASGIApp
    settings: WebSettings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request, and add the headers."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.setdefault("Cache-Control", NO_STORE)
                for name, value in ALWAYS.items():
                    headers.setdefault(name, value)
                for name, value in self.settings.config.headers.items():
                    if value:
                        headers[name] = value
                    else:
                        del headers[name]
            await send(message)

        await self.app(scope, receive, send_with_headers)
