"""The forms of a request's target."""

from __future__ import annotations

import json

import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import BaseRoute, Route

from exporter.web.server.application import application
from exporter.web.server.target import METHODS, NO_PROXY, NO_TARGET
from exporter.web.server.websettings import WebSettings
from tests.web.conftest import KNOWN, Connect, Serve


class Echo:
    """A part that answers with what it was asked for."""

    def routes(self) -> list[BaseRoute]:
        """Return its routes."""
        return [Route("/", self.echo, methods=["GET", "OPTIONS"]), Route("/a/{rest:path}", self.echo)]

    async def echo(self, request: Request) -> PlainTextResponse:
        """Answer with path, query and Host."""
        asked = [request.url.path, request.url.query, request.headers.getlist("host")]
        return PlainTextResponse(json.dumps(asked))


async def ask(connect: Connect, serve: Serve, line: str, host: str = "exporter") -> tuple[int, str, str]:
    """The status, the head and the body of the answer to a request."""
    client = await connect(await serve(application(Echo(), settings=WebSettings(site=KNOWN))))
    client.send(f"{line} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
    head, _, body = (await client.read_all()).decode().partition("\r\n\r\n")
    return int(head.split()[1]), head, body


@pytest.mark.parametrize(
    ("target", "asked"),
    [
        ("/", ["/", "", ["exporter"]]),
        ("/a/b%20c?d=e", ["/a/b c", "d=e", ["exporter"]]),
        ("/a//b", ["/a//b", "", ["exporter"]]),
        ("http://localhost/", ["/", "", ["localhost"]]),
        ("http://localhost", ["/", "", ["localhost"]]),
        ("HTTP://localhost:9993/a/b%20c?d=e", ["/a/b c", "d=e", ["localhost:9993"]]),
        ("https://[::1]:9993/a/?d=http://y/", ["/a/", "d=http://y/", ["[::1]:9993"]]),
        ("http://localhost?d=e", ["/", "d=e", ["localhost"]]),
        ("http://localhost//a/", None),
    ],
)
async def test_a_path_or_an_address(connect: Connect, serve: Serve, target: str, asked: list[object] | None) -> None:
    """The host of an address counts, not that of the header (RFC 9112 §3.2.2)."""
    status, _, body = await ask(connect, serve, f"GET {target}")
    assert (status, json.loads(body)) == (200, asked) if asked else status == 404


@pytest.mark.parametrize("target", ["*", "http://localhost", "https://localhost:9993"])
async def test_options_of_the_server(connect: Connect, serve: Serve, target: str) -> None:
    """RFC 9112 §3.2.4: what it answers at all."""
    status, head, body = await ask(connect, serve, f"OPTIONS {target}")
    assert (status, body) == (204, "")
    assert f"\r\nallow: {METHODS}\r\n" in head
    assert "content-security-policy" in head


async def test_options_of_a_path(connect: Connect, serve: Serve) -> None:
    """Is for its route."""
    assert (await ask(connect, serve, "OPTIONS http://localhost/"))[0] == 200
    assert (await ask(connect, serve, "OPTIONS /"))[0] == 200


@pytest.mark.parametrize("target", ["localhost:443", "http://localhost:443/", "/", "*"])
async def test_this_is_no_proxy(connect: Connect, serve: Serve, target: str) -> None:
    """405, with what is answered."""
    status, head, body = await ask(connect, serve, f"CONNECT {target}")
    assert (status, body) == (405, NO_PROXY)
    assert f"\r\nallow: {METHODS}\r\n" in head


@pytest.mark.parametrize(
    "target",
    ["*", "localhost", "localhost:80", "ftp://localhost/", "http:///a/", "http://user@localhost/", "://x/", "?d=e"],
)
async def test_what_is_no_target(connect: Connect, serve: Serve, target: str) -> None:
    """Is refused in one line."""
    status, _, body = await ask(connect, serve, f"GET {target}")
    assert (status, body) == (400, NO_TARGET)
