"""One socket, on both event loops and in both families: writes that block, pauses, and every end."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest

from exporter.probing.tcp import TcpSocket
from tests.probing.conftest import ADDRESSES, open_files
from tests.waiting import PATIENCE, until

MUCH = bytes(range(256)) * (32 << 10)
"""8 MiB: more than both sides' buffers of loopback hold."""


@dataclass
class Receiver:
    """Keeps what it is told."""

    received: bytearray = field(default_factory=bytearray)
    times: list[float] = field(default_factory=list)
    ends: int = 0
    lost: list[OSError | None] = field(default_factory=list)

    def receive(self, data: memoryview, at: float) -> None:
        """Keep it."""
        self.received += data
        self.times.append(at)

    def receive_end(self) -> None:
        """Keep it."""
        self.ends += 1

    def lose(self, error: OSError | None) -> None:
        """Keep it."""
        self.lost.append(error)


@dataclass
class Pair:
    """A socket that is connected, and the server's side of it, which reads only when the test does."""

    tcp: TcpSocket
    told: Receiver
    server: socket.socket

    async def read(self, count: int) -> bytes:
        """Read so many octets on the server's side, or up to the end."""
        loop, found = asyncio.get_running_loop(), bytearray()
        while len(found) < count and (data := await loop.sock_recv(self.server, 1 << 20)):
            found += data
        return bytes(found)

    def reset(self) -> None:
        """Reset on the server's side."""
        self.server.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.server.close()


@pytest.fixture(params=ADDRESSES)
async def pair(request: pytest.FixtureRequest) -> AsyncIterator[Pair]:
    """A connection in each family; at its end nothing may be left of it."""
    family = socket.AF_INET6 if ":" in request.param else socket.AF_INET
    with socket.create_server((request.param, 0), family=family) as listening:
        tcp, told = TcpSocket(), Receiver()
        await tcp.open(request.param, listening.getsockname()[1], told)
        assert tcp._socket is not None
        own = os.readlink(f"/proc/self/fd/{tcp._socket.fileno()}")  # noqa: PTH115 (a socket's link leads nowhere)
        server, _ = listening.accept()
        server.setblocking(False)
        with server:
            yield Pair(tcp, told, server)
        tcp.close()
        assert own not in open_files()


async def test_reads_only_when_resumed(pair: Pair) -> None:
    """What arrives is told, with its time, from `resume` until `pause`; what arrived before comes then."""
    pair.server.send(b"before")
    await asyncio.sleep(0.05)
    assert not pair.told.received
    for _ in range(2):
        pair.tcp.resume()
    await until(lambda: pair.told.received == b"before")
    assert pair.tcp.connected_at <= pair.told.times[0] + 1e-3
    for _ in range(2):
        pair.tcp.pause()
    pair.server.send(b", after")
    await asyncio.sleep(0.05)
    assert pair.told.received == b"before"
    pair.tcp.resume()
    await until(lambda: pair.told.received == b"before, after")


async def test_the_server_ends(pair: Pair) -> None:
    """The end of the server's side is told; this side can still send."""
    pair.server.shutdown(socket.SHUT_WR)
    pair.tcp.resume()
    await until(lambda: pair.told.ends)
    pair.tcp.send(b"still here")
    assert await pair.read(10) == b"still here"
    assert (pair.tcp.is_open, pair.told.lost) == (True, [])


async def test_a_write_that_blocks_goes_on(pair: Pair) -> None:
    """What the kernel does not take at once follows as the server reads, in order, with what was sent after it."""
    pair.tcp.send(MUCH)
    blocked_at = pair.tcp.sent_at
    assert pair.tcp._unsent
    pair.tcp.send(b"the end")
    assert await pair.read(len(MUCH) + 7) == MUCH + b"the end"
    assert not pair.tcp._unsent
    assert pair.tcp.sent_at > blocked_at
    pair.tcp.send(b"more")
    assert await pair.read(4) == b"more"


async def test_ends_while_a_write_blocks(pair: Pair) -> None:
    """The end is told once: to be told as long as the write blocks would take all of the processor."""
    pair.tcp.send(MUCH)
    pair.tcp.resume()
    pair.server.shutdown(socket.SHUT_WR)
    await until(lambda: pair.told.ends)
    pair.tcp.leave()
    assert await pair.read(len(MUCH) + 1) == MUCH
    assert (pair.told.ends, pair.told.lost) == (1, [None])


async def test_leaves_after_a_write_that_blocks(pair: Pair) -> None:
    """To leave sends what is written, and nothing that is sent later; then it closes, in order."""
    pair.tcp.send(MUCH)
    pair.tcp.leave()
    pair.tcp.send(b"too late")
    assert (pair.tcp.is_open, pair.told.lost) == (True, [])
    closing = asyncio.create_task(pair.tcp.wait_closed(30))
    assert await pair.read(len(MUCH) + 1) == MUCH
    await closing
    assert (pair.tcp.is_open, pair.told.lost) == (False, [None])


async def test_waits_no_longer_for_a_write_that_blocks(pair: Pair) -> None:
    """A server that never reads is waited for only so long; to close then is at once."""
    pair.tcp.send(MUCH)
    pair.tcp.leave()
    async with asyncio.timeout(PATIENCE):
        await pair.tcp.wait_closed(0.05)
    assert pair.tcp.is_open
    pair.tcp.close()
    assert pair.told.lost == [None]


@pytest.mark.parametrize("reading", [False, True])
async def test_a_reset_while_a_write_blocks(pair: Pair, reading: bool) -> None:
    """It is told once, as a reset, and the socket is closed, whether or not it is read."""
    if reading:
        pair.tcp.resume()
    pair.tcp.send(MUCH)
    pair.reset()
    await until(lambda: pair.told.lost)
    assert not pair.tcp.is_open
    assert [type(error) for error in pair.told.lost] == [ConnectionResetError]
    pair.tcp.send(b"too late")
    pair.tcp.resume()
    pair.tcp.leave()
    pair.tcp.close()
    await pair.tcp.wait_closed(30)
    assert len(pair.told.lost) == 1


@pytest.mark.parametrize("data", [b"last words", MUCH], ids=["little", "much"])
async def test_a_reset_right_after_data(pair: Pair, data: bytes) -> None:
    """What came before the reset is told, then the reset, also where both are there when the socket is read."""
    sent = pair.server.send(data)
    pair.reset()
    pair.tcp.resume()
    await until(lambda: pair.told.lost)
    assert data.startswith(pair.told.received)
    assert len(pair.told.received) == sent or data is MUCH
    assert pair.told.received
    assert [type(error) for error in pair.told.lost] == [ConnectionResetError]


async def test_a_write_after_a_reset(pair: Pair) -> None:
    """A write that fails is told as a read that fails is."""
    pair.reset()
    await asyncio.sleep(0.05)
    pair.tcp.send(b"too late")
    assert [type(error) for error in pair.told.lost] == [ConnectionResetError]


async def test_what_the_kernel_knows(pair: Pair) -> None:
    """It is known while the socket is open, and as of its end afterwards."""
    pair.tcp.send(b"hello")
    assert await pair.read(5) == b"hello"
    await asyncio.sleep(0.05)
    during = pair.tcp.info()
    pair.tcp.close()
    assert during is not None
    assert pair.tcp.info() == during
    assert during.bytes_acked == 6
