"""Slow, malformed and too many requests, on real connections."""

from __future__ import annotations

import asyncio
import socket
from contextlib import closing

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from exporter.web.server import protocol
from exporter.web.server.application import application
from exporter.web.server.faults import Faults
from exporter.web.server.limits import TOO_LARGE_HEAD
from tests.waiting import PATIENCE, until
from tests.web.conftest import GET, Connect, Serve, Served, hello


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


@pytest.mark.parametrize("method", [b"GET", b"HEAD", b"POST"])
@pytest.mark.parametrize("before", [b"", GET], ids=["alone", "behind another request"])
async def test_a_malformed_body_is_refused_in_one_line(
    connect: Connect, serve: Serve, caplog: pytest.LogCaptureFixture, method: bytes, before: bytes
) -> None:
    """Although the request is being answered already: its answer is dropped, and nothing is logged as a fault."""
    slow = Slow()
    slow.gate.set()
    served = await serve(Faults(slow))
    client = await connect(served)
    client.send(before + method + b" / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nno chunk\r\n")
    received = await client.read_all()
    assert received.count(b"HTTP/1.1 200 ") == (1 if before else 0)
    assert received.count(b"HTTP/1.1 400 ") == 1
    assert received.endswith(b"\r\n\r\n" + (b"" if method == b"HEAD" else protocol.MALFORMED.encode()))
    await until(lambda: not served.server.server_state.tasks)
    assert [record.message for record in caplog.records if record.levelname == "ERROR"] == []


@pytest.mark.parametrize("empty", [b"\r\n", b"\n", b"\r\n" * 20], ids=["one", "without CR", "many"])
async def test_an_empty_line_before_a_request_is_passed_over(connect: Connect, serve: Serve, empty: bytes) -> None:
    """Before the first one and the next, in one piece and octet by octet (RFC 9112 §2.2)."""
    slow = Slow()
    slow.gate.set()
    served = await serve(slow)
    post = GET.replace(b"GET", b"POST").replace(b"\r\n\r\n", b"\r\nContent-Length: 3\r\n\r\nabc")
    client = await connect(served)
    for octets in (empty + GET + empty + post + empty + GET, empty + post):
        for size in (len(octets), 1):
            for at in range(0, len(octets), size):
                client.send(octets[at : at + size])
                await asyncio.sleep(0)
            for _ in range(octets.count(b"HTTP/1.1")):
                answered = await client.reader.readuntil(b"hello")
                assert answered.startswith(b"HTTP/1.1 200 ")
    client.send(b"\r")
    await asyncio.sleep(0.01)
    client.send(b"\n" + GET)
    await client.reader.readuntil(b"hello")


@pytest.mark.parametrize("size", [100_000, 600], ids=["at once", "in many reads"])
@pytest.mark.parametrize("what", ["chunks", "lines"])
async def test_a_request_in_many_pieces_is_refused(connect: Connect, serve: Serve, what: str, size: int) -> None:
    """Each costs time, however short it is: they would keep everything else waiting. As many as allowed are taken."""
    head = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    slow = Slow()
    slow.gate.set()
    served = await serve(slow)
    for pieces, status in ((protocol.MAX_PIECES, b"200"), (protocol.MAX_PIECES + 1, b"400")):
        chunks = b"1\r\nx\r\n" * (pieces if what == "chunks" else 1)
        request = b"\r\n" * (0 if what == "chunks" else pieces) + head + chunks + b"0\r\n\r\n"
        client = await connect(served)
        for start in range(0, len(request), size):
            client.send(request[start : start + size])
            await asyncio.sleep(0)
        answered = await client.reader.readuntil(b"\r\n\r\n")
        assert answered.startswith(b"HTTP/1.1 " + status)
        if status == b"400":
            assert await client.read_all() == protocol.TOO_MANY_PIECES.encode()


