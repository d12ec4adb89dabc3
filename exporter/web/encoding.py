"""Answers that are compressed where that is accepted, and not sent again where they did not change."""

from __future__ import annotations

import asyncio
import hashlib
import zlib
from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import Response

SMALL = 32 << 10
"""Octets below which compressing takes less time than handing it to a thread."""

_GZIP = zlib.MAX_WBITS | 16
_AT_ONCE = 256
_NEVER = frozenset({"q=0", "q=0.0", "q=0.00", "q=0.000"})


async def answer(request: Request, body: bytes, content_type: str, status: int = 200) -> Response:
    """Answer with `body`: compressed where that is accepted, as 304 where the client has it."""
    headers = {"Cache-Control": "private, no-cache", "Vary": "Accept-Encoding"}
    if status == 200:
        # Weak (RFC 9110 §8.8.1): the same for both encodings.
        headers["ETag"] = f'W/"{hashlib.sha256(body).hexdigest()[:16]}"'
        if request.headers.get("if-none-match") == headers["ETag"]:
            return Response(status_code=304, headers=headers)
    encoded, how = await encode(request, [body])
    return Response(encoded, status, headers=headers | how | {"Content-Type": content_type})


async def encode(request: Request, pieces: Sequence[bytes]) -> tuple[bytes, dict[str, str]]:
    """Return the pieces as one body, as gzip where that is accepted, and the headers that say so."""
    if not accepts_gzip(request.headers.get("accept-encoding", "")):
        return b"".join(pieces), {}
    small = sum(map(len, pieces)) < SMALL
    body = compress(pieces) if small else await asyncio.to_thread(compress, pieces)
    return body, {"Content-Encoding": "gzip"}


def compress(pieces: Sequence[bytes]) -> bytes:
    """Return the pieces as one gzip, joined only a few at a time: the whole would be most of the memory at its peak."""
    stream = zlib.compressobj(1, zlib.DEFLATED, _GZIP)
    packed = [stream.compress(b"".join(pieces[at : at + _AT_ONCE])) for at in range(0, len(pieces), _AT_ONCE)]
    return b"".join([*packed, stream.flush()])


def accepts_gzip(accept_encoding: str) -> bool:
    """Whether gzip is named with a weight above 0 (RFC 9110 §12.5.3)."""
    for coding in accept_encoding.split(","):
        name, *parameters = (part.strip().lower() for part in coding.split(";"))
        if name == "gzip":
            return not any(parameter.replace(" ", "") in _NEVER for parameter in parameters)
    return False
