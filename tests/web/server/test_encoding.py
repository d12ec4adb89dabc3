"""Compression and 304."""

from __future__ import annotations

import gzip
import hashlib
import threading
from typing import Any

import httpx
import pytest

from exporter.web.server import encoding
from tests.scenes import many
from tests.web.conftest import Site


@pytest.mark.parametrize("count", [1, 40], ids=["small", "large"])
async def test_a_page_is_compressed_where_that_is_accepted(site: Site, count: int) -> None:
    """A small one in the event loop, a large one in a thread, with the same result."""
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


async def test_an_unchanged_page_is_not_sent_again(site: Site) -> None:
    """304 without a body; another page has another tag."""
    answer = await site.request("/")
    again = await site.request("/", if_none_match=answer.headers["etag"])
    assert (again.status_code, again.content) == (304, b"")
    assert (await site.request("/?q=x", if_none_match=answer.headers["etag"])).status_code == 200


async def test_a_response_with_its_time_has_no_tag(site: Site) -> None:
    """It would never match; the response is not cached."""
    site.show(many(1).store)
    for path in ("/api/v1/endpoints", "/api/v1/endpoints/nobody"):
        answer = await site.request(path)
        assert "etag" not in answer.headers
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["vary"] == "Accept-Encoding"


@pytest.mark.parametrize("count", [1, 40], ids=["small", "large"])
async def test_a_large_page_is_hashed_in_a_thread(site: Site, monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    """In the event loop it would delay the probes."""
    site.show(many(count).store)
    threads = []

    class Noting:
        @staticmethod
        def sha256(data: bytes) -> Any:
            threads.append(threading.get_ident())
            return hashlib.sha256(data)

    monkeypatch.setattr(encoding, "hashlib", Noting)
    answer = await site.request("/")
    assert (len(answer.content) > encoding.SMALL) is (count > 1)
    assert [thread == threading.get_ident() for thread in threads] == [count == 1]
