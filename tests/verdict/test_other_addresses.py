"""The other addresses of a name."""

from __future__ import annotations

import socket

from exporter.model.evidence import Tally
from exporter.model.outcome import Target
from exporter.model.settings import Account, IpFamily, Protocol, SecretRef, Tls
from exporter.probing.resolve import IpAddress
from exporter.verdict.other_addresses import MOST, other_addresses
from tests.conftest import StartScripted
from tests.examples import target
from tests.servers.authority import Authority
from tests.servers.dialogues import Imap


class Names:
    """A resolver that knows one name."""

    def __init__(self, *addresses: str) -> None:
        self._addresses = addresses

    async def resolve(self, host: str, family: IpFamily) -> list[IpAddress]:
        """Return the addresses."""
        if not self._addresses:
            raise OSError("no such name")
        return [(socket.AF_INET6 if ":" in each else socket.AF_INET, each) for each in self._addresses]


async def probed(scripted: StartScripted, authority: Authority) -> Target:
    """A server at 127.0.0.1, under a name, with an account."""
    server = await scripted(Imap(), security="tls")
    account = Account(name="ops", username="u", app_password=SecretRef(env="NONE"))
    tls = Tls(ca_file=authority.ca_file)
    return target(protocol=Protocol.IMAP, host="localhost", port=server.port, tls=tls, account=account, timeout=30.0)


async def test_answers(scripted: StartScripted, authority: Authority) -> None:
    """Each is probed up to the capabilities; nothing listens at 127.9.9.9, and the one that failed is left out."""
    at = await probed(scripted, authority)
    assert await other_addresses(at, "127.0.0.5", Names("127.0.0.5", "127.0.0.1", "127.9.9.9")) == Tally(1, 1)


async def test_none(scripted: StartScripted, authority: Authority) -> None:
    """A name with one address, with others of another version of IP, or that does not resolve."""
    at = await probed(scripted, authority)
    assert await other_addresses(at, "127.0.0.1", Names("127.0.0.1", "::1")) is None
    assert await other_addresses(at, "127.0.0.1", Names()) is None


async def test_bounded(scripted: StartScripted, authority: Authority) -> None:
    """Of many addresses, a few are probed."""
    at = await probed(scripted, authority)
    many = Names(*(f"127.0.1.{number}" for number in range(20)))
    assert await other_addresses(at, "127.0.0.1", many) == Tally(0, MOST)
