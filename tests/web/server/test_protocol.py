"""What a client can draw out, on real connections, byte by byte."""

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
from tests.web.conftest import GET, Connect, Serve, hello, until


class Slow:
    """Answers when it is let, after reading the body whole."""

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
    """However it comes; the answer is not lost, and the connection ends."""
    client = await connect(await serve(application()))
    request = b"GET /?" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n"
    for start in range(0, len(request), size):
        client.say(request[start : start + size])
        await asyncio.sleep(0)
    heard = await client.hear_all()
    assert heard.startswith(b"HTTP/1.1 431 ")
    assert heard.endswith(TOO_LARGE_HEAD.encode())


@pytest.mark.parametrize(
    "garbage",
    [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"* OK hello\r\n\r\n", b"GET / HTTP/9\r\n\r\n", b"GET /\r\n\r\n"],
    ids=["tls", "imap", "version", "0.9"],
)
async def test_what_is_no_request_is_refused_in_one_line(connect: Connect, serve: Serve, garbage: bytes) -> None:
    """And nothing that follows is looked at."""
    client = await connect(await serve())
    client.say(garbage + b"\r\n\r\n" + GET * 3)
    heard = await client.hear_all()
    assert heard.startswith(b"HTTP/1.1 400 ")
    assert heard.endswith(b"\r\n\r\n" + protocol.MALFORMED.encode())
    assert b"\r\nX-Content-Type-Options: nosniff\r\n" in heard
    assert heard.count(b"HTTP/1.1") == 2  # once more in the line itself


async def test_garbage_behind_a_request_ends_the_connection(connect: Connect, serve: Serve) -> None:
    """There is no place for a second answer in the middle of the first."""

    async def begun(_scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"begun", "more_body": True})
        while (await receive())["type"] != "http.disconnect":
            pass

    client = await connect(await serve(begun))
    client.say(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
    await client.reader.readuntil(b"begun")
    client.say(b"no chunk\r\n")
    assert await client.hear_all() in (b"", b"\r\n")


async def test_a_body_that_does_not_come_is_not_waited_for(
    connect: Connect, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The deadline of a request is one of the whole of it."""
    monkeypatch.setattr(protocol, "REQUEST_SECONDS", 0.2)
    slow = Slow()
    client = await connect(await serve(slow))
    client.say(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nx")
    assert await client.hear_all() == b""
    assert slow.asked == 0


async def test_an_answer_that_is_not_taken_is_given_up(
    connect: Connect, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever asks for much and reads nothing keeps neither a connection nor the memory."""
    monkeypatch.setattr(protocol, "REQUEST_SECONDS", 0.2)

    async def much(scope: Scope, receive: Receive, send: Send) -> None:
        await PlainTextResponse("x" * 8_000_000)(scope, receive, send)

    served = await serve(much)
    client = await connect(served)
    client.say(GET)
    await until(lambda: len(served.server.connections) == 1)
    await until(lambda: len(served.server.connections) == 0)


async def test_an_answer_that_is_never_made_is_given_up(
    connect: Connect, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a time that no scrape takes; and the client sees the end."""
    monkeypatch.setattr(protocol, "ANSWER_SECONDS", 0.2)
    slow = Slow()
    client = await connect(await serve(slow))
    client.say(GET)
    assert await client.hear_all() == b""
    assert slow.asked == 1
    slow.gate.set()


async def test_requests_in_a_row_are_answered_in_a_row(
    connect: Connect, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the first answer takes longer than a request may."""
    monkeypatch.setattr(protocol, "REQUEST_SECONDS", 0.2)
    slow = Slow()
    client = await connect(await serve(slow))
    client.say(GET + GET)
    await asyncio.sleep(0.4)
    slow.gate.set()
    await client.reader.readuntil(b"hello")
    await client.reader.readuntil(b"hello")
    assert slow.asked == 2


async def test_who_comes_to_the_point_is_served_whoever_else_is_there(connect: Connect, serve: Serve) -> None:
    """Of those that do not, the one that has waited the longest has to go."""
    served = await serve()
    served.server.connections.most = 20
    silent = [await connect(served) for _ in range(20)]
    async with httpx.AsyncClient() as client:
        assert (await client.get(f"http://127.0.0.1:{served.port}/")).text == "hello"
    assert await silent[0].hear_all() == b""
    silent[-1].say(GET)
    assert await silent[-1].reader.readuntil(b"hello")
    assert len(served.server.connections) <= 20


async def test_where_all_are_being_served_one_more_is_told_so(connect: Connect, serve: Serve) -> None:
    """503 and the end, rather than a connection that nothing comes of."""
    slow = Slow()
    served = await serve(slow)
    served.server.connections.most = 2
    busy = [await connect(served) for _ in range(2)]
    for one in busy:
        one.say(GET)
    await until(lambda: slow.asked == 2)
    heard = await (await connect(served)).hear_all()
    assert heard.startswith(b"HTTP/1.1 503 ")
    assert b"\r\nRetry-After: 1\r\n" in heard
    assert heard.endswith(protocol.FULL.encode())
    slow.gate.set()
    for one in busy:
        assert await one.reader.readuntil(b"hello")
        one.writer.close()
    await until(lambda: len(served.server.connections) == 0)