@pytest.mark.parametrize(("headers", "status"), [(1000, b"200"), (10_000, b"431")])
async def test_a_head_of_many_short_headers_is_refused(
    connect: Connect, serve: Serve, headers: int, status: bytes
) -> None:
    """By what it takes with its line ends, also where it comes as a whole."""
    client = await connect(await serve())
    client.send(b"GET / HTTP/1.1\r\nHost: x\r\n" + b"a:\r\n" * headers + b"\r\n")
    assert (await client.reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 " + status)


async def test_empty_lines_alone_are_no_request(
    connect: Connect, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The time limit of a request is for them, too."""
    monkeypatch.setattr(protocol, "REQUEST_SECONDS", 0.2)
    client = await connect(await serve())
    client.send(b"\r\n" * 100)
    assert await client.read_all() == b""


async def test_two_lengths_end_the_connection(connect: Connect, serve: Serve) -> None:
    """The chunks count, the answer says that it is the last one, and what follows is not read (RFC 9112 §6.1)."""
    slow = Slow()
    slow.gate.set()
    client = await connect(await serve(slow))
    lengths = b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    client.send(GET.replace(b"GET", b"POST").replace(b"\r\n\r\n", b"\r\n" + lengths) + GET)
    received = await client.read_all()
    assert received.count(b"HTTP/1.1 ") == received.count(b"HTTP/1.1 200 ") == 1
    assert b"\r\nconnection: close\r\n" in received.lower()
    assert slow.asked == 1


@pytest.mark.parametrize("coding", [b"gzip, chunked", b"chunked, chunked", b"identity", b"x"])
async def test_an_unknown_transfer_coding_is_refused(connect: Connect, serve: Serve, coding: bytes) -> None:
    """With 501 (RFC 9112 §6.1), and the connection is closed."""
    client = await connect(await serve())
    client.send(GET.replace(b"\r\n\r\n", b"\r\nTransfer-Encoding: " + coding + b"\r\n\r\n") + GET)
    received = await client.read_all()
    assert received.count(b"HTTP/1.1 501 ") == received.count(b"HTTP/1.1 ") == 1
    assert received.endswith(protocol.UNKNOWN_CODING.encode())


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


LARGE = bytes(range(256)) * 32_000


async def large(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with 8 MB, always the same object."""
    await Response(LARGE)(scope, receive, send)


class Reluctant:
    """A client whose kernel takes as little as it can; it reads only where the test says so."""

    def __init__(self, served: Served) -> None:
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self._socket.connect(("127.0.0.1", served.port))
        self._socket.setblocking(False)

    def send(self, data: bytes) -> None:
        """Send it."""
        self._socket.sendall(data)

    def read(self, octets: int) -> bytes | None:
        """What has arrived, at most so many octets; None while nothing has."""
        try:
            return self._socket.recv(octets)
        except BlockingIOError:
            return None
        except ConnectionResetError:
            return b""

    def close(self) -> None:
        """Disconnect."""
        self._socket.close()


@pytest.mark.parametrize("requests", [1, 50], ids=["one request", "many requests"])
@pytest.mark.parametrize("octets", [0, 1], ids=["nothing", "an octet at a time"])
async def test_an_answer_that_is_not_taken_is_given_up(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, requests: int, octets: int
) -> None:
    """A client that reads nothing, or too little, keeps neither a connection nor the memory."""
    monkeypatch.setattr(protocol, "PIECE_SECONDS", 0.3)
    served = await serve(large)
    client = Reluctant(served)
    client.send(GET * requests)
    await until(lambda: served.server.shared.outbox.octets == len(LARGE))
    (connection,) = served.server.server_state.connections
    while served.server.shared.connections:
        assert connection.transport.get_write_buffer_size() <= 2 * protocol.PIECE
        if octets:
            client.read(octets)
        await asyncio.sleep(0.05)
    await until(lambda: served.server.shared.outbox.octets == 0)
    client.close()


async def test_small_answers_that_are_not_taken_are_given_up(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of them is small; together they are bounded, and the connection is closed."""
    monkeypatch.setattr(protocol, "PIECE_SECONDS", 0.3)

    async def small(scope: Scope, receive: Receive, send: Send) -> None:
        await Response(LARGE[:30_000])(scope, receive, send)

    served = await serve(small)
    client = Reluctant(served)
    client.send(GET * 300)
    await until(lambda: len(served.server.shared.connections) == 1)
    (connection,) = served.server.server_state.connections
    while served.server.shared.connections:
        assert connection.transport.get_write_buffer_size() <= 3 * protocol.PIECE
        await asyncio.sleep(0.02)
    client.close()


async def taken_slowly(client: Reluctant, body: bytes, seconds: float) -> bool:
    """Ask for a body, and take it a little at a time in more than so many seconds; whether all of it has come."""
    client.send(GET)
    received, began = bytearray(), asyncio.get_running_loop().time()
    while len(received) < len(body) or not received.endswith(body[-1000:]):
        piece = client.read(4096)
        if piece == b"":
            return False
        received += piece or b""
        await asyncio.sleep(1.5 * seconds * 4096 / len(body))
    assert received.endswith(body)
    assert asyncio.get_running_loop().time() - began > seconds
    client.send(GET)
    await until(lambda: client.read(1))
    return True


async def test_a_slow_client_gets_the_whole_answer(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes longer than the limit for one piece, and each piece in time; nothing is lost or changed."""
    body = LARGE[:1_000_000]

    async def much(scope: Scope, receive: Receive, send: Send) -> None:
        await Response(body)(scope, receive, send)

    served = await serve(much)
    for seconds in (0.5, 8.0):  # a busy machine may not come to read in the shorter time
        monkeypatch.setattr(protocol, "PIECE_SECONDS", seconds)
        with closing(Reluctant(served)) as client:
            if await taken_slowly(client, body, seconds):
                return
    pytest.fail("the connection was closed")


async def test_one_body_for_all_is_in_memory_once(serve: Serve) -> None:
    """However many connections send it; where another body needs the memory, they are closed."""
    other = LARGE[:-1]

    async def either(scope: Scope, receive: Receive, send: Send) -> None:
        await Response(other if scope["path"] == "/other" else LARGE)(scope, receive, send)

    served = await serve(either)
    served.server.shared.outbox.limit = len(LARGE) + 1000
    clients = [Reluctant(served) for _ in range(20)]
    for client in clients:
        client.send(GET)
    await until(lambda: sum(len(one.aborts) for one in served.server.shared.outbox.unsent.values()) == len(clients))
    assert served.server.shared.outbox.octets == len(LARGE)
    async with httpx.AsyncClient(timeout=PATIENCE) as healthy:
        assert (await healthy.get(f"http://127.0.0.1:{served.port}/other")).content == other
    await until(lambda: not served.server.shared.outbox.unsent)
    for client in clients:
        client.close()


@pytest.mark.parametrize("method", [b"GET", b"HEAD"])
async def test_an_answer_counts_while_it_waits_for_its_turn(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, method: bytes
) -> None:
    """On a busy machine hundreds wait, each with a body of its own."""
    served = await serve(large)
    turns, go_on = [], asyncio.Event()

    async def take(client: str) -> None:
        turns.append(client)
        if len(turns) > 1:
            await go_on.wait()

    monkeypatch.setattr(served.server.shared.turns, "take", take)
    with closing(Reluctant(served)) as client:
        client.send(GET.replace(b"GET", method))
        await until(lambda: len(turns) > 1)
        assert served.server.shared.outbox.octets == len(LARGE)
        go_on.set()
        await until(lambda: client.read(1))


async def test_a_head_holds_no_body(connect: Connect, serve: Serve) -> None:
    """The answer has the length of the body, and not the body."""
    served = await serve(large)
    client = await connect(served)
    client.send(GET.replace(b"GET", b"HEAD").replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    received = await client.read_all()
    assert b"content-length: %d\r\n" % len(LARGE) in received
    assert received.endswith(b"\r\n\r\n")


async def test_a_client_that_does_not_read_gives_way(serve: Serve) -> None:
    """Where the limit of connections is reached, it counts as one that waits."""
    served = await serve(large)
    served.server.shared.connections.limit = 3
    clients = [Reluctant(served) for _ in range(3)]
    for client in clients:
        client.send(GET)
    await until(lambda: len(served.server.shared.connections.waiting) == 3 and served.server.shared.outbox.octets)
    async with httpx.AsyncClient(timeout=PATIENCE) as healthy:
        assert (await healthy.get(f"http://127.0.0.1:{served.port}/")).content == LARGE
    for client in clients:
        client.close()


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
    served.server.shared.connections.limit = 20
    silent = [await connect(served) for _ in range(20)]
    async with httpx.AsyncClient(timeout=PATIENCE) as client:
        assert (await client.get(f"http://127.0.0.1:{served.port}/")).text == "hello"
    assert await silent[0].read_all() == b""
    silent[-1].send(GET)
    assert await silent[-1].reader.readuntil(b"hello")
    assert len(served.server.shared.connections) <= 20


async def test_one_more_is_refused_where_all_are_being_served(connect: Connect, serve: Serve) -> None:
    """With 503, and the connection is closed."""
    slow = Slow()
    served = await serve(slow)
    served.server.shared.connections.limit = 2
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
    await until(lambda: len(served.server.shared.connections) == 0)
