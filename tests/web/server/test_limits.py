"""What is refused before anybody looks at it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import BaseRoute, Route

from exporter.web.server.application import application
from exporter.web.server.limits import BODY, FOREIGN, HEAD, TOO_LARGE_BODY, TOO_LARGE_HEAD
from tests.web.conftest import Serve, Site


class Forms:
    """A part that reads what it is sent."""

    def routes(self) -> list[BaseRoute]:
        """Return what is answered where."""
        return [Route("/form", self.take, methods=["POST"])]

    async def take(self, request: Request) -> PlainTextResponse:
        """Say how much it was."""
        return PlainTextResponse(str(len(await request.body())))


async def pieces(count: int, size: int) -> AsyncIterator[bytes]:
    """A body that does not say its size."""
    for _ in range(count):
        yield b"x" * size


@pytest.mark.parametrize(
    "url", ["/?" + "a" * 60_000, "/" + "b" * 60_000, "/?" + "c" * HEAD], ids=["query", "path", "edge"]
)
async def test_a_long_request_line_is_refused(serve: Serve, site: Site, url: str) -> None:
    """In one clear line, by the server as by the application."""
    answer = await site.request(url)
    assert (answer.status_code, answer.text) == (431, TOO_LARGE_HEAD)
    port = (await serve(site.transport.app)).port
    async with httpx.AsyncClient() as client:
        answer = await client.get(f"http://127.0.0.1:{port}{url}")
    assert (answer.status_code, answer.text) == (431, TOO_LARGE_HEAD)


async def test_headers_of_100_kb_are_refused(serve: Serve, site: Site) -> None:
    """One long one, and many short ones."""
    port = (await serve(site.transport.app)).port
    async with httpx.AsyncClient() as client:
        for headers in ({"x": "y" * 100_000}, {f"x-{number}": "y" * 100 for number in range(1000)}):
            answer = await client.get(f"http://127.0.0.1:{port}/", headers=headers)
            assert (answer.status_code, answer.text) == (431, TOO_LARGE_HEAD)
        assert (await client.get(f"http://127.0.0.1:{port}/?{'a' * 10_000}")).status_code == 200


@pytest.mark.parametrize("announced", [True, False], ids=["announced", "chunked"])
async def test_a_large_body_is_refused(serve: Serve, announced: bool) -> None:
    """Whether it says its size or not; up to the limit it is taken."""
    url = f"http://127.0.0.1:{(await serve(application(Forms()))).port}/form"
    async with httpx.AsyncClient() as client:
        fits = b"x" * BODY if announced else pieces(64, BODY // 64)
        assert (await client.post(url, content=fits)).text == str(BODY)
        large = b"x" * (BODY + 1) if announced else pieces(65, BODY // 64)
        answer = await client.post(url, content=large)
        assert (answer.status_code, answer.text) == (413, TOO_LARGE_BODY)


@pytest.mark.parametrize(
    "headers",
    [
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-site"},
        {"sec_fetch_site": "cross-site", "origin": "http://exporter"},
        {"origin": "http://evil.example"},
        {"origin": "http://exporter:81"},
        {"origin": "http://exporter.evil.example"},
        {"origin": "null"},
        {"origin": ""},
    ],
)
async def test_a_page_of_another_site_changes_nothing(site: Site, headers: dict[str, str]) -> None:
    """Its POST is refused in one line; it may look, as far as the browser lets it."""
    answer = await site.request("/-/reload", "POST", **headers)
    assert (answer.status_code, answer.text) == (403, FOREIGN)
    assert site.reloads == 0
    assert (await site.request("/", **headers)).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"sec_fetch_site": "same-origin"},
        {"sec_fetch_site": "none"},
        {"origin": "http://exporter"},
        {"origin": "https://EXPORTER"},
    ],
)
async def test_our_own_pages_and_what_is_no_browser_may(site: Site, headers: dict[str, str]) -> None:
    """What curl sends says nothing of where it comes from; a proxy may speak TLS in front of us."""
    assert (await site.request("/-/reload", "POST", **headers)).status_code == 200
    assert site.reloads == 1
