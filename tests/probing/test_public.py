"""Which addresses are public, and that no other is returned."""

from __future__ import annotations

import pytest

from exporter.model.outcome import Phase
from exporter.model.reason import Reason
from exporter.model.settings import IpFamily, Security
from exporter.probing.probe import probe
from exporter.probing.public import NotPublic, PublicResolver, is_public
from exporter.probing.resolve import Resolver
from tests.conftest import StartScripted
from tests.examples import target
from tests.servers.dialogues import Imap
from tests.servers.dns import NameServer

PUBLIC = [
    "8.8.8.8",
    "142.250.1.108",
    "2001:4860::1",
    "2a00:1450::6c",
    "::ffff:8.8.8.8",
    "64:ff9b::8.8.8.8",
    "2002:808:808::",
    "192.31.196.1",
    "2620:4f:8000::1",
    "3ffe::1",
    "3fff:1000::1",
    "2001:200::1",
]

NOT_PUBLIC = [
    "127.0.0.1", "127.255.255.254", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.169.254",
    "100.64.0.1", "0.0.0.0", "192.0.2.1", "198.18.0.1", "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255",
    "::", "::1", "fe80::1", "fd00:ec2::254", "fec0::1", "ff02::1", "2001:db8::1", "2001::1", "::8.8.8.8",
    "::ffff:10.0.0.1", "::ffff:127.0.0.1", "64:ff9b::10.0.0.1", "64:ff9b:1::8.8.8.8", "2002:a00:1::", "2002:7f00:1::1",
    # About these, Python's ipaddress says one thing in 3.11.7, and another in 3.13.
    "192.0.0.8", "192.0.0.9", "2001:1::1", "2001:3::1", "2001:4:112::1", "2001:20::1", "2001:30::1", "3fff::1",
    # The last address of each network.
    "0.255.255.255", "10.255.255.255", "100.127.255.255", "169.254.255.255", "192.0.0.255", "192.0.2.255",
    "198.19.255.255", "198.51.100.255", "203.0.113.255", "2001:1ff:ffff::1", "2001:db8:ffff::1", "3fff:fff:ffff::1",
]  # fmt: skip


@pytest.mark.parametrize("address", PUBLIC)
def test_public(address: str) -> None:
    """Public addresses, also a public IPv4 address within an IPv6 address, as with NAT64."""
    assert is_public(address)


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_not_public(address: str) -> None:
    """Private, loopback, link-local (cloud metadata), shared and reserved addresses, also within an IPv6 address."""
    assert not is_public(address)


async def test_only_public_addresses_are_returned() -> None:
    """A family without a public address is left out; the error does not contain the address."""
    names = {
        "mixed.example": ["10.0.0.1", "2001:4860::1"],
        "public.example": ["8.8.8.8", "2001:4860::1"],
        "inside.example": ["10.0.0.1", "fd00::1"],
    }
    async with NameServer(names) as server:
        resolver = Resolver([server.address])
        public = PublicResolver(resolver)
        mixed = await public.resolve("mixed.example", IpFamily.ANY)
        assert [address for _, address in mixed] == ["2001:4860::1"]
        assert len(await public.resolve("public.example", IpFamily.ANY)) == 2
        with pytest.raises(NotPublic) as caught:
            await public.resolve("inside.example", IpFamily.ANY)
        assert str(caught.value) == "inside.example has no public address"
        with pytest.raises(NotPublic):
            await public.resolve("::ffff:127.0.0.1", IpFamily.ANY)
        await resolver.close()


async def test_probe_does_not_connect(scripted: StartScripted) -> None:
    """A probe of such a name ends in the resolve phase, with its own reason and without the address."""
    server = await scripted(Imap())
    async with NameServer({"mail.example": ["127.0.0.1"]}) as names:
        resolver = Resolver([names.address])
        of = target(host="mail.example", port=server.port, security=Security.NONE, timeout=30.0)
        outcome = await probe(of, PublicResolver(resolver))
        assert (outcome.phase, outcome.reason) == (Phase.RESOLVE, Reason.ADDRESS_NOT_PUBLIC)
        assert outcome.observed.address is None
        assert server.connections == 0
        assert (await probe(of, resolver)).ok  # without the check
        await resolver.close()
