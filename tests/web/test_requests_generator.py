"""No request, whatever it holds, makes an answer 500, a fault in the log, or an answer that is no HTTP."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import bcrypt
import h11
import pytest
from starlette.types import Message

from exporter.config.web import read_web
from exporter.daemon.composition import Daemon
from tests.examples import SENTINEL
from tests.servers.exporter import daemon_here
from tests.waiting import PATIENCE
from tests.web.requests_generator import RequestGenerator

CONFIG = """
endpoints: {imap: {protocol: imap, host: 127.0.0.1, port: 1, interval: 1d, timeout: 1s}}
modules: {imap: {protocol: imap, timeout: 1s}}
probe: {allow: ["127.0.0.1:1"]}
"""
IN_PROCESS, OVER_SOCKETS = 3000, 600


@asynccontextmanager
async def daemon(directory: Path, *, users: bool) -> AsyncIterator[tuple[Daemon, int]]:
    """A daemon with every route, and its port."""
    config, web = directory / "gmail.yml", directory / "web.yml"
    config.write_text(CONFIG, "utf-8")
    options: dict[str, Any] = {"enable_lifecycle": True}
    if users:
        web.write_text(f"basic_auth_users: {{a: '{bcrypt.hashpw(SENTINEL.encode(), bcrypt.gensalt(4)).decode()}'}}")
        options |= {"web_config_file": web, "web": read_web(web)}
    async with daemon_here(config, **options) as (made, url):
        yield made, urlsplit(url).port or 0


async def answer(app: Any, scope: dict[str, Any], body: bytes) -> list[Message]:
    """What the application sends."""
    sent: list[Message] = []
    received = iter([{"type": "http.request", "body": body, "more_body": False}])

    async def receive() -> Message:
        return next(received, {"type": "http.disconnect"})

    async def send(message: Message) -> None:
        sent.append(message)

    await asyncio.wait_for(app(scope, receive, send), PATIENCE)
    return sent


def check(status: int, body: bytes, what: object) -> None:
    """An answer that is the client's fault, or that says to try again."""
    assert status < 500 or status in (501, 503), what
    assert b"Traceback" not in body, what
    assert b"Internal Server Error" not in body, what


@pytest.mark.parametrize("users", [False, True], ids=["open", "with passwords"])
async def test_no_request_is_a_fault_of_the_application(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, users: bool
) -> None:
    """Every part of every route, behind a server that lets everything pass."""
    async with daemon(tmp_path, users=users) as (made, _):
        for request in islice(RequestGenerator(f"application {users}"), IN_PROCESS):
            messages = await answer(made._server.config.loaded_app, request.scope, request.body)
            assert [message["type"] for message in messages[:1]] == ["http.response.start"], request
            status, body = messages[0]["status"], b"".join(message.get("body", b"") for message in messages)
            check(status, body, request)
            assert users is False or status in (401, 403, 413, 421, 431, 503), request
    assert [record for record in caplog.records if record.levelname == "ERROR" and "down" not in record.msg] == []


async def exchange(port: int, octets: bytes) -> bytes:
    """Send it on a connection of its own; all that comes back until the end, or for half a second."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    received = b""
    with contextlib.suppress(OSError, TimeoutError):
        writer.write(octets)
        async with asyncio.timeout(PATIENCE):
            while True:
                # The first answer may take as long as a probe; whether there is another one is seen soon.
                async with asyncio.timeout(0.02 if received else 3):
                    piece = await reader.read(65536)
                if not piece:
                    break
                received += piece
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return received


def first_answer(received: bytes, method: str) -> tuple[int, bytes]:
    """Its status and its body, as a client parses it."""
    client = h11.Connection(h11.CLIENT)
    client.send(h11.Request(method=method, target="/", headers=[("Host", "x")]))
    client.receive_data(received)
    status, body = 0, b""
    event: object = client.next_event()
    while not isinstance(event, (h11.EndOfMessage, h11.ConnectionClosed)) and event not in (h11.NEED_DATA, h11.PAUSED):
        if isinstance(event, h11.Response):
            status = event.status_code
        elif isinstance(event, h11.Data):
            body += event.data
        event = client.next_event()
    return status, body


async def test_no_request_is_a_fault_of_the_server(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Octets on real connections, one request or several on each; afterwards it is as healthy as before."""
    async with daemon(tmp_path, users=False) as (made, port):
        requests = RequestGenerator("server")
        gate = asyncio.Semaphore(8)

        async def one(number: int) -> None:
            sent = [requests.request() for _ in range(1 + number % 3)]
            async with gate:
                received = await exchange(port, b"".join(request.octets for request in sent))
            if received:
                check(*first_answer(received, "HEAD" if sent[0].method == "HEAD" else "GET"), sent)

        await asyncio.gather(*map(one, range(OVER_SOCKETS)))
        received = await exchange(port, b"GET /-/healthy HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert received.endswith(b"Healthy.\n")
        assert not made._server.shared.outbox.unsent
    assert [record for record in caplog.records if record.levelname == "ERROR" and "down" not in record.msg] == []


@pytest.mark.parametrize("make", [lambda request: request.octets, lambda request: str(request.scope)])
def test_a_seed_gives_the_same_requests(make: Callable[[Any], object]) -> None:
    """A case that fails can be made again."""
    first, second, other = (list(map(make, islice(RequestGenerator(seed), 200))) for seed in (1, 1, 2))
    assert first == second
    assert first != other
    assert len(set(first)) > 150
