"""`/metrics`, in the format and the encoding that the scraper asks for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from exporter.exposition import Exposition
from exporter.web.encoding import encode


@dataclass(frozen=True, slots=True)
class Scrape:
    """The answer to Prometheus."""

    exposition: Exposition

    def routes(self) -> list[BaseRoute]:
        """Return what is answered where."""
        return [Route("/metrics", self.metrics)]

    async def metrics(self, request: Request) -> Response:
        """Answer in the format and the encoding that the scraper asks for."""
        return await negotiated(request, *self.exposition.pieces(request.headers.get("accept", "")))


async def negotiated(request: Request, pieces: Sequence[bytes], content_type: str) -> Response:
    """Answer with an exposition in the encoding that the scraper asks for."""
    body, headers = await encode(request, pieces)
    headers["Vary"] = "Accept, Accept-Encoding"
    # In headers, not as media_type: the negotiated type is complete, its charset included.
    headers["Content-Type"] = content_type
    return Response(body, headers=headers)
