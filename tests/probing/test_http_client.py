"""One GET, against servers whose every octet is the test's own, over HTTPS with the tests' authority."""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import AsyncIterator

import pytest
from aiodns.error import DNSError

from exporter.model.settings import Tls
from exporter.probing.client_tls import context
from exporter.probing.http_client import Answer, Bounds, NoAnswer, get, web_context
from exporter.probing.resolve import FixedResolver, Resolver
from tests.conftest import StartScripted
from tests.probing.conftest import Belongings, Fill
from tests.servers.authority import Authority
from tests.servers.dns import NameServer
from tests.servers.pages import Pages, reply
from tests.waiting import PATIENCE

LOOPBACK = FixedResolver((socket.AF_INET, "127.0.0.1"))
BOUNDS = Bounds(seconds=PATIENCE, octets=1000)


@pytest.fixture
async def resolver() -> AsyncIterator[Resolver]:
    """A resolver that knows two addresses of a name; nothing listens at the first."""
    async with NameServer({"two.example": ["127.0.0.9", "127.0.0.1"]}) as server:
        made = Resolver([server.address])
        yield made
        await made.close()


@pytest.fixture
def trusting(authority: Authority) -> ssl.SSLContext:
    """A client's context that trusts the tests' authority."""
    return ssl.create_default_context(cafile=str(authority.ca_file))


async def test_an_answer(scripted: StartScripted, authority: Authority, trusting: ssl.SSLContext) -> None:
    """The host that was asked for is in the request, in SNI and in the certificate; what is sent says nothing more."""
    pages = Pages(reply(200, b"words", {"ETag": '"1"', "X-Two": "a"}))
    server = await scripted(pages, security="tls", context=authority.issue("feed.example").context)
    belongings = Belongings()
    url = f"https://feed.example:{server.port}/a/b.json?c=d"
    answer = await get(url, LOOPBACK, BOUNDS, headers={"If-None-Match": '"0"'}, context=trusting)
    assert answer == Answer(200, {"content-length": "5", "etag": '"1"', "x-two": "a"}, b"words")
    assert pages.requests == [
        f"GET /a/b.json?c=d HTTP/1.1\r\nHost: feed.example:{server.port}\r\nUser-Agent: gmail-exporter\r\n"
        'Accept-Encoding: identity\r\nIf-None-Match: "0"\r\n'.encode()
    ]
    await belongings.assert_nothing_left()


