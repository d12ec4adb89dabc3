"""All sources together: who is contacted, when, and for whom."""

from __future__ import annotations

import asyncio
import ssl
import time
from dataclasses import dataclass

import pytest

from exporter.model.address import Address
from exporter.model.evidence import ControlKind, ProviderStatus
from exporter.model.settings import Config, Endpoint, IpFamily, Protocol
from exporter.model.verdict_settings import Control, StatusProvider, StatusSettings, VerdictSettings
from exporter.probing.resolve import Resolver
from exporter.verdict import sources as sources_module
from exporter.verdict.controls import Controls
from exporter.verdict.sources import EvidenceSources
from exporter.verdict.status import StatusFeed
from tests.conftest import StartScripted
from tests.servers import acts
from tests.servers.authority import Authority
from tests.servers.dns import NameServer
from tests.servers.pages import Pages, reply
from tests.servers.scripted import ScriptedServer
from tests.verdict.feed import OUTAGE, encoded
from tests.waiting import PATIENCE

GMAIL = Endpoint(name="gmail", protocol=Protocol.IMAP, host="imap.gmail.com", port=993)
OWN = Endpoint(name="own", protocol=Protocol.IMAP, host="mail.example.com", port=993)


@dataclass
class Bench:
    """Sources, and the servers that they contact."""

    sources: EvidenceSources
    controls: ScriptedServer
    plain: Pages
    status: Pages
    verdict: VerdictSettings

    def configure(self, *endpoints: Endpoint) -> None:
        """Put these endpoints into force."""
        self.sources.configure(Config(endpoints={each.name: each for each in endpoints}, verdict=self.verdict))

    @property
    def contacts(self) -> tuple[int, int, int]:
        """How often the controls, the plain port and the status were contacted."""
        return self.controls.connections, len(self.plain.requests), len(self.status.requests)


@pytest.fixture
async def bench(
    scripted: StartScripted, authority: Authority, resolver: Resolver, trusting: ssl.SSLContext, names: NameServer
) -> Bench:
    """One control of each kind, all at one server."""
    google = authority.issue("www.google.com").context
    server = await scripted(acts.silence, security="tls", context=google)
    plain, status = Pages(reply(204)), Pages(reply(200, encoded(OUTAGE)))
    at, of = (await scripted(plain)).port, (await scripted(status, security="tls", context=google)).port
    controls = {
        "web": Control("web", ControlKind.PROVIDER_WEB, "www.google.com", server.port),
        "near": Control("near", ControlKind.NEUTRAL, "127.0.0.1", server.port),
        "other": Control("other", ControlKind.SAME_PORT, "mail.example.com", server.port),
    }
    host, _, port = names.address.partition(":")
    made = EvidenceSources(
        resolver,
        controls=Controls(resolver, context=lambda: trusting, plain_port=at),
        feed=StatusFeed(resolver, url=f"https://www.google.com:{of}/", context=trusting),
    )
    return Bench(made, server, plain, status, VerdictSettings(controls, (Address(host, int(port)),)))


async def test_for_google(bench: Bench) -> None:
    """Everything is looked at for an endpoint at Google."""
    bench.configure(GMAIL, OWN)
    found = await bench.sources.gather(GMAIL, IpFamily.ANY, "127.0.0.1")
    assert {control.name: control.up for control in found.controls} == {"web": True, "near": True, "other": True}
    assert found.portal is False
    assert [(opinion.name, opinion.addresses) for opinion in found.opinions] == [("imap.gmail.com", ("127.0.0.1",))]
    assert found.status is not None
    assert [incident.status for incident in found.status.incidents] == ["disruption"]
    assert (found.host.has_route_ipv4, found.host.resolver_answers) == (True, True)
    assert (found.host.open_files_left or 0) > 0


async def test_for_others(bench: Bench) -> None:
    """What is for Google's hosts alone says nothing of others; without one, Google is not contacted at all."""
    bench.configure(GMAIL, OWN)
    found = await bench.sources.gather(OWN, IpFamily.ANY, None)
    assert [control.name for control in found.controls] == ["near", "other"]
    assert (found.status, found.portal) == (None, None)
    bench.configure(OWN)
    before = bench.contacts
    await bench.sources.look()
    found = await bench.sources.gather(OWN, IpFamily.ANY, None)
    assert [control.name for control in found.controls] == ["near", "other"]
    assert bench.contacts[1:] == before[1:]


async def test_nobody_but_the_endpoint(resolver: Resolver, names: NameServer) -> None:
    """The built-in section contacts nobody for a file without a host of Google's; the resolver is this host's own."""
    sources = EvidenceSources(resolver)
    sources.configure(Config(endpoints={"own": OWN}))
    await sources.look()
    assert names.questions == []
    found = await sources.gather(OWN, IpFamily.ANY, None)
    assert {question.name for question in names.questions} == {"mail.example.com"}
    assert (found.controls, found.opinions, found.status, found.portal) == ((), (), None, None)


async def test_while_all_is_well(bench: Bench) -> None:
    """Controls and the status are looked at once, and not again for a quarter of an hour; no plain request is made."""
    bench.configure(GMAIL)
    for _ in range(20):
        await bench.sources.look()
    assert bench.contacts == (3, 0, 1)


async def test_what_is_known(bench: Bench, names: NameServer) -> None:
    """Without a look at anything: the last look of the daemon, and this host."""
    bench.configure(GMAIL)
    await bench.sources.look()
    contacts, asked = bench.contacts, len(names.questions)
    found = bench.sources.known(GMAIL, "127.0.0.1")
    assert {control.name: control.up for control in found.controls} == {"web": True, "near": True, "other": True}
    assert (found.opinions, found.host.resolver_answers, found.host.has_route_ipv4) == ((), None, True)
    assert found.status is not None
    assert found.status.is_known
    assert (bench.contacts, len(names.questions)) == (contacts, asked)


async def test_however_many_fail(bench: Bench) -> None:
    """A thousand endpoints that fail at once contact nobody more often than one."""
    bench.configure(GMAIL)
    await asyncio.gather(*(bench.sources.gather(GMAIL, IpFamily.ANY, None) for _ in range(20)))
    await bench.sources.gather(GMAIL, IpFamily.ANY, None)
    assert bench.contacts == (3, 1, 1)


async def test_a_slow_status(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Evidence does not wait for it; it counts from the next time."""
    monkeypatch.setattr(sources_module, "_STATUS_PATIENCE", 0.2)
    bench.status.pause = 0.001
    bench.configure(GMAIL)
    began = time.monotonic()
    found = await bench.sources.gather(GMAIL, IpFamily.ANY, None)
    assert time.monotonic() - began < 30
    assert found.status == ProviderStatus("google")
    async with asyncio.timeout(PATIENCE):
        while found.status == ProviderStatus("google"):
            await asyncio.sleep(0.2)
            found = await bench.sources.gather(GMAIL, IpFamily.ANY, None)
    assert found.status is not None
    assert found.status.is_known
    assert bench.contacts[2] == 1


@pytest.mark.parametrize("provider", StatusProvider)
async def test_whose_status(bench: Bench, provider: StatusProvider) -> None:
    """It can be switched off."""
    bench.verdict = VerdictSettings({}, status=StatusSettings(provider))
    bench.configure(GMAIL)
    await bench.sources.look()
    found = await bench.sources.gather(GMAIL, IpFamily.ANY, None)
    assert (found.status is None) is (provider is StatusProvider.NONE)
    assert bench.contacts == (0, 0, 0 if provider is StatusProvider.NONE else 1)
    await bench.sources.close()
