"""Names → addresses, by c-ares: it reads the hosts file and the resolver configuration, and blocks no thread.

aiodns.error.DNSError         from c-ares
NoAddress                     the name has no address of the wanted family
NotAName                      the MX record of a domain has an address in place of a name
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
from itertools import zip_longest

import aiodns
import pycares

from exporter.host.reserve import USED_UP
from exporter.model.settings import IpFamily

MAX_AGE = 1.0
"""Seconds for which a c-ares channel is used. It caches an answer for its whole TTL (imap.gmail.com: 5 minutes), which
would hide an outage of DNS, and that cannot be switched off. A new channel has an empty cache, and reads
/etc/resolv.conf again. Until then answers are cached here, too: to ask c-ares for a known answer costs a tenth of a
probe."""

_FAMILIES = {
    IpFamily.ANY: socket.AF_UNSPEC,
    IpFamily.IPV4: socket.AF_INET,
    IpFamily.IPV6: socket.AF_INET6,
}

_NAMES = {IpFamily.ANY: "IPv4 or IPv6", IpFamily.IPV4: "IPv4", IpFamily.IPV6: "IPv6"}

OUT_OF_RESOURCES = USED_UP | {errno.ENOBUFS, errno.ENOMEM}

IpAddress = tuple[socket.AddressFamily, str]


class NoAddress(Exception):
    """The name has no address of the wanted family."""


class NotAName(Exception):
    """The MX record of a domain has an address in place of a name."""


class AddressFamilyUnavailable(Exception):
    """This host has no route of the wanted family."""


class NameResolver(typing.Protocol):
    """What a probe needs of a resolver."""

    async def resolve(self, host: str, family: IpFamily) -> list[IpAddress]:
        """As `Resolver.resolve`."""


class Resolver:
    """Resolves names for all probes; `close` it at the end.

    Args:
        nameservers: Those to ask, in place of this host's.
        uses_hosts: Whether /etc/hosts is asked first.
    """

    def __init__(self, nameservers: Sequence[str] | None = None, *, uses_hosts: bool = True) -> None:
        self._nameservers = nameservers
        self._sources = {} if uses_hosts else {"lookups": "b"}
        self._current: aiodns.DNSResolver | None = None
        self._born = 0.0
        self._lookups: dict[aiodns.DNSResolver, int] = {}
        self._answers: dict[tuple[str, IpFamily], list[IpAddress]] = {}
        """Of the current channel."""

    @property
    def nameservers(self) -> Sequence[str] | None:
        """The name servers that are asked; None: those of /etc/resolv.conf."""
        return self._nameservers

    async def resolve(self, host: str, family: IpFamily) -> list[IpAddress]:
        """Return the addresses of `host`, each once, the families in turn and IPv6 first (RFC 8305 §4).

        Raises:
            aiodns.error.DNSError: with the ARES_* code of c-ares.
            NoAddress: the name has no address of that family.
        """
        found = _literal(host) or await self._look_up(host, family)
        if len(found) == 1 and (family is IpFamily.ANY or found[0][0] == _FAMILIES[family]):
            return list(found)
        by_family: dict[socket.AddressFamily, dict[str, None]] = {socket.AF_INET6: {}, socket.AF_INET: {}}
        for kind, address in found:
            if family is IpFamily.ANY or kind == _FAMILIES[family]:
                by_family[kind][address] = None
        addresses = [
            (kind, address)
            for row in zip_longest(*by_family.values())
            for kind, address in zip(by_family, row, strict=True)
            if address
        ]
        if not addresses:
            raise NoAddress(f"{host} has no {_NAMES[family]} address")
        return addresses

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

    async def records(self, name: str, kind: str) -> Sequence[pycares.DNSRecord]:
        """Return the records of a name that are of one kind, such as "MX", those at the end of its aliases included.

        Raises:
            aiodns.error.DNSError: with the ARES_* code of c-ares: there are none, or the look-up fails.
        """
        channel = await self._fresh()
        self._lookups[channel] += 1
        try:
            found = await channel.query_dns(name, kind)
        finally:
            self._lookups[channel] -= 1
            await self._close_if_done(channel)
        wanted = getattr(pycares, f"QUERY_TYPE_{kind}")
        return [record for record in found.answer if record.type == wanted]

    async def close(self) -> None:
        """Close every channel; look-ups that are running fail."""
        self._current = None
        for channel in list(self._lookups):
            await self._close_if_done(channel)
        for channel in list(self._lookups):  # each is removed when its last look-up has failed
            await channel.close()

    async def _fresh(self) -> aiodns.DNSResolver:
        now = time.monotonic()
        if self._current is None or now - self._born > MAX_AGE:
            old, self._current = self._current, self._channel()
            self._born = now
            self._answers.clear()
            self._lookups[self._current] = 0
            if old:
                await self._close_if_done(old)
        return self._current

    def _channel(self) -> aiodns.DNSResolver:
        return aiodns.DNSResolver(self._nameservers, asyncio.get_running_loop(), **self._sources)

    async def _close_if_done(self, channel: aiodns.DNSResolver) -> None:
        if channel is not self._current and self._lookups.get(channel) == 0:
            del self._lookups[channel]
            await channel.close()


class FixedResolver:
    """Gives one address, whatever the name: that of a server that was connected to before."""

    def __init__(self, address: IpAddress) -> None:
        self._address = address

    async def resolve(self, host: str, family: IpFamily) -> list[IpAddress]:  # noqa: ARG002 (as `Resolver.resolve`)
        """Return the address."""
        return [self._address]


@lru_cache(maxsize=8192)
def _literal(host: str) -> Sequence[IpAddress]:
    """An address needs no look-up; for one of the other family c-ares would report a misspelt name."""
    try:
        version = ipaddress.ip_address(host).version
    except ValueError:
        return ()
    return ((socket.AF_INET if version == 4 else socket.AF_INET6, host),)


def routed(addresses: Sequence[IpAddress]) -> list[IpAddress]:
    """Return the addresses of those families that this host has a route for, which the first of each family shows.

    Where there is none, it is the last: to connect to it gives the operating system's error.
    """
    if len(addresses) == 1:
        return list(addresses)
    first = dict(reversed(addresses))
    routes = {kind: has_route(kind, address) for kind, address in first.items()}
    return [(kind, address) for kind, address in addresses if routes[kind]] or [addresses[-1]]


def check_route(kind: socket.AddressFamily, address: str) -> None:
    """Find out whether an address of the one wanted family does not connect because this host has no route.

    Raises:
        AddressFamilyUnavailable: there is none.
        OSError: no more files can be opened, so it is not known.
    """
    if not has_route(kind, address):
        family = IpFamily.IPV6 if kind == socket.AF_INET6 else IpFamily.IPV4
        raise AddressFamilyUnavailable(f"this host has no {_NAMES[family]} route to {address}")


def has_route(kind: socket.AddressFamily, address: str) -> bool:
    """Whether this host has a route. Nothing is sent: to connect a UDP socket is local.

    Raises:
        OSError: no more files can be opened, so it is not known.
    """
    try:
        with socket.socket(kind, socket.SOCK_DGRAM) as unsent:
            unsent.connect((address, 9))
    except OSError as error:
        if error.errno in OUT_OF_RESOURCES:
            raise  # the route is not known
        return False
    return True
