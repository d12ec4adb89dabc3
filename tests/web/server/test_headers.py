"""Headers of every response."""

from __future__ import annotations

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import BaseRoute, Route

from exporter.config.web import WebConfig
from exporter.web.server.application import application
from exporter.web.server.headers import ALWAYS
from tests.web.conftest import Site


class Odd:
    """A route with headers of its own, and one that fails."""

    def routes(self) -> list[BaseRoute]:
        """Return its routes."""
        return [Route("/own", self.own), Route("/broken", self.broken)]

    async def own(self, _request: Request) -> PlainTextResponse:
        """Allow to cache the response for an hour."""
        return PlainTextResponse("", headers={"Cache-Control": "max-age=3600", "Content-Security-Policy": "sandbox"})

    async def broken(self, _request: Request) -> PlainTextResponse:
        """Fail."""
        raise RuntimeError("on purpose")


@pytest.mark.parametrize(
    ("path", "method"),
    [("/", "GET"), ("/metrics", "HEAD"), ("/nothing", "GET"), ("/-/ready", "PUT"), ("/-/reload", "POST")],
)
async def test_every_response_has_them(site: Site, path: str, method: str) -> None:
    """Refusals too; and none is cached, or shown again without asking the server."""
    answer = await site.request(path, method)
    assert ALWAYS.items() <= {name.title(): value for name, value in answer.headers.items()}.items()
    assert answer.headers["cache-control"] == ("private, no-cache" if path == "/" else "no-store")


def test_only_the_exporter_s_own_files_run() -> None:
    """The policy, word for word."""
    assert ALWAYS["Content-Security-Policy"] == (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )


async def test_the_web_configuration_replaces_headers(site: Site) -> None:
    """An empty value removes a header, another one replaces it, from one request to the next."""
    site.settings.config = WebConfig(
        headers={
            "X-Frame-Options": "sameorigin",
            "Content-Security-Policy": "",
            "Strict-Transport-Security": "max-age=9",
        }
    )
    answer = await site.request("/")
    assert answer.headers["x-frame-options"] == "sameorigin"
    assert "content-security-policy" not in answer.headers
    assert answer.headers["strict-transport-security"] == "max-age=9"
    site.settings.config = WebConfig()
    assert "strict-transport-security" not in (await site.request("/")).headers


async def test_a_route_may_have_its_own() -> None:
    """And the answer to an internal error has the usual ones."""
    transport = httpx.ASGITransport(application(Odd()), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        own = await client.get("/own")
        broken = await client.get("/broken")
    assert (own.headers["cache-control"], own.headers["content-security-policy"]) == ("max-age=3600", "sandbox")
    assert own.headers["x-content-type-options"] == "nosniff"
    assert (broken.status_code, broken.headers["x-content-type-options"]) == (500, "nosniff")
    assert "on purpose" not in broken.text
