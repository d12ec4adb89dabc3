"""The mail exchanges of a domain, against BIND."""

from __future__ import annotations

import pytest
from aiodns.error import ARES_ENOTFOUND, ARES_ETIMEOUT, DNSError

from exporter.domains.exchanges import NullMx, look_up
from exporter.probing.resolve import Resolver
from tests.servers.bind import Bind
from tests.servers.dns import NameServer

CASES = {
    "example.com": [(10, "mx1.example.com"), (20, "mx2.example.com")],
    # RFC 5321 §5.1: an alias of the domain is followed.
    "alias.example.com": [(10, "mx1.example.com"), (20, "mx2.example.com")],
    # An implicit MX, whether the name has an address or not: then the probe says so.
    "implicit.example.com": [(0, "implicit.example.com")],
    "text.example.com": [(0, "text.example.com")],
    # RFC 7505 §3: a null MX means nothing beside others.
    "half.example.com": [(5, "mx1.example.com")],
    "twice.example.com": [(10, "mx1.example.com")],
    "equal.example.com": [(10, "a.example.com"), (10, "b.example.com")],
}


@pytest.mark.parametrize("domain", CASES)
async def test_exchanges(resolver: Resolver, domain: str) -> None:
    """The most preferred comes first, each once, in small letters."""
    assert list(await look_up(resolver, domain)) == CASES[domain]


async def test_null_mx(resolver: Resolver) -> None:
    """A domain that takes no mail is told apart from one without MX records."""
    with pytest.raises(NullMx, match=r"^null.example.com has a null MX record$"):
        await look_up(resolver, "null.example.com")


async def test_many(resolver: Resolver) -> None:
    """All are found, in an answer that comes over TCP, too."""
    assert [one.preference for one in await look_up(resolver, "many.example.net")] == list(range(1, 101))


async def test_no_such_domain(resolver: Resolver) -> None:
    """A domain that does not exist is not one without MX records."""
    with pytest.raises(DNSError) as raised:
        await look_up(resolver, "gone.example.com")
    assert raised.value.args[0] == ARES_ENOTFOUND


async def test_changed_records(bind: Bind, resolver: Resolver) -> None:
    """What c-ares has in its cache does not hide a change: an address literal is a name like any other here."""
    bind.put("changing.example.com", "MX", "10 mx1.example.com.")
    assert [one.host for one in await look_up(resolver, "changing.example.com")] == ["mx1.example.com"]
    bind.put("changing.example.com", "MX", "10 192.0.2.1.", "20 mx2.example.com.")
    await resolver.close()
    again = Resolver([bind.address])
    found = await look_up(again, "changing.example.com")
    await again.close()
    assert [one.host for one in found] == ["192.0.2.1", "mx2.example.com"]


async def test_a_stopped_server() -> None:
    """No answer is an error of its own."""
    async with NameServer({"example.com": "refused"}) as server:
        resolver = Resolver([server.address])
        with pytest.raises(DNSError) as raised:
            await look_up(resolver, "example.com")
        await resolver.close()
        assert raised.value.args[0] != ARES_ENOTFOUND
        assert raised.value.args[0] != ARES_ETIMEOUT
