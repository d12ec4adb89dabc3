"""Which clients are one."""

from __future__ import annotations

import pytest

from exporter.web.server.clients import client_of, is_of_this_host


@pytest.mark.parametrize(
    ("peer", "client"),
    [
        (("192.0.2.7", 40000), "192.0.2.7"),
        (("::ffff:192.0.2.7", 40000, 0, 0), "192.0.2.7"),
        (("2001:db8:1:2:3:4:5:6", 40000, 0, 0), "2001:db8:1:2::/64"),
        (("2001:db8:1:2::1", 40001, 0, 0), "2001:db8:1:2::/64"),
        (("2001:db8:1:3::1", 40000, 0, 0), "2001:db8:1:3::/64"),
        (("::1", 40000, 0, 0), "::/64"),
        (("fe80::1%eth0", 40000, 0, 2), "fe80::/64"),
        (("testclient", 50000), "testclient"),
        ("/run/socket", ""),
        ("", ""),
        ((), ""),
        (None, ""),
    ],
)
def test_a_client_is_an_address_or_a_network(peer: object, client: str) -> None:
    """A host has one IPv4 address, and all of an IPv6 network, if it wants."""
    assert client_of(peer) == client


@pytest.mark.parametrize(
    ("peer", "is_here"),
    [
        (("127.0.0.1", 40000), True),
        (("127.9.9.9", 40000), True),
        (("::1", 40000), True),
        (("::ffff:127.0.0.1", 40000), True),
        (None, True),
        (("", 0), True),
        (("192.0.2.7", 40000), False),
        (("::ffff:192.0.2.7", 40000), False),
        (("2001:db8::1", 40000), False),
        (("fe80::1%lo", 40000), False),
        (("0.0.0.0", 40000), False),
        (("localhost", 40000), False),
    ],
)
def test_a_client_of_this_host(peer: tuple[str, int] | None, is_here: bool) -> None:
    """Comes over its loopback or a Unix socket, and not through a proxy that says so."""
    assert is_of_this_host({"client": peer, "headers": [(b"host", b"localhost")]}) is is_here
    for name in (b"x-forwarded-for", b"forwarded", b"via", b"x-real-ip"):
        assert not is_of_this_host({"client": peer, "headers": [(name, b"192.0.2.7")]})
