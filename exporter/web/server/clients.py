"""Which clients are one: those of an IPv4 address, or of an IPv6 network, of which a host can have every address."""

from __future__ import annotations

import ipaddress

from starlette.types import Scope

_PASSED_ON = frozenset({b"forwarded", b"via", b"x-forwarded-for", b"x-real-ip"})
"""What proxies add to the requests of others (RFC 7239, RFC 9110 §7.6.3, and the names from before these)."""

PREFIX = 64
"""Bits of an IPv6 address that name a network (RFC 4291 §2.5.4)."""


def client_of(peer: object) -> str:
    """Return the client of a socket's peer: its address, or its network; all of a Unix socket are one.

    Args:
        peer: As `socket.getpeername` returns it, or None.
    """
    if not isinstance(peer, tuple) or not peer:
        return ""
    host = str(peer[0]).partition("%")[0]
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    mapped = address.ipv4_mapped  # as a socket for both families shows an IPv4 address
    return str(mapped or ipaddress.ip_network((address, PREFIX), strict=False))


def is_of_this_host(scope: Scope) -> bool:
    """Whether a request was made on this host: over its loopback or a Unix socket, and passed on by no proxy."""
    if any(name in _PASSED_ON for name, _ in scope["headers"]):
        return False
    peer = scope.get("client")
    if not peer or not peer[0]:
        return True
    try:
        address = ipaddress.ip_address(str(peer[0]).partition("%")[0])
    except ValueError:
        return False
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback
