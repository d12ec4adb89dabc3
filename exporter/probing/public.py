"""Names → public addresses only, for whoever may name any host: what leads inside this network is not for them.

It judges the very addresses that are connected to, so that a name cannot have one address when it is judged and another
when it is used.
"""

from __future__ import annotations

import ipaddress

from exporter.model.settings import IpFamily
from exporter.probing.resolve import IpAddress, NameResolver

_UNICAST = ipaddress.IPv6Network("2000::/3")  # RFC 4291 §2.4: all that IANA has given out
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")  # RFC 6052 §2.1: an IPv4 address in its last 32 bits


class NotPublic(Exception):
    """The host has addresses, and none of them is public. Its text does not tell them."""


class PublicResolver:
    """Asks a resolver, and keeps the addresses that are public."""

    def __init__(self, resolver: NameResolver) -> None:
        self._resolver = resolver

    async def resolve(self, host: str, family: IpFamily) -> list[IpAddress]:
        """As `Resolver.resolve`.

        Raises:
            NotPublic: nothing is left.
        """
        found = await self._resolver.resolve(host, family)
        public = [(kind, address) for kind, address in found if is_public(address)]
        if not public:
            raise NotPublic(f"{host} has no public address")
        return public


def is_public(address: str) -> bool:
    """Whether an IP address is one of the Internet at large, also where it carries another one inside it."""
    parsed = ipaddress.ip_address(address)
    if isinstance(parsed, ipaddress.IPv4Address):
        return parsed.is_global and not parsed.is_multicast and not parsed.is_reserved
    carried = parsed.ipv4_mapped or parsed.sixtofour
    if parsed in _NAT64:
        carried = ipaddress.IPv4Address(parsed.packed[-4:])
    if carried is not None:
        return is_public(str(carried))
    return parsed in _UNICAST and parsed.is_global
