"""Names → public addresses only, for requests that may name any host: they must not reach into this network.

The addresses that are checked are those that are connected to, so that a name cannot change in between.
"""

from __future__ import annotations

import ipaddress

from exporter.model.settings import IpFamily
from exporter.probing.resolve import IpAddress, NameResolver

_UNICAST = ipaddress.IPv6Network("2000::/3")  # RFC 4291 §2.4: all that IANA has assigned
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")  # RFC 6052 §2.1: an IPv4 address in its last 32 bits


class NotPublic(Exception):
    """The host has addresses, but no public one. The text does not contain them."""


class PublicResolver:
    """Returns only the public addresses that another resolver finds."""

    def __init__(self, resolver: NameResolver) -> None:
        self._resolver = resolver

    async def resolve(self, host: str, family: IpFamily) -> list[IpAddress]:
        """As `Resolver.resolve`.

        Raises:
            NotPublic: there is none.
        """
        found = await self._resolver.resolve(host, family)
        public = [(kind, address) for kind, address in found if is_public(address)]
        if not public:
            raise NotPublic(f"{host} has no public address")
        return public


def is_public(address: str) -> bool:
    """Whether an IP address is public; where it contains an IPv4 address, whether that is."""
    parsed = ipaddress.ip_address(address)
    if isinstance(parsed, ipaddress.IPv4Address):
        return parsed.is_global and not parsed.is_multicast and not parsed.is_reserved
    inner = parsed.ipv4_mapped or parsed.sixtofour
    if parsed in _NAT64:
        inner = ipaddress.IPv4Address(parsed.packed[-4:])
    if inner is not None:
        return is_public(str(inner))
    return parsed in _UNICAST and parsed.is_global
