"""Answers that are compressed where that is accepted, and not sent again where they did not change."""

from __future__ import annotations

import asyncio
import hashlib
import zlib
from collections.abc import Callable, Sequence
from typing import ParamSpec, TypeVar

from starlette.requests import Request
from starlette.responses import Response

from exporter.exposition.text import Format
from exporter.web.server.negotiation import accepts_gzip, exposition_format

P = ParamSpec("P")
T = TypeVar("T")

SMALL = 32 << 10
"""Octets below which hashing and compressing takes less time than handing it to a thread."""

_GZIP = zlib.MAX_WBITS | 16
_AT_ONCE = 256


async def answer(request: Request, body: bytes, content_type: str) -> Response:
    """Answer with `body`: compressed where that is accepted, as 304 where the client has it."""
    known, packed = request.headers.get("if-none-match"), accepts_gzip(request.headers.get("accept-encoding", ""))
    tag, encoded = await _aside(len(body), _tag_and_pack, body, known, packed=packed)
    headers = {"Cache-Control": "private, no-cache", "Vary": "Accept-Encoding", "ETag": tag}
    if encoded is None:
        return Response(status_code=304, headers=headers)
    if packed:
        headers["Content-Encoding"] = "gzip"
    return Response(encoded, headers=headers | {"Content-Type": content_type})


async def answer_once(request: Request, body: bytes, content_type: str, status: int = 200) -> Response:
    """Answer with a `body` that is never the same again, for it tells its time: compressed where that is accepted."""
    encoded, headers = await encode(request, [body])
    return Response(encoded, status, headers={"Vary": "Accept-Encoding", **headers, "Content-Type": content_type})


async def negotiated(request: Request, render: Callable[[Format], Sequence[bytes]]) -> Response:
    """Answer with an exposition in the format and the encoding that the scraper prefers."""
    chosen = exposition_format(request.headers.get("accept", ""))
    body, headers = await encode(request, render(chosen))
    headers["Vary"] = "Accept, Accept-Encoding"
    # In headers, not as media_type: the negotiated type is complete, its charset included.
    headers["Content-Type"] = chosen.content_type
    return Response(body, headers=headers)


async def encode(request: Request, pieces: Sequence[bytes]) -> tuple[bytes, dict[str, str]]:
    """Return the pieces as one body, as gzip where that is accepted, and the headers that say so."""
    if not accepts_gzip(request.headers.get("accept-encoding", "")):
        return b"".join(pieces), {}
    return await _aside(sum(map(len, pieces)), compress, pieces), {"Content-Encoding": "gzip"}


async def _aside(size: int, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Return what comes of work on so many octets; where they are many it is done in a thread."""
    return work(*args, **kwargs) if size < SMALL else await asyncio.to_thread(work, *args, **kwargs)


def _tag_and_pack(body: bytes, known: str | None, *, packed: bool) -> tuple[str, bytes | None]:
    """Return the body's tag, and the body as it is to be sent; None where it is known by that tag."""
    # Weak (RFC 9110 §8.8.1): the same for both encodings.
    tag = f'W/"{hashlib.sha256(body).hexdigest()[:16]}"'
    if tag == known:
        return tag, None
    return tag, compress([body]) if packed else body


def compress(pieces: Sequence[bytes]) -> bytes:
    """Return the pieces as one gzip, joined only a few at a time: the whole would be most of the memory at its peak."""
    stream = zlib.compressobj(1, zlib.DEFLATED, _GZIP)
    packed = [stream.compress(b"".join(pieces[at : at + _AT_ONCE])) for at in range(0, len(pieces), _AT_ONCE)]
    return b"".join([*packed, stream.flush()])
