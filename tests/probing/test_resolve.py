"""Names → addresses, by c-ares with the test's own name server, on both event loops."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
from aiodns.error import ARES_ECANCELLED, ARES_ENODATA, ARES_ENOTFOUND, ARES_EREFUSED, ARES_ESERVFAIL, DNSError

from exporter.model.settings import IpFamily
from exporter.probing import resolve as resolve_module
from exporter.probing.resolve import AddressFamilyUnavailable, IpAddress, NoAddress, Resolver, check_route, routed
from tests.probing.conftest import HAS_IPV6, Belongings
from tests.servers.dns import NameServer
from tests.waiting import PATIENCE, until

V4 = socket.AF_INET
V6 = socket.AF_INET6

# Nothing is ever sent to any of these; connecting a datagram socket to the second pair fails on every Linux: a
# broadcast address needs a permission, a link-local one an interface.
ROUTED = (V4, "127.0.0.1")
ROUTED_V6 = (V6, "::1")
UNROUTED = (V4, "255.255.255.255")
UNROUTED_V6 = (V6, "fe80::1")


@pytest.fixture
async def server() -> AsyncIterator[NameServer]:
    """A name server with some names."""
    names = {
        "both.example": ["192.0.2.1", "2001:db8::1", "2001:db8::2", "192.0.2.2"],
        "four.example": ["192.0.2.4"],
        "six.example": ["2001:db8::6"],
    }
    async with NameServer(names) as started:
        yield started


@pytest.fixture
async def resolver(server: NameServer) -> AsyncIterator[Resolver]:
    """A resolver that uses it."""
    made = Resolver([server.address])
    yield made
    await made.close()


def threads() -> int:
    """The number of threads of this process, with those of c-ares."""
    return len(os.listdir("/proc/self/task"))  # noqa: PTH208 (a count)


async def assert_threads(at_most: int) -> None:
    """Fail if there are more threads than that; c-ares ends its own in another thread."""
    async with asyncio.timeout(PATIENCE):
        with suppress(TimeoutError):
            while threads() > at_most:
                await asyncio.sleep(0.01)
    assert threads() <= at_most


@pytest.mark.parametrize(
    ("host", "family", "addresses"),
    [
        ("both.example", IpFamily.ANY, {V6: {"2001:db8::1", "2001:db8::2"}, V4: {"192.0.2.1", "192.0.2.2"}}),
        ("both.example", IpFamily.IPV4, {V4: {"192.0.2.1", "192.0.2.2"}}),
        ("both.example", IpFamily.IPV6, {V6: {"2001:db8::1", "2001:db8::2"}}),
        ("four.example", IpFamily.ANY, {V4: {"192.0.2.4"}}),
        ("six.example", IpFamily.ANY, {V6: {"2001:db8::6"}}),
        ("FOUR.example.", IpFamily.IPV4, {V4: {"192.0.2.4"}}),
    ],
)
async def test_addresses(
    resolver: Resolver, host: str, family: IpFamily, addresses: dict[socket.AddressFamily, set[str]]
) -> None:
    """Every address of the wanted families, each once, the families in turn and IPv6 first."""
    found = await resolver.resolve(host, family)
    assert [kind for kind, _ in found] == list(addresses) * len(next(iter(addresses.values())))
    assert {kind: {address for of, address in found if of == kind} for kind in addresses} == addresses
    assert len(set(found)) == len(found)


@pytest.mark.parametrize("family", [IpFamily.ANY, IpFamily.IPV4])
async def test_hosts_file(resolver: Resolver, server: NameServer, family: IpFamily) -> None:
    """The hosts file is used: localhost needs no name server."""
    assert ROUTED in await resolver.resolve("localhost", family)
    assert not server.questions


@pytest.mark.parametrize(
    ("literal", "address", "other"),
    [
        ("127.0.0.1", ROUTED, IpFamily.IPV6),
        ("::1", ROUTED_V6, IpFamily.IPV4),
        ("2001:DB8::0:1", (V6, "2001:DB8::0:1"), IpFamily.IPV4),
    ],
)
async def test_literals(
    resolver: Resolver, server: NameServer, literal: str, address: IpAddress, other: IpFamily
) -> None:
    """An address is returned without a query, but not for the other family."""
    own = IpFamily.IPV6 if other is IpFamily.IPV4 else IpFamily.IPV4
    assert await resolver.resolve(literal, IpFamily.ANY) == [address]
    assert await resolver.resolve(literal, own) == [address]
    name = "IPv4" if other is IpFamily.IPV4 else "IPv6"
    with pytest.raises(NoAddress, match=f"{literal} has no {name} address"):
        await resolver.resolve(literal, other)
    assert not server.questions


@pytest.mark.parametrize(
    ("host", "family", "code"),
    [
        ("never.example", IpFamily.ANY, ARES_ENOTFOUND),
        ("never.example", IpFamily.IPV4, ARES_ENOTFOUND),
        ("four.example", IpFamily.IPV6, ARES_ENODATA),
        ("six.example", IpFamily.IPV4, ARES_ENODATA),
        ("empty.example", IpFamily.ANY, ARES_ENODATA),
        ("broken.example", IpFamily.ANY, ARES_ESERVFAIL),
        ("broken.example", IpFamily.IPV6, ARES_ESERVFAIL),
        ("closed.example", IpFamily.ANY, ARES_EREFUSED),
    ],
)
async def test_failures(resolver: Resolver, server: NameServer, host: str, family: IpFamily, code: int) -> None:
    """No such name, no such record, a server that fails and one that refuses are distinguished."""
    server.names |= {"empty.example": [], "broken.example": "servfail", "closed.example": "refused"}
    with pytest.raises(DNSError) as raised:
        await resolver.resolve(host, family)
    assert raised.value.args[0] == code


async def test_misspelt(resolver: Resolver) -> None:
    """A host that cannot be a name is an error of DNS, not of this program."""
    for host in ("a..b", "x" * 64 + ".example"):
        with pytest.raises(DNSError):
            await resolver.resolve(host, IpFamily.ANY)


async def test_no_server(free_port: int) -> None:
    """Without a name server the look-up fails, and does not hang."""
    resolver = Resolver([f"127.0.0.1:{free_port}"])
    async with asyncio.timeout(PATIENCE):
        with pytest.raises(DNSError):
            await resolver.resolve("four.example", IpFamily.ANY)
    await resolver.close()


async def test_silence(server: NameServer) -> None:
    """A look-up without an answer ends with its deadline, and leaves no task, socket or thread."""
    server.names["mute.example"] = "silence"
    await _resolve_once(server, "four.example")  # creates what exists once in a process
    await asyncio.sleep(0.1)
    before, threads_before = Belongings(), threads()
    resolver = Resolver([server.address])
    async with asyncio.timeout(4):  # c-ares itself would wait longer
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(resolver.resolve("mute.example", IpFamily.ANY), 0.1)
    assert server.questions
    await resolver.close()
    await before.assert_nothing_left()
    await assert_threads(threads_before)


async def _resolve_once(server: NameServer, host: str) -> list[IpAddress]:
    resolver = Resolver([server.address])
    found = await resolver.resolve(host, IpFamily.ANY)
    await resolver.close()
    return found


async def test_answers_age(resolver: Resolver, server: NameServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A change is seen after a second, when the channel is replaced, though the TTL is five minutes."""
    assert resolve_module.MAX_AGE == 1
    monkeypatch.setattr(resolve_module, "MAX_AGE", 60)  # for a machine that is busy
    assert await resolver.resolve("four.example", IpFamily.IPV4) == [(V4, "192.0.2.4")]
    server.names["four.example"] = ["192.0.2.5"]
    assert await resolver.resolve("four.example", IpFamily.IPV4) == [(V4, "192.0.2.4")]
    assert len(server.questions) == 1
    resolver._born -= 60
    assert await resolver.resolve("four.example", IpFamily.IPV4) == [(V4, "192.0.2.5")]
    server.names["four.example"] = "nxdomain"
    resolver._born -= 60
    with pytest.raises(DNSError):
        await resolver.resolve("four.example", IpFamily.IPV4)


