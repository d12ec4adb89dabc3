"""Headers of every answer: what a browser may do with it."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from exporter.web.server.websettings import WebSettings

ALWAYS = MappingProxyType(
    {
        # Nothing that is not ours, nothing inline: what a mail server says can never become a script.
        "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "deny",
        # Not no-referrer: our own pages' POSTs would come from the origin "null", and guard.py refuses that.
        "Referrer-Policy": "same-origin",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Embedder-Policy": "require-corp",
        "Cross-Origin-Resource-Policy": "same-origin",
    }
)

NOT_KEPT = "no-store"
"""Cache-Control of an answer that does not say its own: it is of this moment."""


@dataclass(frozen=True, slots=True)
class SecurityHeaders:
    """Adds them, as far as an answer does not have them; the web configuration file has the last word."""

    app: ASGIApp
    settings: WebSettings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with them."""

        async def send_with_them(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.setdefault("Cache-Control", NOT_KEPT)
                for name, value in ALWAYS.items():
                    headers.setdefault(name, value)
                for name, value in self.settings.config.headers.items():
                    if value:
                        headers[name] = value
                    else:
                        del headers[name]
            await send(message)

        await self.app(scope, receive, send_with_them)
