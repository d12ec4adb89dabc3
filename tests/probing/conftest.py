"""For tests of sockets: both event loops, and a check that nothing is left open."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest
import uvloop

from exporter.probing.kernel import ARRIVAL_CLOCK
from exporter.probing.resolve import Resolver
from tests.probing.prober import Prober
from tests.servers.process import loopback_addresses
from tests.waiting import PATIENCE

if TYPE_CHECKING:
    from tests.conftest import StartScripted
    from tests.servers.authority import Authority
    from tests.servers.scripted import Behaviour, ScriptedServer, Session

ADDRESSES = loopback_addresses()

HAS_IPV6 = "::1" in ADDRESSES
"""Without it this host has no route to `::1`, and the tests expect that."""


@pytest.fixture
async def prober(authority: Authority) -> AsyncIterator[Prober]:
    """Call it with a target to probe that."""
    resolver = Resolver()
    yield Prober(authority, resolver)
    await resolver.close()


LoopFactory: TypeAlias = Callable[[], asyncio.AbstractEventLoop]


def pytest_asyncio_loop_factories(config: pytest.Config, item: pytest.Item) -> Mapping[str, LoopFactory]:
    """Run every asynchronous test on uvloop, where the daemon runs, and on asyncio's own loop."""
    return {"uvloop": uvloop.new_event_loop, "asyncio": asyncio.new_event_loop}


_RESERVE = {"/", "/dev/null"}
"""What libuv keeps open for the case that no more files can be opened."""


def open_files() -> dict[str, int]:
    """Return the number of open files of this process, by target."""
    found: dict[str, int] = {}
    for number in os.listdir("/proc/self/fd"):  # noqa: PTH208 (a listing, not a walk)
        try:
            what = os.readlink(f"/proc/self/fd/{number}")  # noqa: PTH115 (a socket's link leads nowhere)
        except FileNotFoundError:
            continue  # the listing itself
        if what not in _RESERVE:
            found[what] = found.get(what, 0) + 1
    return found


with socket.socket() as _stamped:
    # The first connection opens a socket that stays open as long as the process, and is of no test.
    ARRIVAL_CLOCK.enable(_stamped)


class Belongings:
    """The sockets, files and tasks at its creation, which is after the start of the servers."""

    def __init__(self) -> None:
        self._files = open_files()
        self._tasks = asyncio.all_tasks()

    def _left(self) -> list[str]:
        files = [what for what, count in open_files().items() if count > self._files.get(what, 0)]
        tasks = asyncio.all_tasks() - self._tasks - {asyncio.current_task()}
        return files + [repr(task) for task in tasks]

    async def assert_nothing_left(self, within: float = PATIENCE) -> None:
        """Fail if more are open; the server's side of a connection ends a little later than ours."""
        deadline = time.monotonic() + within
        while (left := self._left()) and time.monotonic() < deadline:
            await asyncio.sleep(0.005)
        assert not left


class _OnAnyLoop:
    """A behaviour of a scripted server whose client may close the connection at any time.

    Writing to a connection that is gone is a `ConnectionError` on asyncio's own loop, and a `RuntimeError` on uvloop.
    """

    does_handshake = True

    def __init__(self, behave: Behaviour) -> None:
        self._behave = behave

    async def __call__(self, session: Session) -> None:
        try:
            if session.server.security == "tls" and not getattr(self._behave, "does_handshake", False):
                await session.start_tls()
            await self._behave(session)
            await session.close()
        except RuntimeError as error:
            if "the handler is closed" not in str(error):
                raise
            raise ConnectionAbortedError("the client has gone") from error


@pytest.fixture
def scripted(scripted: StartScripted) -> StartScripted:
    """The same fixture as elsewhere, for both event loops."""

    async def start(behave: Behaviour, **how: Any) -> ScriptedServer:
        return await scripted(_OnAnyLoop(behave), **how)

    return start


Fill: TypeAlias = Callable[[str, int], None]


@pytest.fixture
def fill_backlog() -> Iterator[Fill]:
    """Call it with an address and a port to listen there with a full backlog, so that a connect hangs."""
    with ExitStack() as stack:

        def fill(address: str, port: int) -> None:
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            listening = stack.enter_context(socket.socket(family))
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind((address, port))
            listening.listen(0)
            while True:
                waiting = stack.enter_context(socket.socket(family))
                waiting.settimeout(0.1)
                try:
                    waiting.connect(listening.getsockname()[:2])
                except TimeoutError:
                    return

        yield fill


def cut(data: bytes, places: Sequence[int]) -> list[bytes]:
    """Cut `data` at these positions."""
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in pairwise(edges)]
