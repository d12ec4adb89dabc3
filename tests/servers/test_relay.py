"""The relay passes on what it should, and ends as its name says."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from tests.servers import acts
from tests.servers.process import loopback_addresses
from tests.servers.relay import Relay

if TYPE_CHECKING:
    from tests.conftest import StartScripted
    from tests.servers.relay import End


async def heard(port: int, address: str, said: bytes = b"") -> tuple[list[bytes], str]:
    """What a client hears until half a second of silence, and how it ends."""
    reader, writer = await asyncio.open_connection(address, port)
    writer.write(said)
    pieces = []
    try:
        while piece := await asyncio.wait_for(reader.read(100), 0.5):
            pieces.append(piece)
    except (TimeoutError, ConnectionResetError) as error:
        return pieces, type(error).__name__
    finally:
        writer.transport.abort()
    return pieces, "end"


@pytest.mark.parametrize("address", loopback_addresses())
@pytest.mark.parametrize(
    ("end", "name"), [("reset", "ConnectionResetError"), ("half-close", "end"), ("silence", "TimeoutError")]
)
async def test_end(scripted: StartScripted, address: str, end: End, name: str) -> None:
    """So many octets, and then the end; the server gets what the client says."""
    server = await scripted(acts.in_order(acts.say(b"0123456789"), acts.silence))
    async with Relay(server.port, address, most=4, end=end) as relay:
        assert await heard(relay.port, address, b"hello") == ([b"0123"], name)
        await server.wait_idle()
    assert (relay.passed, server.received) == (4, [b"hello"])


async def test_single(scripted: StartScripted) -> None:
    """Octet by octet, and the server's own end."""
    server = await scripted(acts.in_order(acts.say(b"0123456789"), acts.close))
    async with Relay(server.port, single=True) as relay:
        pieces, end = await heard(relay.port, "127.0.0.1")
        await server.wait_idle()
    assert (b"".join(pieces), end) == (b"0123456789", "end")