async def test_no_proxy_of_the_environment(scripted: StartScripted, monkeypatch: pytest.MonkeyPatch) -> None:
    """Evidence is of the way that probes take."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    server = await scripted(Pages(reply(204)))
    assert (await get(f"http://feed.example:{server.port}/", LOOPBACK, BOUNDS)).status == 204


@pytest.mark.parametrize("status", [204, 301, 304, 404, 500, 511])
async def test_any_status(scripted: StartScripted, status: int) -> None:
    """An answer is an answer; no redirect is followed."""
    pages = Pages(reply(status, b"", {"Location": "http://127.0.0.1:9/", "Content-Length": "0"}))
    server = await scripted(pages)
    assert (await get(f"http://feed.example:{server.port}", LOOPBACK, BOUNDS)).status == status
    assert pages.requests[0].startswith(b"GET / HTTP/1.1\r\n")


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (reply(200, b"x" * 1001), "the answer is larger than 1000 octets"),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 5000, "the answer is larger than 1000 octets"),
        (reply(200, b"x", {"Content-Encoding": "gzip"}), "the answer is compressed, which was not asked for"),
        (reply(200, b"x", {"Content-Length": "9"}), "peer closed connection without sending complete message body"),
        (b"* OK not HTTP at all\r\n\r\n", "illegal status line: bytearray(b'* OK not HTTP at all')"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000, "Receive buffer too long"),
        (b"", "Server disconnected without sending a response"),
    ],
)
async def test_what_cannot_be_used(scripted: StartScripted, answer: bytes, text: str) -> None:
    """Whatever comes, the answer is one line for people, and nothing is left open."""
    server = await scripted(Pages(answer))
    belongings = Belongings()
    with pytest.raises(NoAnswer, match=r"^" + text.replace("(", r"\(").replace(")", r"\)").replace("*", r"\*")):
        await get(f"http://feed.example:{server.port}/", LOOPBACK, BOUNDS)
    await belongings.assert_nothing_left()


async def test_as_much_as_is_allowed(scripted: StartScripted) -> None:
    """The bound itself is within it."""
    server = await scripted(Pages(reply(200, b"x" * 1000)))
    assert len((await get(f"http://feed.example:{server.port}/", LOOPBACK, BOUNDS)).body) == 1000


async def test_drips(scripted: StartScripted) -> None:
    """A server that never stops sending a little does not hold anybody up."""
    pages = Pages(reply(200, b"x" * 1000))
    pages.pause = 0.02
    server = await scripted(pages)
    belongings = Belongings()
    began = time.monotonic()
    with pytest.raises(NoAnswer, match=r"^no whole answer within 0\.5 s$") as caught:
        await get(f"http://feed.example:{server.port}/", LOOPBACK, Bounds(0.5, 1000))
    assert 0.4 < time.monotonic() - began < 10  # all of it would take twenty
    assert isinstance(caught.value.cause, TimeoutError)
    await belongings.assert_nothing_left()


async def test_cancelled(scripted: StartScripted) -> None:
    """Who asks may go away at any time."""
    pages = Pages(reply(200))
    pages.pause = 1
    server = await scripted(pages)
    belongings = Belongings()
    asking = asyncio.create_task(get(f"http://feed.example:{server.port}/", LOOPBACK, BOUNDS))
    await asyncio.sleep(0.05)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    await belongings.assert_nothing_left()


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("good", "unable to get local issuer certificate"),
        ("wrong_name", "Hostname mismatch, certificate is not valid for 'localhost'."),
        ("expired", "certificate has expired"),
        ("self_signed", "self-signed certificate"),
    ],
)
async def test_a_server_that_is_not_trusted(
    scripted: StartScripted, authority: Authority, trusting: ssl.SSLContext, kind: str, text: str
) -> None:
    """As a probe would, it trusts what the system trusts, for the name that was asked for."""
    bad = authority.issue() if kind == "good" else getattr(authority, kind)
    pages = Pages(reply(200))
    server = await scripted(pages, security="tls", context=bad.context)
    context = None if kind == "good" else trusting
    with pytest.raises(NoAnswer) as caught:
        await get(f"https://localhost:{server.port}/", LOOPBACK, BOUNDS, context=context)
    assert str(caught.value) == text
    assert isinstance(caught.value.cause, ssl.SSLCertVerificationError)
    assert pages.requests == []


async def test_the_next_address(scripted: StartScripted, resolver: Resolver) -> None:
    """Where one address of the name refuses, the next one is asked."""
    server = await scripted(Pages(reply(200, b"second")))
    assert (await get(f"http://two.example:{server.port}/", resolver, BOUNDS)).body == b"second"


async def test_an_address_that_is_silent(scripted: StartScripted, resolver: Resolver, fill_backlog: Fill) -> None:
    """It takes its share of the time, and no more."""
    server = await scripted(Pages(reply(200, b"second")))
    fill_backlog("127.0.0.9", server.port)
    assert (await get(f"http://two.example:{server.port}/", resolver, Bounds(2, 100))).body == b"second"


async def test_no_server(resolver: Resolver, free_port: int) -> None:
    """The error is the operating system's, for people."""
    with pytest.raises(NoAnswer, match="^Connection refused$") as caught:
        await get(f"https://two.example:{free_port}/", resolver, BOUNDS)
    assert isinstance(caught.value.cause, ConnectionRefusedError)


async def test_no_name(resolver: Resolver) -> None:
    """The error is the resolver's."""
    with pytest.raises(NoAnswer, match="^Domain name not found$") as caught:
        await get("https://none.example/", resolver, BOUNDS)
    assert isinstance(caught.value.cause, DNSError)


def test_its_context_is_its_own() -> None:
    """The library offers HTTP in it (ALPN), which no mail server may be offered."""
    assert web_context() is web_context() is not context(Tls())
    assert web_context().verify_mode is ssl.CERT_REQUIRED
