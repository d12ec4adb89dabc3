"""What the exporter answers over HTTP, in process."""

from __future__ import annotations

import gzip
from collections.abc import Callable

import httpx
import pytest

from exporter.health import Health
from exporter.metrics import ExporterMetrics, Exposition
from exporter.store import Store
from exporter.web.app import SMALL, Pages, accepts_gzip
from tests.examples import success, target

Get = Callable[..., httpx.Response]


class Site:
    """The pages over a store of the test's own."""

    def __init__(self) -> None:
        self.store = Store()
        self.overdue: list[str] = []
        pages = Pages(Exposition(self.store, ExporterMetrics()), self.store, Health(lambda: self.overdue, lambda: 0.0))
        self._transport = httpx.ASGITransport(pages.app())

    async def request(self, path: str, method: str = "GET", **headers: str) -> httpx.Response:
        """Ask for a page."""
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        async with httpx.AsyncClient(transport=self._transport, base_url="http://exporter") as client:
            return await client.request(method, path, headers={"accept-encoding": "identity", **names})


@pytest.fixture
def site() -> Site:
    """Pages with nothing to show yet."""
    return Site()


async def test_the_index_links_to_the_rest(site: Site) -> None:
    """Every page that there is."""
    answer = await site.request("/")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")
    for path in ("/metrics", "/-/healthy", "/-/ready"):
        assert f'href="{path}"' in answer.text
        assert (await site.request(path)).status_code in (200, 503)


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
    async with httpx.AsyncClient(transport=site._transport, base_url="http://exporter") as client:
        request = client.build_request("GET", "/metrics", headers={"accept-encoding": "gzip"})
        answer = await client.send(request, stream=True)
        raw = b"".join([part async for part in answer.aiter_raw()])
    assert answer.headers["content-encoding"] == "gzip"
    ours = [line for line in gzip.decompress(raw).splitlines() if b'endpoint="' in line]
    assert ours == [line for line in plain.splitlines() if b'endpoint="' in line]


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


async def test_healthy_names_the_probes_that_are_overdue(site: Site) -> None:
    """200 while probes are completed on time, 503 with the reason otherwise."""
    assert (await site.request("/-/healthy")).status_code == 200
    site.overdue = ["imap"]
    answer = await site.request("/-/healthy")
    assert (answer.status_code, answer.text) == (503, "overdue probes: 1 (imap)\n")


async def test_ready_once_every_target_was_probed(site: Site) -> None:
    """503 with the count of those that wait, until none does."""
    first, second = target("first"), target("second")
    site.store.configure([first, second])
    site.store.add(success(first))
    answer = await site.request("/-/ready")
    assert (answer.status_code, answer.text) == (503, "1 of 2 targets were not probed yet.\n")
    site.store.add(success(second))
    assert (await site.request("/-/ready")).status_code == 200


async def test_other_paths_and_methods_are_refused(site: Site) -> None:
    """404 and 405; HEAD is as GET."""
    assert (await site.request("/nothing")).status_code == 404
    assert (await site.request("/metrics", "POST")).status_code == 405
    assert (await site.request("/metrics", "HEAD")).status_code == 200
