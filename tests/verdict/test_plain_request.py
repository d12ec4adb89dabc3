"""A plain request: whether somebody else answers it, and what time it says it is."""

from __future__ import annotations

import time
from email.utils import formatdate

import pytest

from exporter.probing.http_client import Answer
from exporter.probing.resolve import Resolver
from exporter.verdict.plain_request import Plain, ask, is_portal
from tests.conftest import StartScripted
from tests.servers.pages import Pages, reply

WEB = "www.google.com"


@pytest.mark.parametrize(
    ("status", "location", "portal"),
    [
        (204, None, False),
        (200, None, True),
        (511, None, True),
        (302, "http://login.hotel.example/?from=www.google.com", True),
        (302, "https://10.0.0.1:8443/", True),
        (301, "https://www.google.com/generate_204", False),
        (307, "https://consent.google.com/", False),
        (302, "https://google.com.hotel.example/", True),
        (302, "/generate_204", False),
        (302, "http://[", None),
        (302, None, None),
        (404, None, None),
        (503, None, None),
    ],
)
def test_who_answers(status: int, location: str | None, portal: bool | None) -> None:
    """A page, a redirect to somebody else, or the code for it; anything else shows nothing."""
    headers = {"location": location} if location else {}
    assert is_portal(WEB, Answer(status, headers, b"")) is portal


def test_a_redirect_of_another_provider() -> None:
    """Of a host that is not Google's, only its own redirects are known."""
    assert is_portal("web.example", Answer(302, {"location": "https://mail.example.org/"}, b"")) is True
    assert is_portal("web.example", Answer(302, {"location": "https://web.example/x"}, b"")) is False


@pytest.mark.parametrize("ahead", [0, 86400, -86400])
async def test_the_clock(scripted: StartScripted, resolver: Resolver, ahead: int) -> None:
    """Its Date is set off against this host's clock, to a second."""
    pages = Pages(reply(204, b"", {"Date": formatdate(time.time() - ahead, usegmt=True)}))
    server = await scripted(pages)
    said = await ask(WEB, resolver, port=server.port)
    assert said.portal is False
    assert said.date_skew == pytest.approx(ahead, abs=30)
    assert pages.requests[0].startswith(b"GET /generate_204 HTTP/1.1\r\n")


@pytest.mark.parametrize("date", ["", "yesterday", "Sat, 99 Nov 2026 10:00:00 GMT", "Sat, 28 Nov 99999 10:00:00 GMT"])
async def test_no_clock(scripted: StartScripted, resolver: Resolver, date: str) -> None:
    """A date that is none says nothing."""
    server = await scripted(Pages(reply(204, b"", {"Date": date})))
    assert await ask(WEB, resolver, port=server.port) == Plain(portal=False)


async def test_a_portal_has_no_clock(scripted: StartScripted, resolver: Resolver) -> None:
    """Nobody knows whose it is."""
    server = await scripted(Pages(reply(200, b"Welcome", {"Date": formatdate(0, usegmt=True)})))
    assert await ask(WEB, resolver, port=server.port) == Plain(portal=True)


async def test_no_answer(resolver: Resolver, free_port: int) -> None:
    """Where nobody answers, nothing is shown."""
    assert await ask(WEB, resolver, port=free_port) == Plain()
    assert await ask("none.example", resolver, port=free_port) == Plain()
