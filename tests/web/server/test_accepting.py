"""Connections are accepted a few at a time, also where the host has nothing left for one."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections.abc import AsyncIterator
from contextlib import ExitStack, closing

import pytest

from exporter.host.reserve import Reserve
from exporter.web.server import accepting
from exporter.web.server.accepting import AT_ONCE, MAX_BEGINNING, Accepting
from exporter.web.server.listening import listen
from tests.servers.descriptors import used_up
from tests.waiting import PATIENCE, until


class Protocols:
    """The protocols of accepted connections."""

    def __init__(self) -> None:
        self.transports: list[asyncio.BaseTransport] = []
        self.stay_open: list[bool] = []
        """Whether each may stay open after its first answer."""

    def __call__(self, stays_open: bool) -> asyncio.Protocol:
        made = self.transports
        self.stay_open.append(stays_open)

        class Made(asyncio.Protocol):
            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                made.append(transport)

        return Made()


class Place:
    """A listening socket with clients that wait for being accepted."""

    def __init__(self) -> None:
        (self.listening,) = listen(["127.0.0.1:0"])
        self.protocols = Protocols()
        self._clients = ExitStack()

    def connect(self, count: int) -> None:
        """As many clients more."""
        for _ in range(count):
            self._clients.enter_context(socket.create_connection(self.listening.getsockname(), timeout=PATIENCE))

    def close(self) -> None:
        """Disconnect all."""
        self._clients.close()
        self.listening.close()
        for transport in self.protocols.transports:
            transport.close()


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    """A place where connections are accepted."""
    with closing(Place()) as made:
        yield made
    await asyncio.sleep(0)


async def test_a_burst_is_accepted_a_few_at_a_time(place: Place) -> None:
    """Between any two lots the event loop does other work; in the end there are all of them."""
    place.connect(200)
    acceptor = Accepting([place.listening], place.protocols)
    most = before = 0
    while before < 200:
        await asyncio.sleep(0)
        assert len(acceptor._beginning) <= MAX_BEGINNING
        accepted = len(place.protocols.transports)
        most, before = max(most, accepted - before), accepted
    assert most <= AT_ONCE
    acceptor.close()


async def test_no_more_is_accepted_after_the_end(place: Place) -> None:
    """Neither is one whose protocol does not know it yet."""
    acceptor = Accepting([place.listening], place.protocols)
    acceptor.close()
    place.connect(1)
    await asyncio.sleep(0.02)
    assert place.protocols.transports == []


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS])
async def test_where_nothing_is_left_it_pauses(
    place: Place, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, number: int
) -> None:
    """It says so once for each attempt, and goes on when there is room again."""
    monkeypatch.setattr(accepting, "PAUSE", 0.1)
    attempts = []

    class Full(socket.socket):
        def accept(self) -> tuple[socket.socket, object]:
            attempts.append(asyncio.get_running_loop().time())
            if len(attempts) < 3:
                raise OSError(number, os.strerror(number))
            return super().accept()

    with closing(Full(fileno=os.dup(place.listening.fileno()))) as full:
        acceptor = Accepting([full], place.protocols, Reserve(0))
        place.connect(1)
        await until(lambda: place.protocols.transports)
        acceptor.close()
    assert attempts[2] - attempts[0] >= 0.19


async def test_a_client_that_has_gone_is_none(place: Place) -> None:
    """It disconnects before it is accepted; the next one is served."""
    with socket.socket() as gone:
        gone.connect(place.listening.getsockname())
        gone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # RST
    place.connect(1)
    acceptor = Accepting([place.listening], place.protocols)
    await until(lambda: place.protocols.transports and not acceptor._beginning)
    acceptor.close()


async def test_where_no_descriptor_is_left_the_reserve_has_some(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each connection gives its own back when it is closed; one more than there are waits for that."""
    monkeypatch.setattr(accepting, "PAUSE", 0.05)
    reserve = Reserve(3)
    acceptor = Accepting([place.listening], place.protocols, reserve)
    place.connect(4)
    with used_up():
        await until(lambda: len(place.protocols.transports) == 3)
        assert (place.protocols.stay_open, len(reserve)) == ([False] * 3, 0)
        for transport in place.protocols.transports:
            transport.close()
        await until(lambda: len(place.protocols.transports) == 4)
        assert len(reserve) == 2
        place.protocols.transports[3].close()
        await until(lambda: len(reserve) == 3)
    place.connect(1)
    await until(lambda: len(place.protocols.transports) == 5)
    assert place.protocols.stay_open[4] is True
    acceptor.close()
    reserve.lend(3)
