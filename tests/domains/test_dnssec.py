"""Whose word on DNSSEC is taken."""

from __future__ import annotations

import pytest

from exporter.domains import dnssec
from exporter.domains.dnssec import LookupFailed, ask, believed, system_nameservers
from exporter.model.reason import Reason
from tests.servers.bind import Bind
from tests.servers.dns import NameServer
from tests.servers.forwarder import Fault, Forwarder


def test_believed() -> None:
    """Loopback is, and what the configuration names; nothing else, for anybody on the way could set the flag."""
    servers = ["127.0.0.1:5353", "192.0.2.1", "[::1]:53", "192.0.2.2:54", "127.0.0.53"]
    assert believed(servers, ()) == [("127.0.0.1", 5353), ("::1", 53), ("127.0.0.53", 53)]
    assert believed(servers, ("192.0.2.2",)) == [
        ("127.0.0.1", 5353), ("::1", 53), ("192.0.2.2", 54), ("127.0.0.53", 53),
    ]  # fmt: skip
    assert believed([], ()) == []


def test_of_the_system() -> None:
    """Those of /etc/resolv.conf are addresses."""
    assert all(believed([server], (server,)) for server in system_nameservers())


async def test_failures(bind: Bind) -> None:
    """No answer and SERVFAIL are failures; a name that does not exist has no records."""
    async with NameServer({"broken.example.com": "servfail"}) as server:
        host, port = server.address.split(":")
        with pytest.raises(LookupFailed, match=r"^the TLSA look-up of broken.example.com: SERVFAIL$"):
            await ask([(host, int(port))], "broken.example.com", "TLSA")
    with pytest.raises(LookupFailed, match=r"^the MX look-up of example.com: no answer in time$") as raised:
        await ask([], "example.com", "MX")
    assert raised.value.reason is Reason.TIMEOUT
    with pytest.raises(LookupFailed):
        await ask([("127.0.0.1", bind.port)], "a..example.com", "MX")
    assert (await ask([("127.0.0.1", bind.port)], "gone.example.com", "MX")).records == ()


@pytest.mark.parametrize("fault", ["silence", "garbage", "truncated", "servfail"])
async def test_second_server(bind: Bind, monkeypatch: pytest.MonkeyPatch, fault: Fault) -> None:
    """Where one server fails, however it does, the next one is asked."""
    monkeypatch.setattr(dnssec, "SECONDS", 0.1)
    async with Forwarder(bind.address) as first:
        first.faults = {"example.com": fault}
        host, port = first.address.split(":")
        answer = await ask([(host, int(port)), ("127.0.0.1", bind.port)], "example.com", "MX")
        assert len(answer.records) == 2
        assert first.questions["example.com", "MX"] == 1
