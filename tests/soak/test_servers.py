"""The hostile servers are hostile, and the other one takes logins and counts them."""

from __future__ import annotations

import asyncio
import json

import pytest

from exporter.model.outcome import Outcome, Target
from exporter.model.reason import Reason
from exporter.model.settings import Endpoint, IpFamily, Protocol, Tls
from exporter.probing.dialogue import Credential
from exporter.probing.probe import probe
from exporter.probing.resolve import Resolver
from soak import servers
from soak.lab import Helper
from tests.servers.authority import Authority
from tests.servers.dialogues import Imap, Pop3, Smtp

KINDS = {"imap": Imap, "pop3": Pop3, "smtp": Smtp}


async def look(authority: Authority, protocol: str, port: int, login: Credential | None = None) -> Outcome:
    """Probe a server of this host."""
    tls = Tls(ca_file=authority.ca_file, server_name="localhost")
    endpoint = Endpoint(
        name="x",
        protocol=Protocol(protocol),
        host="127.0.0.1",
        port=port,
        ip_family=IpFamily.IPV4,
        timeout=2.0,
        tls=tls,
    )
    resolver = Resolver()
    try:
        return await probe(Target(endpoint, endpoint.ip_family), resolver, login)
    finally:
        await resolver.close()


async def test_processes(authority: Authority) -> None:
    """Each way to be hostile comes in its turn, and is a failure with a reason; logins are counted by user."""
    files = str(authority.issue().chain_file), str(authority.issue().key_file)
    with Helper("soak.servers", "hostile", *files) as hostile, Helper("soak.servers", "login", *files) as login:
        ports = {**json.loads(hostile.line()), **json.loads(login.line())}
        looks = [
            look(authority, protocol, ports[protocol])
            for protocol, kind in KINDS.items()
            for _ in servers.hostile(kind)
        ]
        outcomes = await asyncio.gather(*looks)
        assert not [outcome.detail for outcome in outcomes if outcome.up or outcome.reason is Reason.INTERNAL]
        assert len({outcome.reason for outcome in outcomes}) >= 4
        for user in ("a", "a", "b"):
            assert (await look(authority, "imap", ports["login"], Credential(user, "secret"))).ok
        assert json.loads(login.ask()) == {"a": 2, "b": 1}
        assert json.loads(hostile.ask()) == {}


@pytest.mark.parametrize("kind", KINDS.values())
def test_ways(kind: type[Imap | Pop3 | Smtp]) -> None:
    """There are ways to be hostile in the handshake, instead of the greeting, and in the capabilities."""
    assert {step for step, _ in servers.hostile(kind)} == {"tls", "greeting", "capability"}
