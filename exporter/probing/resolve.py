"""Names → addresses, by c-ares: the hosts file and the resolver configuration are honoured, no thread is held up.

aiodns.error.DNSError         as c-ares says
NoAddress                     the name has no address of the wanted family
AddressFamilyUnavailable      this host has no route of that family
"""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import socket
import time
import typing
from collections.abc import Sequence
from functools import lru_cache

import aiodns

from exporter.model.settings import IpFamily

MAX_AGE = 1.0
"""Seconds for which a resolver is used. c-ares caches answers for their whole TTL (imap.gmail.com: 5 minutes), in which
an outage of DNS would not be seen, and its channel cannot be told otherwise; a new one has an empty cache, and has read
/etc/resolv.conf anew. Within it the answers are kept here as well: asking c-ares for what it has costs a tenth of a
probe."""

_FAMILIES = {
    IpFamily.ANY: socket.AF_UNSPEC,
    IpFamily.IPV4: socket.AF_INET,
    IpFamily.IPV6: socket.AF_INET6,
}

_NAMES = {IpFamily.ANY: "IPv4 or IPv6", IpFamily.IPV4: "IPv4", IpFamily.IPV6: "IPv6"}

OUT_OF_RESOURCES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})

IpAddress = tuple[socket.AddressFamily, str]


class NoAddress(Exception):
    """The name has no address of the wanted family."""


class AddressFamilyUnavailable(Exception):
    """This host has no route of the wanted family."""


class NameResolver(typing.Protocol):
    """What a probe asks for addresses."""

    async def resolve(self, host: str, family: IpFamily) -> list[IpAddress]:
        """As `Resolver.resolve`."""


class Resolver:
    """NameResolver names for all probes; `close` it at the end."""

    def __init__(self, nameservers: Sequence[str] | None = None) -> None:
        self._nameservers = nameservers
        self._current: aiodns.DNSResolver | None = None
        self._born = 0.0
        self._lookups: dict[aiodns.DNSResolver, int] = {}
        self._answers: dict[tuple[str, IpFamily], list[IpAddress]] = {}
        """What the current channel has found."""

    async def resolve(self, host: str, family: IpFamily) -> list[IpAddress]:
        """Return an address of `host` for each family asked for, IPv6 before IPv4.

        Raises:
            aiodns.error.DNSError: with the ARES_* code that c-ares gives.
            NoAddress: the name has no address of that family.
        """
        found = _literal(host) or await self._look_up(host, family)
        first: dict[socket.AddressFamily, str] = {}
        for kind, address in found:
            if family is IpFamily.ANY or kind == _FAMILIES[family]:
                first.setdefault(kind, address)
        if not first:
            raise NoAddress(f"{host} has no {_NAMES[family]} address")
        return sorted(first.items(), key=lambda item: item[0] != socket.AF_INET6)

    async def _look_up(self, host: str, family: IpFamily) -> list[IpAddress]:
        channel = await self._fresh()
        if known := self._answers.get((host, family)):
            return known
        self._lookups[channel] += 1
        try:
            found = await channel.getaddrinfo(host, family=_FAMILIES[family], type=socket.SOCK_STREAM)
        finally:
            self._lookups[channel] -= 1
            await self._close_if_done(channel)
        addresses = [(socket.AddressFamily(node.family), node.addr[0].decode()) for node in found.nodes]
        if channel is self._current:
            self._answers[host, family] = addresses
        return addresses

    async def close(self) -> None:
        """Close every channel; lookups still running fail."""
        self._current = None
        for channel in list(self._lookups):
            await self._close_if_done(channel)
        for channel in list(self._lookups):  # each goes when its last lookup has failed
            await channel.close()

    async def _fresh(self) -> aiodns.DNSResolver:
        now = time.monotonic()
        if self._current is None or now - self._born > MAX_AGE:
            old, self._current = self._current, aiodns.DNSResolver(self._nameservers, asyncio.get_running_loop())
            self._born = now
            self._answers.clear()
            self._lookups[self._current] = 0
            if old:
                await self._close_if_done(old)
        return self._current

    async def _close_if_done(self, channel: aiodns.DNSResolver) -> None:
        if channel is not self._current and self._lookups.get(channel) == 0:
            del self._lookups[channel]
            await channel.close()


@lru_cache(maxsize=8192)
def _literal(host: str) -> Sequence[IpAddress]:
    """An address needs no look-up; c-ares would call one of the other family a misspelt name."""
    try:
        version = ipaddress.ip_address(host).version
    except ValueError:
        return ()
    return ((socket.AF_INET if version == 4 else socket.AF_INET6, host),)


def routed(addresses: Sequence[IpAddress], family: IpFamily) -> list[IpAddress]:
    """Leave out the addresses that this host has no route for.

    With `any` the last is kept even so: connecting to it tells what the operating system says.

    Raises:
        AddressFamilyUnavailable: none is left, and the family was asked for by name.
    """
    kept = [(kind, address) for kind, address in addresses if _has_route(kind, address)]
    if not kept and family is not IpFamily.ANY:
        raise AddressFamilyUnavailable(f"this host has no {_NAMES[family]} route to {addresses[-1][1]}")
    return kept or [addresses[-1]]


def _has_route(kind: socket.AddressFamily, address: str) -> bool:
    """Whether this host would know where to send a packet. Nothing is sent: connecting a UDP socket is local."""
    try:
        with socket.socket(kind, socket.SOCK_DGRAM) as unsent:
            unsent.connect((address, 9))
    except OSError as error:
        if error.errno in OUT_OF_RESOURCES:
            raise  # which says nothing of the route
        return False
    return True
