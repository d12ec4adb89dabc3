"""The name server answers as `dns.py` claims, as seen by c-ares."""

from __future__ import annotations

import asyncio
import socket

import aiodns
import pytest
from aiodns.error import ARES_ENODATA, ARES_ENOTFOUND, ARES_EREFUSED, ARES_ESERVFAIL, DNSError

from tests.servers.dns import TTL, NameServer, Question

NAMES = {
    "both.example": ["192.0.2.1", "192.0.2.2", "2001:db8::1"],
    "four.example": ["192.0.2.4"],
    "broken.example": "servfail",
    "closed.example": "refused",
    "gone.example": "nxdomain",
    "mute.example": "silence",
}


async def ask(server: NameServer, name: str, family: socket.AddressFamily) -> list[tuple[str, int]]:
    """Addresses and lifetimes, by a resolver that tries once."""
    resolver = aiodns.DNSResolver([server.address], tries=1)
    try:
        found = await resolver.getaddrinfo(name, family)
    finally:
        await resolver.close()
    return sorted((node.addr[0].decode(), node.ttl) for node in found.nodes)


async def test_addresses() -> None:
    """Each family has its addresses, with the lifetime; questions are noted, their names in small letters."""
    async with NameServer(NAMES) as server:
        four = await ask(server, "Both.Example", socket.AF_INET)
        assert four == [("192.0.2.1", TTL), ("192.0.2.2", TTL)]
        assert await ask(server, "both.example", socket.AF_INET6) == [("2001:db8::1", TTL)]
        assert server.questions == [Question("both.example", 1), Question("both.example", 28)]


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("four.example", ARES_ENODATA),
        ("gone.example", ARES_ENOTFOUND),
        ("never.example", ARES_ENOTFOUND),
        ("broken.example", ARES_ESERVFAIL),
        ("closed.example", ARES_EREFUSED),
    ],
)
async def test_failures(name: str, code: int) -> None:
    """Every failure is told apart."""
    async with NameServer(NAMES) as server:
        with pytest.raises(DNSError) as raised:
            await ask(server, name, socket.AF_INET6)
        assert raised.value.args[0] == code


async def test_silence() -> None:
    """Silence is no answer at all."""
    async with NameServer(NAMES) as server:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(ask(server, "mute.example", socket.AF_INET), 0.2)
        assert Question("mute.example", 1) in server.questions


async def test_change() -> None:
    """An answer may change while the server runs."""
    async with NameServer({"moving.example": ["192.0.2.1"]}) as server:
        assert await ask(server, "moving.example", socket.AF_INET) == [("192.0.2.1", TTL)]
        server.names["moving.example"] = ["192.0.2.2"]
        assert await ask(server, "moving.example", socket.AF_INET) == [("192.0.2.2", TTL)]
