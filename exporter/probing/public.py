"""Names → public addresses only, for requests that may name any host: they must not reach into this network.

The addresses that are checked are those that are connected to, so that a name cannot change in between.
"""

from __future__ import annotations

import ipaddress

from exporter.model.settings import IpFamily
from exporter.probing.resolve import IpAddress, NameResolver

_SPECIAL_IPV4 = tuple(
    map(
        ipaddress.IPv4Network,
        (
            "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
            "192.0.0.0/24", "192.0.2.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
            "224.0.0.0/4", "240.0.0.0/4",
        ),
    )
)  # fmt: skip
"""IANA's registry of special-purpose addresses (RFC 6890), and multicast.

It is written out, because Python's `is_global` changed within 3.11 and 3.12, and again in 3.13. The few addresses in
these networks that are reachable from everywhere are of protocols other than mail.
"""

_SPECIAL_IPV6 = tuple(map(ipaddress.IPv6Network, ("2001::/23", "2001:db8::/32", "3fff::/20")))
"""The same within `_UNICAST`, except for 6to4, which contains an IPv4 address."""

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
        return not any(parsed in network for network in _SPECIAL_IPV4)
    inner = parsed.ipv4_mapped or parsed.sixtofour
    if parsed in _NAT64:
        inner = ipaddress.IPv4Address(parsed.packed[-4:])
    if inner is not None:
        return is_public(str(inner))
    return parsed in _UNICAST and not any(parsed in network for network in _SPECIAL_IPV6)
