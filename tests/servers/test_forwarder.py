"""The forwarder passes on, notes and fails as `forwarder.py` claims, as seen by dnspython."""

from __future__ import annotations

import dns.asyncquery
import dns.exception
import dns.flags
import dns.message
import dns.rcode
import pytest

from tests.servers.dns import NameServer
from tests.servers.forwarder import Fault, Forwarder

CODES: dict[Fault, dns.rcode.Rcode] = {
    "nxdomain": dns.rcode.NXDOMAIN,
    "servfail": dns.rcode.SERVFAIL,
    "refused": dns.rcode.REFUSED,
}


async def ask(server: Forwarder, name: str, kind: str) -> dns.message.Message:
    """Ask once, over UDP."""
    host, _, port = server.address.rpartition(":")
    return await dns.asyncquery.udp(dns.message.make_query(name, kind), host, timeout=0.2, port=int(port))


async def test_forwarder() -> None:
    """A question fails by its name and kind, or by its name; others have the answer of the other server."""
    async with NameServer({"one.example": ["192.0.2.1"]}) as upstream, Forwarder(upstream.address) as server:
        assert "192.0.2.1" in str((await ask(server, "One.example", "A")).answer)
        for fault, code in CODES.items():
            server.faults = {("one.example", "A"): fault, "two.example": fault}
            assert (await ask(server, "one.example", "A")).rcode() == code
            assert (await ask(server, "one.example", "AAAA")).rcode() == dns.rcode.NOERROR
            assert (await ask(server, "two.example", "MX")).rcode() == code
        assert server.questions["one.example", "A"] == 4
        assert server.questions["two.example", "MX"] == 3
        server.faults = {"one.example": "truncated"}
        assert (await ask(server, "one.example", "A")).flags & dns.flags.TC
        server.faults = {"one.example": "garbage"}
        with pytest.raises(dns.exception.FormError):
            await ask(server, "one.example", "A")
        server.faults = {"one.example": "silence"}
        with pytest.raises(dns.exception.Timeout):
            await ask(server, "one.example", "A")
