"""File descriptors in reserve."""

from __future__ import annotations

import errno
import os
import socket

import pytest

from exporter.host.reserve import Reserve
from exporter.web.server.listening import listen
from tests.servers.descriptors import used_up


def test_it_lends_what_it_has() -> None:
    """A file that is opened meanwhile gets a number of the reserve; what was lent comes back."""
    reserve = Reserve(2)
    reserve.fill()
    assert not reserve.is_needed()
    with used_up():
        assert reserve.is_needed()
        with reserve.lent(3):
            assert len(reserve) == 0
            os.close(os.open(os.devnull, os.O_RDONLY))
        assert (len(reserve), reserve.is_needed()) == (2, True)
    assert reserve.lend(2) == 2


def test_what_something_else_took_is_missing_until_it_is_free() -> None:
    """It is filled as far as possible, and again later."""
    reserve = Reserve(2)
    with used_up():
        reserve.fill()
        assert len(reserve) == 0
    reserve.fill()
    reserve.fill()
    assert reserve.lend(9) == 2


@pytest.mark.parametrize("closed_by", ["asyncio", "uvloop"])
def test_a_connection_gives_its_descriptor_back(closed_by: str) -> None:
    """Once, in whichever way it is closed: uvloop does that by its number."""
    reserve = Reserve(1)
    (listening,) = listen(["127.0.0.1:0"])
    listening.setblocking(False)
    with listening, socket.create_connection(listening.getsockname(), timeout=5):
        with pytest.raises(OSError, match=os.strerror(errno.EMFILE)):
            reserve.accept(listening)
        reserve.fill()
        accepted = reserve.accept(listening)
        assert len(reserve) == 0
        if closed_by == "uvloop":
            os.close(accepted.fileno())
            accepted.detach()
        accepted.close()
        assert len(reserve) == 1
        with pytest.raises(BlockingIOError):
            reserve.accept(listening)  # no other connection waits
        assert reserve.lend() == 1
