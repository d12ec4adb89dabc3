"""Handshakes that do not come, come in pieces, or come too early, on both event loops."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import TypeVar

import httpx
import pytest

from exporter.web import door
from tests.servers.authority import Authority
from tests.web.conftest import GET, Connect, Serve, WebFile, until

T = TypeVar("T")


async def test_a_handshake_that_does_not_come_is_not_waited_for(
    connect: Connect, serve: Serve, web_file: WebFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It counts among the connections, and ends in time."""
    monkeypatch.setattr(door, "HANDSHAKE_SECONDS", 0.2)
    served = await serve(live=web_file.live(web_file.tls()))
    client = await connect(served)
    await until(lambda: len(served.server.connections) == 1)
    assert await client.hear_all() == b""
    await until(lambda: len(served.server.connections) == 0)


async def test_a_handshake_has_to_go_for_one_that_is_made(
    connect: Connect, serve: Serve, web_file: WebFile, authority: Authority
) -> None:
    """As a request does; and a server that is stopped waits for none."""
    served = await serve(live=web_file.live(web_file.tls()))
    served.server.connections.most = 3
    silent = [await connect(served) for _ in range(3)]
    await until(lambda: len(served.server.connections) == 3)
    context = ssl.create_default_context(cafile=str(authority.ca_file))
    async with httpx.AsyncClient(verify=context) as client:
        assert (await client.get(f"https://localhost:{served.port}/")).text == "hello"
    assert await silent[0].hear_all() == b""
    assert len(served.server.connections) <= 3
    await served.server.stop()
    for one in silent[1:]:
        assert await one.hear_all() == b""


async def test_a_client_that_leaves_in_the_middle_leaves_nothing(
    connect: Connect, serve: Serve, web_file: WebFile
) -> None:
    """Before its first octet, after it, and with what is no TLS."""
    served = await serve(live=web_file.live(web_file.tls()))
    for words in (b"", b"\x16", b"\x16\x03\x01\x02\x00", GET):
        client = await connect(served)
        client.say(words)
        await client.writer.drain()
        client.writer.close()
    await until(lambda: not served.server.connections and not served.server._handshakes)


@pytest.mark.parametrize("size", [1, 100, 100_000])
async def test_a_handshake_in_pieces_is_made(
    connect: Connect, serve: Serve, web_file: WebFile, authority: Authority, size: int
) -> None:
    """However small they are, and however early the first one comes."""
    served = await serve(live=web_file.live(web_file.tls()))
    client = await connect(served)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = authority.client_context.wrap_bio(incoming, outgoing, server_hostname="localhost")

    async def exchange() -> None:
        said = outgoing.read()
        for start in range(0, len(said), size):
            client.say(said[start : start + size])
            await client.writer.drain()
            await asyncio.sleep(0)
        heard = await asyncio.wait_for(client.reader.read(65536), 5)
        assert heard
        incoming.write(heard)

    async def done(step: Callable[[], T]) -> T:
        while True:
            try:
                return step()
            except ssl.SSLWantReadError:
                await exchange()

    await done(tls.do_handshake)
    tls.write(GET)
    answer = b""
    while b"hello" not in answer:
        answer += await done(tls.read)
