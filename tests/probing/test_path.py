"""Traces of real paths, in a network that the test makes, and what a system without them does."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import socket
import struct
import sys
import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from exporter.model.evidence import Hop, PathEnd, Trace
from exporter.probing import path
from exporter.probing.path import Tracer, trace
from tests.probing import traced
from tests.servers.network import HOPS, SERVER, Network

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.probing.conftest import Fill

OPEN, DROPPED, RESET, REJECTED, CLOSED = 443, 993, 995, 465, 80

FIREWALL = (
    f"tcp dport {DROPPED} drop",
    f"tcp dport {RESET} reject with tcp reset",
    f"tcp dport {REJECTED} reject with icmpx admin-prohibited",
)


def traces(
    network: Network, *ports: int, version: int = 4, loop: str = "uvloop", max_hops: int = 5
) -> list[Trace | None]:
    """Trace from the client to these ports of the server. No descriptor stays open."""
    program = [sys.executable, traced.__file__, loop, SERVER[version], str(max_hops), *map(str, ports)]
    found: dict[str, Any] = json.loads(network.run("client", *program))
    assert found["left_open"] == 0
    return [
        each
        and Trace(**{**each, "end": PathEnd(each["end"]), "hops": tuple(Hop(**hop) for hop in each["hops"])})
        for each in found["traces"]
    ]  # fmt: skip


def trace_in(network: Network, port: int, **options: Any) -> Trace:
    """The one trace to this port."""
    [found] = traces(network, port, **options)
    assert found is not None
    return found


def addresses(found: Trace | None) -> list[str | None]:
    """What answered at each hop."""
    assert found is not None
    assert [hop.ttl for hop in found.hops] == list(range(1, len(found.hops) + 1))
    assert all((hop.address is None) == (hop.rtt is None) for hop in found.hops)
    return [hop.address for hop in found.hops]


@pytest.fixture
def open_port(network: Network) -> Iterator[Network]:
    """The network, in which the server accepts connections on one port, at both of its addresses."""
    with ExitStack() as stack:
        for address in SERVER.values():
            stack.enter_context(network.bind("server", address, OPEN)).listen()
        yield network


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("loop", traced.LOOPS)
def test_firewall(open_port: Network, version: int, loop: str) -> None:
    """The second of three routers lets one port pass, drops one, and rejects two: each shows how, and where."""
    open_port.filter("r2", *FIREWALL)
    way, server = HOPS[version], SERVER[version]
    found = traces(open_port, OPEN, CLOSED, DROPPED, RESET, REJECTED, version=version, loop=loop)
    assert [each and (each.end, each.end_hop, each.last_answer) for each in found] == [
        (PathEnd.SYN_ACK, 4, 4),
        (PathEnd.RST, 4, 4),
        (PathEnd.NOTHING, None, 2),
        (PathEnd.RST, 3, 3),  # in the server's name
        (PathEnd.ICMP_REJECTED, 2, 2),
    ]
    assert [addresses(each) for each in found] == [
        [*way, server],
        [*way, server],
        [*way[:2], None, None, None],
        [*way[:2], server],
        [*way[:2]],
    ]
    assert [each and (each.address, each.port) for each in found][:2] == [(server, OPEN), (server, CLOSED)]
    assert found[0] is not None
    assert abs(found[0].at - time.time()) < 30
    assert all(hop.rtt is not None and 0 < hop.rtt < 1 for hop in found[0].hops)


@pytest.mark.parametrize("version", [4, 6])
def test_path_that_ends(open_port: Network, version: int) -> None:
    """A black hole behind the third router, a router that knows no way on, an uplink that is down."""
    open_port.filter("r3", "drop")
    black_hole = trace_in(open_port, OPEN, version=version)
    assert (black_hole.end, black_hole.end_hop, black_hole.last_answer) == (PathEnd.NOTHING, None, 3)
    open_port.heal()
    assert trace_in(open_port, OPEN, version=version).end is PathEnd.SYN_ACK
    open_port.run("r3", "ip", f"-{version}", "route", "delete", "default")
    no_way = trace_in(open_port, OPEN, version=version)
    assert (no_way.end, no_way.end_hop, addresses(no_way)) == (PathEnd.ICMP_UNREACHABLE, 3, [*HOPS[version]])
    open_port.cut_uplink()
    no_uplink = trace_in(open_port, OPEN, version=version)
    assert (no_uplink.end, no_uplink.end_hop) == (PathEnd.ICMP_UNREACHABLE, 1)
    open_port.run("client", "ip", f"-{version}", "route", "delete", "default")
    assert traces(open_port, OPEN, version=version) == [None]


def test_silent_routers(open_port: Network) -> None:
    """Routers that answer nothing, in front of a server that does."""
    for router in ("r1", "r2", "r3"):
        open_port.silence(router)
    found = trace_in(open_port, OPEN)
    assert addresses(found) == [None, None, None, SERVER[4]]
    assert (found.end, found.end_hop) == (PathEnd.SYN_ACK, 4)


def test_no_hop_too_many(open_port: Network) -> None:
    """A path that is longer than may be asked has no end; none is asked behind the end."""
    short = trace_in(open_port, OPEN, max_hops=3)
    assert (addresses(short), short.end, short.end_hop) == ([*HOPS[4]], PathEnd.NOTHING, None)
    assert len(trace_in(open_port, OPEN, max_hops=30).hops) == 4


async def test_here(free_port: int) -> None:
    """On this host itself a refused connection is one hop away."""
    found = await trace("127.0.0.1", free_port)
    assert found is not None
    assert (found.end, found.end_hop, addresses(found)) == (PathEnd.RST, 1, ["127.0.0.1"])


async def test_deadline(free_port: int, fill_backlog: Fill) -> None:
    """A trace that nothing answers ends in its time."""
    fill_backlog("127.0.0.1", free_port)
    began = time.monotonic()
    found = await trace("127.0.0.1", free_port, deadline=0.3)
    assert time.monotonic() - began < 10
    assert found is not None
    assert (found.end, found.end_hop, found.last_answer) == (PathEnd.NOTHING, None, None)


class Socket(socket.socket):
    """A socket of a system that has none of this."""

    failing = ""

    def __init__(self, *given: Any) -> None:
        self._fail("__init__")
        super().__init__(*given)

    def setsockopt(self, *given: Any) -> None:
        self._fail("setsockopt")
        super().setsockopt(*given)

    def connect_ex(self, address: Any) -> int:
        return errno.EPERM if self.failing == "connect_ex" else super().connect_ex(address)

    def recvmsg(self, *given: Any) -> Any:
        self._fail("recvmsg")
        return super().recvmsg(*given)

    def getsockopt(self, *given: Any) -> Any:
        self._fail("getsockopt")
        return super().getsockopt(*given)

    def _fail(self, name: str) -> None:
        if self.failing == name:
            raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))


@contextmanager
def without(call: str) -> Iterator[None]:
    """Let this call fail; event loops make sockets, too, but not here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Socket, "failing", call)
        patch.setattr(socket, "socket", Socket)
        yield


