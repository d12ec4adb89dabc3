"""The provider's status, read over HTTPS from a server of the test."""

from __future__ import annotations

import asyncio
import socket
import ssl
import time

import pytest
from structlog.testing import capture_logs

from exporter.model.evidence import ProviderStatus
from exporter.model.verdict_settings import StatusProvider, StatusSettings
from exporter.probing.http_client import Bounds
from exporter.probing.resolve import FixedResolver, Resolver
from exporter.verdict.status import BOUNDS, HOURLY, URL, StatusFeed
from tests.conftest import StartScripted
from tests.probing.conftest import Belongings
from tests.servers.authority import Authority
from tests.servers.pages import Pages, reply
from tests.verdict.feed import NOTICE, OUTAGE, encoded

LOOPBACK = FixedResolver((socket.AF_INET, "127.0.0.1"))
GOOGLE = StatusSettings(StatusProvider.GOOGLE, 300)


class Bench:
    """A feed, its server, and a clock that the test sets."""

    def __init__(self, pages: Pages, feed: StatusFeed) -> None:
        self.pages = pages
        self.feed = feed
        self.now = 1000.0

    async def read(self, answer: bytes) -> ProviderStatus:
        """Let the server answer this, and read it."""
        self.pages.answer = answer
        await self.feed.read(within=0)
        assert self.feed.status is not None
        return self.feed.status


@pytest.fixture
async def bench(scripted: StartScripted, authority: Authority, resolver: Resolver, trusting: ssl.SSLContext) -> Bench:
    """A feed of Google's, at a name of Google's that leads to loopback."""
    pages = Pages(b"")
    server = await scripted(pages, security="tls", context=authority.issue("www.google.com").context)
    url = f"https://www.google.com:{server.port}/appsstatus/dashboard/incidents.json"
    made = Bench(pages, StatusFeed(resolver, url=url, context=trusting, monotonic=lambda: made.now))
    made.feed.configure(GOOGLE)
    return made


def test_where_it_is() -> None:
    """One address, and bounds that the file of today is far within."""
    assert URL == "https://www.google.com/appsstatus/dashboard/incidents.json"
    assert Bounds(seconds=10, octets=2 * 1024 * 1024) == BOUNDS


async def test_good(bench: Bench) -> None:
    """What is open is known, with the time at which it was read; before that, nothing is."""
    assert bench.feed.status == ProviderStatus("google")
    assert not bench.feed.status.is_known
    began = time.time()
    with capture_logs() as logs:
        status = await bench.read(reply(200, encoded(OUTAGE, NOTICE)))
        await bench.read(reply(200, encoded(OUTAGE, NOTICE)))
    assert status.is_known
    assert [incident.id for incident in status.incidents] == ["aaaaaaaaaaaaaaaaaaaa"]
    assert [notice.id for notice in status.notices] == ["B5V4MfnVp97nxoTYbxdX"]
    assert status.read_at is not None
    assert began <= status.read_at <= time.time()
    assert [(line["event"], line["impact"]) for line in logs] == [("the provider has an open incident", "disruption")]
    assert bench.pages.requests[0].startswith(b"GET /appsstatus/dashboard/incidents.json HTTP/1.1\r\n")


async def test_empty(bench: Bench) -> None:
    """A history without incidents is known, and has none."""
    status = await bench.read(reply(200, b"[]"))
    assert (status.is_known, status.incidents) == (True, ())


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (reply(500), "the answer is HTTP 500"),
        (reply(404, b"[]"), "the answer is HTTP 404"),
        (reply(304), "the answer is HTTP 304"),
        (reply(302, b"", {"Location": "https://www.google.com/"}), "the answer is a redirect, HTTP 302"),
        (reply(200, b"<html>Sign in</html>"), "its form has changed: it is not JSON"),
        (reply(200, b'{"incidents": []}'), "its form has changed: it is not a list of incidents"),
        (reply(200, b"[" + b" " * (2 << 20)), "the answer is larger than 2097152 octets"),
        (reply(200, b"[]", {"Content-Length": "100"}), "peer closed connection without sending complete message body"),
        (b"* OK IMAP4 ready\r\n\r\n", "illegal status line"),
    ],
)
async def test_what_cannot_be_read(bench: Bench, answer: bytes, fault: str) -> None:
    """It is unknown, never well: an incident that was known is told no longer, and is not forgotten, either."""
    await bench.read(reply(200, encoded(OUTAGE)))
    with capture_logs() as logs:
        status = await bench.read(answer)
        await bench.read(answer)
    assert not status.is_known
    assert status.fault.startswith(fault)
    assert len(status.incidents) == 1
    assert [line["event"] for line in logs] == ["the provider's status cannot be read"]
    assert (await bench.read(reply(200, b"[]"))).is_known


