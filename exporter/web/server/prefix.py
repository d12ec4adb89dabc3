"""A prefix in front of every path, as behind a proxy that leaves it there."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import unquote

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse, RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from exporter.model.address import split_address
from exporter.model.site import Site


@dataclass(frozen=True, slots=True)
class RoutePrefix:
    """Routes what stands behind the prefix, redirects to the pages where it is missing, and answers nothing else."""

    app: ASGIApp
    site: Site

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request."""
        prefix, path = unquote(self.site.route_prefix), scope["path"]
        answer = self.app
        if prefix and path.startswith(f"{prefix}/"):
            scope = {**scope, "root_path": prefix}  # Starlette routes what is behind it
        elif prefix and path in ("/", prefix):
            answer = RedirectResponse(self._pages(Headers(scope=scope)), 302)
        elif prefix:
            answer = PlainTextResponse(nothing_here(prefix), 404)
        await answer(scope, receive, send)

    def _pages(self, headers: Headers) -> str:
        """Return the path of the pages, as the client sees it: a proxy may have another one than this server."""
        host, _ = split_address(headers.get("host", ""))
        return self.site.external_path if host.lower() == self.site.external_host else f"{self.site.route_prefix}/"


def nothing_here(prefix: str) -> str:
    """Return the line for a path that is not answered."""
    return f"There is nothing here: the pages begin at {prefix}/.\n"