async def test_channels_end(resolver: Resolver, server: NameServer) -> None:
    """An old channel with its sockets and threads is closed when its last look-up has ended."""
    server.names["mute.example"] = "silence"
    await resolver.resolve("four.example", IpFamily.IPV4)
    threads_before = threads()
    waiting = asyncio.create_task(resolver.resolve("mute.example", IpFamily.IPV4))
    for _ in range(10):
        resolver._born -= resolve_module.MAX_AGE
        await resolver.resolve("four.example", IpFamily.IPV4)
    assert len(resolver._lookups) == 2
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert list(resolver._lookups.values()) == [0]
    await assert_threads(threads_before)


async def test_many_lookups(resolver: Resolver, server: NameServer) -> None:
    """Hundreds of look-ups at once share one channel, and need no thread each."""
    await resolver.resolve("both.example", IpFamily.ANY)
    server.names |= {f"n{number}.example": ["192.0.2.9"] for number in range(200)}
    threads_before = threads()
    lookups = [asyncio.create_task(resolver.resolve(f"n{number}.example", IpFamily.ANY)) for number in range(200)]
    await asyncio.sleep(0)
    assert list(resolver._lookups.values()) == [200]
    assert threads() <= threads_before
    assert await asyncio.gather(*lookups) == [[(V4, "192.0.2.9")]] * 200
    assert list(resolver._lookups.values()) == [0]


async def test_close_with_lookups(resolver: Resolver, server: NameServer) -> None:
    """Look-ups that run while the resolver is closed are cancelled; afterwards nothing is open."""
    server.names["mute.example"] = "silence"
    waiting = [asyncio.create_task(resolver.resolve("mute.example", IpFamily.IPV4)) for _ in range(3)]
    await until(lambda: sum(resolver._lookups.values()) == 3)
    await resolver.close()
    for error in await asyncio.gather(*waiting, return_exceptions=True):
        assert isinstance(error, DNSError)
        assert error.args[0] == ARES_ECANCELLED
    assert not resolver._lookups
    await resolver.close()


@pytest.mark.parametrize(
    ("addresses", "kept"),
    [
        ([ROUTED], [ROUTED]),
        ([UNROUTED_V6, ROUTED], [ROUTED]),
        ([UNROUTED_V6, UNROUTED], [UNROUTED]),
        ([UNROUTED_V6], [UNROUTED_V6]),
        ([ROUTED_V6, ROUTED], [ROUTED_V6, ROUTED] if HAS_IPV6 else [ROUTED]),
    ],
)
def test_routed(addresses: list[IpAddress], kept: list[IpAddress]) -> None:
    """Addresses without a route are left out; the last stays, for the operating system's error."""
    assert routed(addresses) == kept


@pytest.mark.parametrize(
    ("address", "text"),
    [
        (UNROUTED, "this host has no IPv4 route to 255.255.255.255"),
        (UNROUTED_V6, "this host has no IPv6 route to fe80::1"),
    ],
)
def test_no_route(address: IpAddress, text: str) -> None:
    """A missing route has its own error."""
    check_route(*ROUTED)
    with pytest.raises(AddressFamilyUnavailable, match=text):
        check_route(*address)
