"""Responses: compressed where the client accepts it, and not sent again where they have not changed."""

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
_AT_ONCE = 256  # pieces


async def answer(request: Request, body: bytes, content_type: str) -> Response:
    """Answer with `body`, compressed where that is accepted; with 304 where the client has it already."""
    known, gzip = request.headers.get("if-none-match"), accepts_gzip(request.headers.get("accept-encoding", ""))
    tag, encoded = await _run(len(body), _tag_and_encode, body, known, gzip=gzip)
    headers = {"Cache-Control": "private, no-cache", "Vary": "Accept-Encoding", "ETag": tag}
    if encoded is None:
        return Response(status_code=304, headers=headers)
    if gzip:
        headers["Content-Encoding"] = "gzip"
    return Response(encoded, headers=headers | {"Content-Type": content_type})


async def answer_once(request: Request, body: bytes, content_type: str, status: int = 200) -> Response:
    """Answer with a `body` that has a time in it, so that none is the same; compressed where that is accepted."""
    encoded, headers = await encode(request, [body])
    return Response(encoded, status, headers={"Vary": "Accept-Encoding", **headers, "Content-Type": content_type})


async def negotiated(request: Request, render: Callable[[Format], Sequence[bytes]]) -> Response:
    """Answer with an exposition in the format and the encoding that the scraper prefers."""
    chosen = exposition_format(request.headers.get("accept", ""))
    body, headers = await encode(request, render(chosen))
    headers["Vary"] = "Accept, Accept-Encoding"
    # In headers, not as media_type: the type of a format is complete, with its charset.
    headers["Content-Type"] = chosen.content_type
    return Response(body, headers=headers)


async def encode(request: Request, pieces: Sequence[bytes]) -> tuple[bytes, dict[str, str]]:
    """Return the pieces as one body, as gzip where that is accepted, and the headers for that."""
    if not accepts_gzip(request.headers.get("accept-encoding", "")):
        return b"".join(pieces), {}
    return await _run(sum(map(len, pieces)), compress, pieces), {"Content-Encoding": "gzip"}


async def _run(size: int, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Return the result of work on `size` octets; it runs in a thread where they are many."""
    return work(*args, **kwargs) if size < SMALL else await asyncio.to_thread(work, *args, **kwargs)


def _tag_and_encode(body: bytes, known: str | None, *, gzip: bool) -> tuple[str, bytes | None]:
    """Return the ETag, and the body as it is to be sent; None where the client has `known`, which is the same tag."""
    # Weak (RFC 9110 §8.8.1): the same for both encodings.
    tag = f'W/"{hashlib.sha256(body).hexdigest()[:16]}"'
    if tag == known:
        return tag, None
    return tag, compress([body]) if gzip else body


def compress(pieces: Sequence[bytes]) -> bytes:
    """Return the pieces as one gzip stream. A few are joined at a time, for the whole would take much memory."""
    stream = zlib.compressobj(1, zlib.DEFLATED, _GZIP)
    compressed = [stream.compress(b"".join(pieces[at : at + _AT_ONCE])) for at in range(0, len(pieces), _AT_ONCE)]
    return b"".join([*compressed, stream.flush()])
