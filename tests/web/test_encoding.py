"""Compression and 304."""

from __future__ import annotations

import gzip

import httpx
import pytest

from exporter.web.encoding import accepts_gzip
from tests.web.conftest import Site
from tests.web.scenes import many


@pytest.mark.parametrize("count", [1, 300], ids=["small", "large"])
async def test_a_page_is_compressed_where_that_is_accepted(site: Site, count: int) -> None:
    """In the loop where it is little, in a thread where it is much: the same comes out."""
    scene = many(count)
    site.store.configure(series.target for series in scene.store)
    plain = await site.request("/")
    async with httpx.AsyncClient(transport=site.transport, base_url="http://exporter") as client:
        request = client.build_request("GET", "/", headers={"accept-encoding": "gzip"})
        answer = await client.send(request, stream=True)
        raw = b"".join([part async for part in answer.aiter_raw()])
    assert answer.headers["content-encoding"] == "gzip"
    assert gzip.decompress(raw) == plain.content
    assert plain.headers["vary"] == "Accept-Encoding"


async def test_what_did_not_change_is_not_sent_again(site: Site) -> None:
    """304 without a body, until something happens."""
    answer = await site.request("/")
    again = await site.request("/", if_none_match=answer.headers["etag"])
    assert (again.status_code, again.content) == (304, b"")
    assert (await site.request("/?q=x", if_none_match=answer.headers["etag"])).status_code == 200


@pytest.mark.parametrize(
    ("accept_encoding", "accepted"),
    [
        ("", False),
        ("identity", False),
        ("gzip", True),
        ("GZIP", True),
        ("deflate, gzip;q=0.5", True),
        ("gzip;q=0", False),
        ("gzip; q=0.0", False),
        ("x-gzipped", False),
    ],
)
def test_gzip_is_negotiated(accept_encoding: str, accepted: bool) -> None:
    """Named, and not with a weight of 0."""
    assert accepts_gzip(accept_encoding) is accepted
