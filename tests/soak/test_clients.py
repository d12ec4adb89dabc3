"""The clients misbehave as they should."""

from __future__ import annotations

import asyncio
import base64
from contextlib import suppress

import pytest

from soak import clients


@pytest.mark.parametrize("kind", clients.KINDS)
async def test_clients(kind: object) -> None:
    """Each kind sends what it is for, and needs nothing of the server."""
    received: list[bytes] = []
    closed = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        received.append(await reader.read(65536))
        writer.write(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno")
        await asyncio.sleep(0.05)
        writer.close()
        closed.set()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        connection = await asyncio.open_connection("127.0.0.1", port, local_addr=(clients.address(7), 0))
        with suppress(OSError, asyncio.IncompleteReadError, TimeoutError):
            await asyncio.wait_for(kind(connection, "prometheus", "secret"), 2)  # type: ignore[operator]
        connection[1].close()
        await closed.wait()
    (sent,) = received
    right = base64.b64encode(b"prometheus:secret")
    if kind is clients.read_slowly:
        assert sent.startswith(b"GET /metrics ")
        assert right in sent
    elif kind is clients.ask_by_halves:
        assert not sent.endswith(b"\r\n\r\n")
    elif kind is clients.guess:
        assert sent.endswith(b"\r\n\r\n")
        assert right not in sent
    else:
        assert sent


def test_addresses() -> None:
    """Each client has an address of its own."""
    addresses = {clients.address(number) for number in range(clients.CLIENTS)}
    assert len(addresses) == clients.CLIENTS
    assert all(address.startswith("127.") for address in addresses)
