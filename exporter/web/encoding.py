"""Answers that are compressed where that is accepted, and not sent again where they did not change."""

from __future__ import annotations

import asyncio
import gzip
import hashlib

from starlette.requests import Request
from starlette.responses import Response

from exporter.web.scrape import SMALL, accepts_gzip


async def answer(request: Request, body: bytes, content_type: str, status: int = 200) -> Response:
    """Answer with `body`: as gzip where that is accepted, as 304 where the client has it."""
    headers = {
        "Cache-Control": "private, no-cache",
        "Content-Type": content_type,
        "Vary": "Accept-Encoding",
    }
    if status == 200:
        # Weak (RFC 9110 §8.8.1): the same for both encodings.
        headers["ETag"] = f'W/"{hashlib.sha256(body).hexdigest()[:16]}"'
        if request.headers.get("if-none-match") == headers["ETag"]:
            del headers["Content-Type"]
            return Response(status_code=304, headers=headers)
    if accepts_gzip(request.headers.get("accept-encoding", "")):
        headers["Content-Encoding"] = "gzip"
        if len(body) < SMALL:
            body = gzip.compress(body, compresslevel=1)
        else:
            body = await asyncio.to_thread(gzip.compress, body, compresslevel=5)
    return Response(body, status, headers=headers)
