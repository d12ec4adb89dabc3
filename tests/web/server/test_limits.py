"""Requests that are refused: too large."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import BaseRoute, Route

from exporter.web.server.application import application
from exporter.web.server.limits import MAX_BODY, MAX_HEAD, TOO_LARGE_BODY, TOO_LARGE_HEAD
from tests.waiting import PATIENCE
from tests.web.conftest import Serve, Site


class Forms:
    """A part of the application that reads a body."""

    def routes(self) -> list[BaseRoute]:
        """Return its routes."""
        return [Route("/form", self.take, methods=["POST"])]

    async def take(self, request: Request) -> PlainTextResponse:
        """Answer with the size of the body."""
        return PlainTextResponse(str(len(await request.body())))


async def pieces(count: int, size: int) -> AsyncIterator[bytes]:
    """A body without a Content-Length."""
    for _ in range(count):
        yield b"x" * size


@pytest.mark.parametrize(
    "url", ["/?" + "a" * 60_000, "/" + "b" * 60_000, "/?" + "c" * MAX_HEAD], ids=["query", "path", "edge"]
)
async def test_a_long_request_line_is_refused(serve: Serve, site: Site, url: str) -> None:
    """In one clear line, by the server as by the application."""
    answer = await site.request(url)
    assert (answer.status_code, answer.text) == (431, TOO_LARGE_HEAD)
    port = (await serve(site.transport.app)).port
    async with httpx.AsyncClient(timeout=PATIENCE) as client:
        answer = await client.get(f"http://127.0.0.1:{port}{url}")
    assert (answer.status_code, answer.text) == (431, TOO_LARGE_HEAD)


async def test_headers_of_100_kb_are_refused(serve: Serve, site: Site) -> None:
    """One long one, and many short ones."""
    port = (await serve(site.transport.app)).port
    async with httpx.AsyncClient(timeout=PATIENCE) as client:
        for headers in ({"x": "y" * 100_000}, {f"x-{number}": "y" * 100 for number in range(1000)}):
            answer = await client.get(f"http://127.0.0.1:{port}/", headers=headers)
            assert (answer.status_code, answer.text) == (431, TOO_LARGE_HEAD)
        assert (await client.get(f"http://127.0.0.1:{port}/?{'a' * 10_000}")).status_code == 200


@pytest.mark.parametrize("announced", [True, False], ids=["announced", "chunked"])
async def test_a_large_body_is_refused(serve: Serve, announced: bool) -> None:
    """With or without a Content-Length; up to the limit it is read."""
    url = f"http://127.0.0.1:{(await serve(application(Forms()))).port}/form"
    async with httpx.AsyncClient(timeout=PATIENCE) as client:
        fits = b"x" * MAX_BODY if announced else pieces(64, MAX_BODY // 64)
        assert (await client.post(url, content=fits)).text == str(MAX_BODY)
        large = b"x" * (MAX_BODY + 1) if announced else pieces(65, MAX_BODY // 64)
        answer = await client.post(url, content=large)
        assert (answer.status_code, answer.text) == (413, TOO_LARGE_BODY)