@pytest.mark.parametrize("call", ["__init__", "setsockopt", "connect_ex"])
async def test_system_without(call: str, free_port: int) -> None:
    """Where a system call fails there is no trace, and no error; nothing stays open."""
    before = traced.open_files()
    with without(call):
        assert await trace("127.0.0.1", free_port) is None
    assert traced.open_files() == before


async def test_system_without_error_queue(free_port: int) -> None:
    """Where only routers cannot be seen, the end still can."""
    with without("recvmsg"):
        found = await trace("127.0.0.1", free_port)
    assert found is not None
    assert found.end is PathEnd.RST


async def test_error_that_is_not_told(free_port: int) -> None:
    """Where the end of a request is not told, nothing has answered."""
    with socket.create_server(("127.0.0.1", free_port)), without("getsockopt"):
        found = await trace("127.0.0.1", free_port, max_hops=1, deadline=0.3)
    assert found is not None
    assert found.end is PathEnd.NOTHING


def extended_error(origin: int, kind: int, code: int, sender: bytes) -> bytes:
    """Linux's struct sock_extended_err, and what is behind it."""
    return struct.pack("=IBBBxII", errno.EHOSTUNREACH, origin, kind, code, 0, 0) + sender


FROM_4 = struct.pack("=HH4s8x", socket.AF_INET, 0, bytes([192, 0, 2, 1]))
FROM_6 = struct.pack("=HHI16sI", socket.AF_INET6, 0, 0, socket.inet_pton(socket.AF_INET6, "2001:db8::1"), 0)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (extended_error(2, 11, 0, FROM_4), ("192.0.2.1", None)),
        (extended_error(3, 3, 0, FROM_6), ("2001:db8::1", None)),
        *((extended_error(2, 3, code, FROM_4), ("192.0.2.1", PathEnd.ICMP_REJECTED)) for code in (3, 9, 10, 13)),
        *((extended_error(2, 3, code, FROM_4), ("192.0.2.1", PathEnd.ICMP_UNREACHABLE)) for code in (0, 1, 5, 7)),
        *((extended_error(3, 1, code, FROM_6), ("2001:db8::1", PathEnd.ICMP_REJECTED)) for code in (1, 4, 5, 6)),
        *((extended_error(3, 1, code, FROM_6), ("2001:db8::1", PathEnd.ICMP_UNREACHABLE)) for code in (0, 2, 3)),
        (extended_error(2, 4, 0, FROM_4), None),  # source quench
        (extended_error(3, 2, 0, FROM_6), None),  # packet too big
        (extended_error(1, 11, 0, FROM_4), None),  # this host itself
        (extended_error(2, 11, 0, FROM_4[:7]), None),
        (extended_error(2, 11, 0, b"")[:15], None),
        (b"", None),
    ],
)
def test_icmp(data: bytes, expected: tuple[str, PathEnd | None] | None) -> None:
    """What firewalls say, what routers say, and what is nothing of these."""
    assert path._parse_icmp(data) == expected


async def test_limit(free_port: int) -> None:
    """So many traces an hour, each to the port and to that of the web; more when the first is an hour ago."""
    now = 1000.0
    tracer = Tracer(2, 30, lambda: now)
    to_port, to_web = await tracer.trace("127.0.0.1", free_port)
    assert to_port is not None
    assert to_web is not None
    assert (to_port.port, to_web.port) == (free_port, 443)
    now += 60
    to_port, to_web = await tracer.trace("127.0.0.1", 443)
    assert to_port is not None
    assert to_web is None
    now += 3539
    assert await tracer.trace("127.0.0.1", free_port) == (None, None)
    now += 1
    assert await tracer.trace("127.0.0.1", free_port) != (None, None)
    assert await tracer.trace("127.0.0.1", free_port) == (None, None)
    assert await Tracer(0, 30).trace("127.0.0.1", free_port) == (None, None)


async def test_cancelled(free_port: int, fill_backlog: Fill) -> None:
    """A trace that is cancelled closes its sockets."""
    fill_backlog("127.0.0.1", free_port)
    before = traced.open_files()
    tracing = asyncio.create_task(trace("127.0.0.1", free_port))
    await asyncio.sleep(0.05)
    assert traced.open_files() == before + 6
    tracing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await tracing
    assert traced.open_files() == before
