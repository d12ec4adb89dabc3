"""Headers of every answer."""

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
    """A part that says its own headers, and one that breaks."""

    def routes(self) -> list[BaseRoute]:
        """Return what is answered where."""
        return [Route("/own", self.own), Route("/broken", self.broken)]

    async def own(self, _request: Request) -> PlainTextResponse:
        """Be kept for an hour."""
        return PlainTextResponse("", headers={"Cache-Control": "max-age=3600", "Content-Security-Policy": "sandbox"})

    async def broken(self, _request: Request) -> PlainTextResponse:
        """Break."""
        raise RuntimeError("on purpose")


@pytest.mark.parametrize(
    ("path", "method"),
    [("/", "GET"), ("/metrics", "HEAD"), ("/nothing", "GET"), ("/-/ready", "PUT"), ("/-/reload", "POST")],
)
async def test_every_answer_has_them(site: Site, path: str, method: str) -> None:
    """Refusals too; and none is kept by anybody, or shown again without asking whether it is still so."""
    answer = await site.request(path, method)
    assert ALWAYS.items() <= {name.title(): value for name, value in answer.headers.items()}.items()
    assert answer.headers["cache-control"] == ("private, no-cache" if path == "/" else "no-store")


def test_nothing_foreign_and_nothing_inline_runs() -> None:
    """The policy, word for word."""
    assert ALWAYS["Content-Security-Policy"] == (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )


async def test_the_file_has_the_last_word(site: Site) -> None:
    """An empty value leaves a header out; another one comes instead; from one request to the next."""
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


async def test_a_part_may_say_its_own() -> None:
    """And a fault of ours has them as well."""
    transport = httpx.ASGITransport(application(Odd()), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://exporter") as client:
        own = await client.get("/own")
        broken = await client.get("/broken")
    assert (own.headers["cache-control"], own.headers["content-security-policy"]) == ("max-age=3600", "sandbox")
    assert own.headers["x-content-type-options"] == "nosniff"
    assert (broken.status_code, broken.headers["x-content-type-options"]) == (500, "nosniff")
    assert "on purpose" not in broken.text
