"""`/metrics`, in the format and the encoding that the scraper asks for."""

from __future__ import annotations

import asyncio
import gzip
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from exporter.exposition import Exposition

SMALL = 32 << 10
"""Octets below which compressing takes less time than handing it to a thread."""


@dataclass(frozen=True, slots=True)
class Scrape:
    """The answer to Prometheus."""

    exposition: Exposition

    def routes(self) -> list[BaseRoute]:
        """Return what is answered where."""
        return [Route("/metrics", self.metrics)]

    async def metrics(self, request: Request) -> Response:
        """Answer in the format and the encoding that the scraper asks for."""
        return await negotiated(request, *self.exposition.render(request.headers.get("accept", "")))


async def negotiated(request: Request, body: bytes, content_type: str) -> Response:
    """Answer with an exposition in the encoding that the scraper asks for."""
    headers = {"Vary": "Accept, Accept-Encoding"}
    if accepts_gzip(request.headers.get("accept-encoding", "")):
        headers["Content-Encoding"] = "gzip"
        if len(body) < SMALL:
            body = gzip.compress(body, compresslevel=1)
        else:
            body = await asyncio.to_thread(gzip.compress, body, compresslevel=1)
    # In headers, not as media_type: the negotiated type is complete, its charset included.
    return Response(body, headers=headers | {"Content-Type": content_type})


def accepts_gzip(accept_encoding: str) -> bool:
    """Whether gzip is named with a weight above 0 (RFC 9110 §12.5.3)."""
    for coding in accept_encoding.split(","):
        name, *parameters = (part.strip().lower() for part in coding.split(";"))
        if name == "gzip":
            return not any(parameter.replace(" ", "") in _NEVER for parameter in parameters)
    return False


_NEVER = frozenset({"q=0", "q=0.0", "q=0.00", "q=0.000"})
