"""Which clients are one: those of an IPv4 address, or of an IPv6 network, of which a host can have every address."""

from __future__ import annotations

import ipaddress

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
