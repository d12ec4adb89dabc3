"""Which clients are one."""

from __future__ import annotations

import pytest

from exporter.web.server.clients import client_of


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
