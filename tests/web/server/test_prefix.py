"""A prefix in front of every path."""

from __future__ import annotations

import httpx
import pytest

from exporter.model.address import HostPattern
from exporter.model.site import Site as Flags
from exporter.web.api import Scrape
from exporter.web.lifecycle import Lifecycle
from exporter.web.pages import Pages
from exporter.web.server.application import application
from exporter.web.server.websettings import WebSettings
from tests.examples import exposition_of
from tests.scenes import every_state
from tests.web.conftest import Site

ALLOWED = (HostPattern("exporter"),)


def behind(site: Site, flags: Flags) -> httpx.AsyncClient:
    """A client of an application with these flags."""
    scrape = Scrape(exposition_of(), flags.telemetry_path)
    pages = Pages(every_state().store, site.probe, flags.telemetry_path)
    app = application(scrape, pages, Lifecycle(site.store, site.health), settings=WebSettings(site=flags))
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://exporter")


async def test_every_path_is_behind_the_prefix(site: Site) -> None:
    """And none without it; the metrics are where the flag says."""
    async with behind(site, Flags("", ALLOWED, "/a/b", "/stats")) as client:
        for path in ("/a/b/", "/a/b/stats", "/a/b/-/healthy", "/a/b/reasons", "/a/b/endpoints/imap"):
            assert (await client.get(path)).status_code == 200, path
        for path in ("/stats", "/a/b/metrics", "/-/healthy", "/a/bc/", "/a/", "/a/b//", "/a/b/a/b/", "/b/"):
            answer = await client.get(path)
            assert (answer.status_code, answer.text) == (404, "There is nothing here: the pages begin at /a/b/.\n"), (
                path
            )
        assert 'href="stats">Metrics' in (await client.get("/a/b/")).text
        answer = await client.post("/a/b/endpoints/imap/probe")
        assert (answer.status_code, answer.headers["location"]) == (303, "../imap")


@pytest.mark.parametrize("path", ["/", "/a/b"])
async def test_without_the_prefix_the_pages_are_found(site: Site, path: str) -> None:
    """A redirect, to where the client sees them: a proxy may know them by another path."""
    async with behind(site, Flags("https://pages.example.com/gmail/", ALLOWED, "/a/b")) as client:
        answer = await client.get(path)
        assert (answer.status_code, answer.headers["location"]) == (302, "/a/b/")
        answer = await client.get(path, headers={"host": "pages.example.com"})
        assert (answer.status_code, answer.headers["location"]) == (302, "/gmail/")


async def test_a_prefix_may_have_any_letter(site: Site) -> None:
    """However a client writes it."""
    async with behind(site, Flags("", ALLOWED, "/%C3%BC")) as client:
        for path in ("/%C3%BC/", "/%c3%bc/", "/ü/"):
            assert (await client.get(path)).status_code == 200
        assert (await client.get("/")).headers["location"] == "/%C3%BC/"


async def test_names_are_checked_behind_the_prefix(site: Site) -> None:
    """The metrics are answered by any name, the pages are not."""
    async with behind(site, Flags("", ALLOWED, "/a", "/stats")) as client:
        evil = {"host": "evil.example"}
        for path, status in (("/a/stats", 200), ("/a/-/healthy", 200), ("/a/", 421), ("/a/reasons", 421)):
            assert (await client.get(path, headers=evil)).status_code == status
    async with behind(site, Flags("", ALLOWED, "", "/stats")) as client:
        assert (await client.get("/stats", headers=evil)).status_code == 200
        assert (await client.get("/metrics", headers=evil)).status_code == 421
