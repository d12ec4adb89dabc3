"""Slow, malformed and too many requests, on real connections."""

from __future__ import annotations

import asyncio

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from exporter.web.server import protocol
from exporter.web.server.application import application
from exporter.web.server.limits import TOO_LARGE_HEAD
from tests.waiting import until
from tests.web.conftest import GET, Connect, Serve, hello


class Slow:
    """Reads the whole body, and answers once the gate is open."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.asked = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await Request(scope, receive).body()
        self.asked += 1
        await self.gate.wait()
        await hello(scope, receive, send)


@pytest.mark.parametrize("size", [200_000, 1000], ids=["at once", "in pieces"])
async def test_a_query_of_100_kb_is_refused_in_one_line(connect: Connect, serve: Serve, size: int) -> None:
    """In one piece or in many; the answer is not lost, and the connection is closed."""
    client = await connect(await serve(application()))
    request = b"GET /?" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n"
    for start in range(0, len(request), size):
        client.send(request[start : start + size])
        await asyncio.sleep(0)
    received = await client.read_all()
    assert received.startswith(b"HTTP/1.1 431 ")
    assert received.endswith(TOO_LARGE_HEAD.encode())


@pytest.mark.parametrize(
    "garbage",
    [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"* OK hello\r\n\r\n", b"GET / HTTP/9\r\n\r\n", b"GET /\r\n\r\n"],
    ids=["tls", "imap", "version", "0.9"],
)
async def test_a_malformed_request_is_refused_in_one_line(connect: Connect, serve: Serve, garbage: bytes) -> None:
    """And nothing behind it is read."""
    client = await connect(await serve())
    client.send(garbage + b"\r\n\r\n" + GET * 3)
    received = await client.read_all()
    assert received.startswith(b"HTTP/1.1 400 ")
    assert received.endswith(b"\r\n\r\n" + protocol.MALFORMED.encode())
    assert b"\r\nX-Content-Type-Options: nosniff\r\n" in received
    assert received.count(b"HTTP/1.1") == 2  # once more in the line itself


async def test_garbage_behind_a_request_ends_the_connection(connect: Connect, serve: Serve) -> None:
    """No second answer can be sent in the middle of the first."""

    async def begun(_scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"begun", "more_body": True})
        while (await receive())["type"] != "http.disconnect":
            pass

    client = await connect(await serve(begun))
    client.send(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
    await client.reader.readuntil(b"begun")
    client.send(b"no chunk\r\n")
    assert await client.read_all() in (b"", b"\r\n")


async def test_a_body_that_does_not_arrive_ends_the_connection(
    connect: Connect, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The time limit is for the whole request."""
    monkeypatch.setattr(protocol, "REQUEST_SECONDS", 0.2)
    slow = Slow()
    client = await connect(await serve(slow))
    client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nx")
    assert await client.read_all() == b""
    assert slow.asked == 0


async def test_an_answer_that_is_not_taken_is_given_up(
    connect: Connect, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that reads nothing keeps neither a connection nor the memory."""
    monkeypatch.setattr(protocol, "REQUEST_SECONDS", 0.2)

    async def much(scope: Scope, receive: Receive, send: Send) -> None:
        await PlainTextResponse("x" * 8_000_000)(scope, receive, send)

    served = await serve(much)
    client = await connect(served)
    client.send(GET)
    await until(lambda: len(served.server.connections) == 1)
    await until(lambda: len(served.server.connections) == 0)


async def test_an_answer_that_is_never_made_is_given_up(
    connect: Connect, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a time that no scrape takes; the client sees that the connection is closed."""
    monkeypatch.setattr(protocol, "ANSWER_SECONDS", 0.2)
    slow = Slow()
    client = await connect(await serve(slow))
    client.send(GET)
    assert await client.read_all() == b""
    assert slow.asked == 1
    slow.gate.set()


async def test_requests_in_a_row_are_answered_in_a_row(
    connect: Connect, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the first answer takes longer than a request may."""
    monkeypatch.setattr(protocol, "REQUEST_SECONDS", 0.2)
    slow = Slow()
    client = await connect(await serve(slow))
    client.send(GET + GET)
    await asyncio.sleep(0.4)
    slow.gate.set()
    await client.reader.readuntil(b"hello")
    await client.reader.readuntil(b"hello")
    assert slow.asked == 2


async def test_a_complete_request_is_served_beside_idle_connections(connect: Connect, serve: Serve) -> None:
    """The one that has waited the longest is closed for it."""
    served = await serve()
    served.server.connections.limit = 20
    silent = [await connect(served) for _ in range(20)]
    async with httpx.AsyncClient() as client:
        assert (await client.get(f"http://127.0.0.1:{served.port}/")).text == "hello"
    assert await silent[0].read_all() == b""
    silent[-1].send(GET)
    assert await silent[-1].reader.readuntil(b"hello")
    assert len(served.server.connections) <= 20


async def test_one_more_is_refused_where_all_are_being_served(connect: Connect, serve: Serve) -> None:
    """With 503, and the connection is closed."""
    slow = Slow()
    served = await serve(slow)
    served.server.connections.limit = 2
    busy = [await connect(served) for _ in range(2)]
    for one in busy:
        one.send(GET)
    await until(lambda: slow.asked == 2)
    received = await (await connect(served)).read_all()
    assert received.startswith(b"HTTP/1.1 503 ")
    assert b"\r\nRetry-After: 1\r\n" in received
    assert received.endswith(protocol.FULL.encode())
    slow.gate.set()
    for one in busy:
        assert await one.reader.readuntil(b"hello")
        one.writer.close()
    await until(lambda: len(served.server.connections) == 0)
