"""Responses: compressed where the client accepts it, and not sent again where they have not changed."""

from __future__ import annotations

import asyncio
import hashlib
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ParamSpec, TypeVar

from starlette.requests import Request
from starlette.responses import Response

from exporter.exposition.text import Format
from exporter.web.server.negotiation import accepts_gzip, exposition_format

P = ParamSpec("P")
T = TypeVar("T")

SMALL = 32 << 10
"""Octets below which hashing and compressing takes less time than handing it to a thread."""

RENDERED = 30
"""An octet of HTML or JSON takes as much CPU as this many octets of metrics, whose lines are cached."""

_GZIP = zlib.MAX_WBITS | 16
_AT_ONCE = 2048
"""Pieces, less than a megabyte of lines. Between two lots the thread waits for the interpreter, as long as 5 ms."""


@dataclass(frozen=True, slots=True)
class Body:
    """A body as it is sent, with its headers: the same object for all requests that wait for it.

    Attributes:
        cost: What it took to make it: octets before compression, or `RENDERED` for each of them.
    """

    octets: bytes
    headers: Mapping[str, str]
    cost: int

    def answer(self, request: Request, status: int = 200) -> Response:
        """Answer with it; with 304 where the client has it already."""
        tag = self.headers.get("ETag")
        if tag is not None and tag == request.headers.get("if-none-match"):
            named = ("Cache-Control", "Vary", "ETag")
            return Response(status_code=304, headers={name: self.headers[name] for name in named})
        return Response(self.octets, status, headers=self.headers)


def wants_gzip(request: Request) -> bool:
    """Whether the answer is compressed."""
    return accepts_gzip(request.headers.get("accept-encoding", ""))


async def make_page(text: str, content_type: str, *, gzip: bool) -> Body:
    """Return a body that a client may keep, and ask whether it has changed."""
    body = text.encode()
    tag, encoded = await _run(len(body), _tag_and_encode, body, gzip=gzip)
    headers = {"Cache-Control": "private, no-cache", "Vary": "Accept-Encoding", "ETag": tag}
    return _body(encoded, headers | {"Content-Type": content_type}, RENDERED * len(body), gzip=gzip)


async def make_document(text: str, content_type: str, *, gzip: bool) -> Body:
    """Return a body that has a time in it, so that none is the same."""
    body, headers = text.encode(), {"Vary": "Accept-Encoding", "Content-Type": content_type}
    return _body(await _encode([body], gzip=gzip), headers, RENDERED * len(body), gzip=gzip)


async def make_exposition(pieces: Sequence[bytes], fmt: Format, *, gzip: bool) -> Body:
    """Return metrics in a format, whose content type is complete, with its charset."""
    headers = {"Vary": "Accept, Accept-Encoding", "Content-Type": fmt.content_type}
    return _body(await _encode(pieces, gzip=gzip), headers, sum(map(len, pieces)), gzip=gzip)


def wanted_format(request: Request) -> Format:
    """Return the format that the scraper prefers."""
    return exposition_format(request.headers.get("accept", ""))


async def _encode(pieces: Sequence[bytes], *, gzip: bool) -> bytes:
    return await _run(sum(map(len, pieces)), compress, pieces) if gzip else b"".join(pieces)


def _body(octets: bytes, headers: Mapping[str, str], cost: int, *, gzip: bool) -> Body:
    return Body(octets, {**headers, "Content-Encoding": "gzip"} if gzip else headers, cost)


async def _run(size: int, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Return the result of work on `size` octets; it runs in a thread where they are many."""
    return work(*args, **kwargs) if size < SMALL else await asyncio.to_thread(work, *args, **kwargs)


def _tag_and_encode(body: bytes, *, gzip: bool) -> tuple[str, bytes]:
    """Return the ETag, and the body as it is to be sent."""
    # Weak (RFC 9110 §8.8.1): the same for both encodings.
    tag = f'W/"{hashlib.sha256(body).hexdigest()[:16]}"'
    return tag, compress([body]) if gzip else body


def compress(pieces: Sequence[bytes]) -> bytes:
    """Return the pieces as one gzip stream. They are joined in lots, for the whole would take much memory."""
    stream = zlib.compressobj(1, zlib.DEFLATED, _GZIP)
    compressed = [stream.compress(b"".join(pieces[at : at + _AT_ONCE])) for at in range(0, len(pieces), _AT_ONCE)]
    return b"".join([*compressed, stream.flush()])
