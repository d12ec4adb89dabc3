"""What the exporter answers over HTTP."""

from __future__ import annotations

import asyncio
import gzip
from dataclasses import dataclass

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route

from exporter import __version__
from exporter.health import Health
from exporter.metrics import Exposition
from exporter.store import Store

SMALL = 32 << 10
"""Octets below which compressing takes less time than handing it to a thread."""

_INDEX = f"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>gmail-exporter</title>
<h1>gmail-exporter {__version__}</h1>
<ul>
<li><a href="/metrics">Metrics</a></li>
<li><a href="/-/healthy">Healthy?</a></li>
<li><a href="/-/ready">Ready?</a></li>
</ul>
"""


@dataclass(frozen=True, slots=True)
class Pages:
    """The handlers, and what they look at."""

    exposition: Exposition
    store: Store
    health: Health

    def app(self) -> Starlette:
        """Return the ASGI application."""
        return Starlette(
            routes=[
                Route("/", self.index),
                Route("/metrics", self.metrics),
                Route("/-/healthy", self.healthy),
                Route("/-/ready", self.ready),
            ]
        )

    async def index(self, _request: Request) -> Response:
        """Link to the rest."""
        return HTMLResponse(_INDEX)

    async def metrics(self, request: Request) -> Response:
        """Answer in the format and the encoding that the scraper asks for."""
        body, content_type = self.exposition.render(request.headers.get("accept", ""))
        headers = {"Vary": "Accept, Accept-Encoding"}
        if accepts_gzip(request.headers.get("accept-encoding", "")):
            headers["Content-Encoding"] = "gzip"
            if len(body) < SMALL:
                body = gzip.compress(body, compresslevel=1)
            else:
                body = await asyncio.to_thread(gzip.compress, body, compresslevel=1)
        # In headers, not as media_type: the negotiated type is complete, its charset included.
        return Response(body, headers=headers | {"Content-Type": content_type})

    async def healthy(self, _request: Request) -> Response:
        """Say whether probes are being completed on time."""
        if problems := self.health.problems():
            return PlainTextResponse("".join(f"{problem}\n" for problem in problems), 503)
        return PlainTextResponse("Healthy.\n")

    async def ready(self, _request: Request) -> Response:
        """Say whether every target was probed."""
        if waiting := sum(series.last is None for series in self.store):
            return PlainTextResponse(f"{waiting} of {len(self.store)} targets were not probed yet.\n", 503)
        return PlainTextResponse("Ready.\n")


def accepts_gzip(accept_encoding: str) -> bool:
    """Whether gzip is named with a weight above 0 (RFC 9110 §12.5.3)."""
    for coding in accept_encoding.split(","):
        name, *parameters = (part.strip().lower() for part in coding.split(";"))
        if name == "gzip":
            return not any(parameter.replace(" ", "") in _NEVER for parameter in parameters)
    return False


_NEVER = frozenset({"q=0", "q=0.0", "q=0.00", "q=0.000"})
