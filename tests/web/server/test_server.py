"""The server, on its sockets."""

from __future__ import annotations

import asyncio
import contextlib
import socket

import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from exporter.web.server.listening import listen
from exporter.web.server.server import Server
from tests.waiting import PATIENCE, until


async def test_a_client_that_never_completes_its_request_is_disconnected(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that sends nothing, one that sends single octets, and one that is idle after an answer; others are served."""
    monkeypatch.setattr("exporter.web.server.protocol.REQUEST_SECONDS", 0.5)

    async def hello(_request: object) -> PlainTextResponse:
        return PlainTextResponse("hello")

    server = Server(Starlette(routes=[Route("/", hello)]))
    (listening,) = listen(["127.0.0.1:0"])
    port = listening.getsockname()[1]
    serving = asyncio.create_task(server.serve([listening]))
    await until(lambda: server.started)
    silent, quiet = await asyncio.open_connection("127.0.0.1", port)
    dripping, drip = await asyncio.open_connection("127.0.0.1", port)
    idle, ask = await asyncio.open_connection("127.0.0.1", port)
    ask.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert (await idle.readuntil(b"hello")).startswith(b"HTTP/1.1 200")
    began = asyncio.get_running_loop().time()
    while not (dripping.at_eof() or dripping.exception() or drip.is_closing()):
        drip.write(b"G")
        await asyncio.sleep(0.05)
        assert asyncio.get_running_loop().time() - began < PATIENCE
    for reader in (silent, idle):
        with contextlib.suppress(ConnectionResetError):
            assert await asyncio.wait_for(reader.read(), PATIENCE) == b""
    async with httpx.AsyncClient(timeout=PATIENCE) as client:
        assert (await client.get(f"http://127.0.0.1:{port}/")).text == "hello"
    for writer in (quiet, drip, ask):
        writer.close()
    await server.stop()
    await asyncio.wait_for(serving, PATIENCE)


async def test_requests_are_served_until_it_is_stopped() -> None:
    """On every socket, and it leaves the signal handlers of the process alone."""

    async def hello(_request: object) -> PlainTextResponse:
        return PlainTextResponse("hello")

    server = Server(Starlette(routes=[Route("/", hello)]))
    sockets = listen(["127.0.0.1:0", "[::1]:0"])
    urls = [f"http://127.0.0.1:{sockets[0].getsockname()[1]}/", f"http://[::1]:{sockets[1].getsockname()[1]}/"]
    serving = asyncio.create_task(server.serve(sockets))
    async with httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(retries=5), timeout=PATIENCE) as client:
        for url in urls:
            answer = await client.get(url)
            assert answer.text == "hello"
            assert "server" not in answer.headers
    await server.stop()
    await asyncio.wait_for(serving, PATIENCE)
    with pytest.raises(OSError, match="refused|failed"):
        socket.create_connection(("127.0.0.1", int(urls[0].split(":")[2].strip("/"))), timeout=1)
