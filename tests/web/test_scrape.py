"""The answer to Prometheus."""

from __future__ import annotations

import gzip

import httpx
import pytest

from exporter.web.encoding import SMALL
from tests.examples import target
from tests.web.conftest import Site


async def test_metrics_as_text(site: Site) -> None:
    """The default format, with its exact content type."""
    site.store.configure([target()])
    answer = await site.request("/metrics")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert 'gmail_probes_total{endpoint="imap"' in answer.text
    assert answer.headers["vary"] == "Accept, Accept-Encoding"


async def test_metrics_as_openmetrics(site: Site) -> None:
    """By the Accept header that Prometheus sends."""
    answer = await site.request("/metrics", accept="application/openmetrics-text;version=1.0.0,text/plain;q=0.5")
    assert answer.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    assert answer.text.endswith("# EOF\n")


@pytest.mark.parametrize(
    ("accept", "openmetrics"),
    [
        ("application/openmetrics-text", True),
        ("application/openmetrics-text; version=abc", True),
        ("application/openmetrics-text; version=2.0.0", True),
        ("application/openmetrics-text;version=1.0.0;q=0", False),
        ("text/plain; version=1.0.0", False),
        (";;,,=", False),
    ],
)
async def test_an_odd_accept_header_is_answered(site: Site, accept: str, openmetrics: bool) -> None:
    """In one of the two formats that there are, whatever version is asked for."""
    answer = await site.request("/metrics", accept=accept)
    assert answer.status_code == 200
    kind = "application/openmetrics-text; version=1.0.0" if openmetrics else "text/plain; version=0.0.4"
    assert answer.headers["content-type"].startswith(kind)


@pytest.mark.parametrize("count", [1, 200], ids=["small", "large"])
async def test_metrics_are_compressed_where_that_is_accepted(site: Site, count: int) -> None:
    """In the loop where it is little, in a thread where it is much: the same bytes come out."""
    site.store.configure([target(f"e{number}") for number in range(count)])
    plain = (await site.request("/metrics")).content
    assert (len(plain) > SMALL) is (count > 1)
    async with httpx.AsyncClient(transport=site.transport, base_url="http://exporter") as client:
        request = client.build_request("GET", "/metrics", headers={"accept-encoding": "gzip"})
        answer = await client.send(request, stream=True)
        raw = b"".join([part async for part in answer.aiter_raw()])
    assert answer.headers["content-encoding"] == "gzip"
    ours = [line for line in gzip.decompress(raw).splitlines() if b'endpoint="' in line]
    assert ours == [line for line in plain.splitlines() if b'endpoint="' in line]