async def test_nobody_that_is_trusted(
    scripted: StartScripted, authority: Authority, resolver: Resolver, trusting: ssl.SSLContext
) -> None:
    """A portal that answers in Google's place has no certificate for it."""
    server = await scripted(Pages(reply(200, b"[]")), security="tls", context=authority.wrong_name.context)
    feed = StatusFeed(resolver, url=f"https://www.google.com:{server.port}/", context=trusting)
    feed.configure(GOOGLE)
    await feed.read()
    assert feed.status is not None
    assert feed.status.fault.startswith("Hostname mismatch")


async def test_slow(scripted: StartScripted, authority: Authority, trusting: ssl.SSLContext) -> None:
    """It has a deadline of its own, and who waits may go before that: the reading goes on."""
    pages = Pages(reply(200, b"[]"))
    pages.pause = 0.05
    server = await scripted(pages, security="tls", context=authority.issue("www.google.com").context)
    url = f"https://www.google.com:{server.port}/"
    feed = StatusFeed(LOOPBACK, url=url, context=trusting, bounds=Bounds(0.6, 1000))
    feed.configure(GOOGLE)
    belongings = Belongings()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await feed.read()
    await feed.read(within=0)
    assert feed.status is not None
    assert feed.status.fault == "no whole answer within 0.6 s"
    assert len(pages.requests) == 1
    await belongings.assert_nothing_left()


async def test_closed_while_it_is_read(scripted: StartScripted, authority: Authority, trusting: ssl.SSLContext) -> None:
    """At the end of the daemon nothing is left."""
    pages = Pages(reply(200, b"[]"))
    pages.pause = 1
    server = await scripted(pages, security="tls", context=authority.issue("www.google.com").context)
    feed = StatusFeed(LOOPBACK, url=f"https://www.google.com:{server.port}/", context=trusting)
    feed.configure(GOOGLE)
    belongings = Belongings()
    reading = asyncio.create_task(feed.read())
    await asyncio.sleep(0.1)
    await feed.close()
    with pytest.raises(asyncio.CancelledError):
        await reading
    await belongings.assert_nothing_left()


async def test_what_has_not_changed_is_not_sent_again(bench: Bench) -> None:
    """The entity tag is repeated; an answer without content is as good as the last one with it."""
    bench.pages.answer = reply(200, encoded(OUTAGE), {"ETag": '"one"'})
    status = await bench.read(bench.pages.answer)
    assert bench.pages.sent("If-None-Match") is None
    again = await bench.read(reply(304))
    assert bench.pages.sent("If-None-Match") == '"one"'
    assert again.is_known
    assert again.incidents == status.incidents
    assert (again.read_at or 0) > (status.read_at or 0)
    await bench.read(reply(500))
    await bench.read(reply(200, b"[]", {"ETag": "\xe9" * 5}))
    assert bench.pages.sent("If-None-Match") is None  # what is unknown is asked for as a whole
    await bench.read(reply(200, b"[]"))
    assert bench.pages.sent("If-None-Match") is None  # a tag that could not be sent


async def test_when_it_is_read(bench: Bench) -> None:
    """Once an hour; while something fails, once in each interval, however often somebody asks."""
    bench.pages.answer = reply(200, b"[]")

    async def requests(seconds: float, *, failing: bool) -> int:
        before = len(bench.pages.requests)
        for _ in range(round(seconds / 10)):
            bench.now += 10
            await (bench.feed.refresh() if failing else bench.feed.read())
        return len(bench.pages.requests) - before

    assert await requests(10, failing=False) == 1
    assert await requests(HOURLY - 10, failing=False) == 0
    assert await requests(HOURLY, failing=False) == 1
    assert await requests(300, failing=True) == 1
    assert await requests(1500, failing=True) == 5
    await asyncio.gather(*(bench.feed.refresh() for _ in range(1000)))
    bench.now += 300
    before = len(bench.pages.requests)
    await asyncio.gather(*(bench.feed.refresh() for _ in range(1000)))
    assert len(bench.pages.requests) - before == 1


async def test_where_nobodys_is_read(bench: Bench) -> None:
    """Nothing is sent, and what was known is forgotten; it is read again as soon as it is configured again."""
    await bench.read(reply(200, encoded(OUTAGE)))
    bench.feed.configure(StatusSettings(StatusProvider.NONE))
    assert bench.feed.status is None
    await bench.feed.refresh()
    await bench.feed.read()
    assert len(bench.pages.requests) == 1
    bench.feed.configure(GOOGLE)
    await bench.feed.read()
    assert len(bench.pages.requests) == 2
    known = bench.feed.status
    bench.feed.configure(StatusSettings(StatusProvider.GOOGLE, 600))
    assert bench.feed.status is known
