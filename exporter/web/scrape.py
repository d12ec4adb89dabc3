"""`/metrics`, in the format and the encoding that the scraper asks for."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Sequence
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
        return await negotiated(request, *self.exposition.pieces(request.headers.get("accept", "")))


async def negotiated(request: Request, pieces: Sequence[bytes], content_type: str) -> Response:
    """Answer with an exposition in the encoding that the scraper asks for."""
    headers = {"Vary": "Accept, Accept-Encoding"}
    if not accepts_gzip(request.headers.get("accept-encoding", "")):
        body = b"".join(pieces)
    elif sum(map(len, pieces)) < SMALL:
        headers["Content-Encoding"] = "gzip"
        body = compress(pieces)
    else:
        headers["Content-Encoding"] = "gzip"
        body = await asyncio.to_thread(compress, pieces)
    # In headers, not as media_type: the negotiated type is complete, its charset included.
    return Response(body, headers=headers | {"Content-Type": content_type})


def compress(pieces: Sequence[bytes]) -> bytes:
    """Return the pieces as one gzip, joined only a few at a time: the whole would be most of the memory at its peak."""
    stream = zlib.compressobj(1, zlib.DEFLATED, _GZIP)
    packed = [stream.compress(b"".join(pieces[at : at + _AT_ONCE])) for at in range(0, len(pieces), _AT_ONCE)]
    return b"".join([*packed, stream.flush()])


_GZIP = zlib.MAX_WBITS | 16
_AT_ONCE = 256


def accepts_gzip(accept_encoding: str) -> bool:
    """Whether gzip is named with a weight above 0 (RFC 9110 §12.5.3)."""
    for coding in accept_encoding.split(","):
        name, *parameters = (part.strip().lower() for part in coding.split(";"))
        if name == "gzip":
            return not any(parameter.replace(" ", "") in _NEVER for parameter in parameters)
    return False


_NEVER = frozenset({"q=0", "q=0.0", "q=0.00", "q=0.000"})
