"""Evidence while an endpoint fails: once for a host, bounded, and never in the way."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import Any

import pytest
from structlog.testing import capture_logs

from exporter.model.evidence import Evidence, Hop, HostFacts, PathEnd, Tally, Trace
from exporter.model.outcome import Outcome, Phase, Target
from exporter.model.reason import Reason
from exporter.model.settings import Config, Endpoint, IpFamily
from exporter.model.verdict_settings import TraceSettings, VerdictSettings
from exporter.monitor import gathering as module
from exporter.monitor.gathering import FRESH, MAX_PATHS, Gathering
from exporter.monitor.store import Store
from exporter.probing.resolve import Resolver
from exporter.verdict.sources import EvidenceSources, Found
from tests.examples import ACCOUNT, Clock, failure, success, target

REFUSED = (Phase.CONNECT, Reason.REFUSED)
SILENT = (Phase.GREETING, Reason.TIMEOUT)
ADDRESS = "192.0.2.1"


class Sources(EvidenceSources):
    """Sources that count how often they are asked, and contact nobody."""

    def __init__(self) -> None:
        super().__init__(Resolver())
        self.asked: list[str] = []
        self.delay = 0.0
        self.fault: Exception | None = None

    async def gather(self, endpoint: Endpoint, family: IpFamily, address: str | None) -> Found:
        """Note the host."""
        self.asked.append(endpoint.host)
        await asyncio.sleep(self.delay)
        if self.fault:
            raise self.fault
        return Found((), (), HostFacts(resolver_answers=True), None, None)


class Paths:
    """In place of the tracer and of the probes of other addresses: how often, and of what."""

    def __init__(self) -> None:
        self.traced: list[tuple[str, int]] = []
        self.tried: list[str] = []
        self.hops = 2

    async def trace(self, address: str, port: int) -> tuple[Trace | None, Trace | None]:
        """A path of so many hops."""
        self.traced.append((address, port))
        hops = tuple(Hop(ttl, f"198.51.100.{ttl}", 0.001) for ttl in range(1, self.hops + 1))
        return Trace(address, port, hops, PathEnd.NOTHING, None, 1.0), None

    async def others(self, target: Target, _failed: str, _resolver: object) -> Tally | None:
        """One other address that answers."""
        self.tried.append(target.endpoint.host)
        return Tally(1, 0)


class Bench:
    """A store, and what gathers evidence of its targets."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.clock, self.sources, self.paths = Clock(), Sources(), Paths()
        self.store = Store(self.clock)
        monkeypatch.setattr(module, "Tracer", lambda *_: self.paths)
        monkeypatch.setattr(module, "other_addresses", self.paths.others)
        self.gathering = Gathering(self.store, Resolver(), self.sources, clock=self.clock)

    def configure(self, *targets: Target, **trace: Any) -> None:
        """Configure exactly these targets."""
        self.store.configure(targets)
        endpoints = {each.endpoint.name: each.endpoint for each in targets}
        self.gathering.configure(Config(endpoints=endpoints, verdict=VerdictSettings(trace=TraceSettings(**trace))))

    async def evidence(
        self, probed: Target, pair: tuple[Phase, Reason] = REFUSED, address: str | None = ADDRESS
    ) -> Evidence:
        """The evidence of one failed probe."""
        found = await self.gathering.evidence(failed(probed, pair, address))
        assert found is not None
        return found


def failed(probed: Target, pair: tuple[Phase, Reason] = REFUSED, address: str | None = ADDRESS) -> Outcome:
    """A failed probe at an address."""
    outcome = failure(probed, *pair)
    return replace(outcome, observed=replace(outcome.observed, address=address, ip_version=4 if address else None))


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    """A store without targets."""
    return Bench(monkeypatch)


async def test_evidence_of_one_failure(bench: Bench) -> None:
    """What was found of the host, of the path and of the other endpoints, in the Outcome that failed."""
    bench.configure(imap := target())
    found = await bench.evidence(imap)
    assert found.host == HostFacts(resolver_answers=True)
    assert found.trace is not None
    assert (found.trace.address, found.trace.port, found.trace.last_answer) == (ADDRESS, 993, 2)
    assert found.siblings is not None
    assert found.siblings.providers == Tally(0, 1)
    assert (found.addresses, found.is_pending, found.was_reached) == (None, False, False)


@pytest.mark.parametrize(("patience", "is_pending"), [(None, True), (60.0, False)])
async def test_how_long_an_outcome_waits(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, patience: float | None, is_pending: bool
) -> None:
    """A quarter of its interval, for the next one follows; as long as is said where no other follows."""
    monkeypatch.setattr(bench.gathering, "_patience", patience)
    bench.sources.delay = 0.2
    bench.configure(imap := target(interval=0.04))
    assert (await bench.evidence(imap)).is_pending is is_pending
    await bench.gathering.close()


async def test_a_thousand_endpoints_of_one_host(bench: Bench) -> None:
    """Evidence is gathered once, and the path is traced once."""
    targets = [target(f"imap{number}") for number in range(1000)]
    bench.configure(*targets)
    found = await asyncio.gather(*(bench.evidence(each) for each in targets))
    assert bench.sources.asked == ["imap.gmail.com"]
    assert bench.paths.traced == [(ADDRESS, 993)]
    assert all(each.trace is found[0].trace for each in found)


async def test_in_an_outage(bench: Bench) -> None:
    """What may change is looked at again after a while; the path is traced once in an outage, for each port."""
    bench.configure(imap := target(), other := target("other", port=143))
    for _ in range(3):
        await bench.evidence(imap)
    await bench.evidence(other)
    assert (len(bench.sources.asked), bench.paths.traced) == (1, [(ADDRESS, 993), (ADDRESS, 143)])
    bench.clock.advance(FRESH)
    await bench.evidence(imap)
    assert (len(bench.sources.asked), len(bench.paths.traced)) == (2, 2)


async def test_the_end_of_an_outage(bench: Bench) -> None:
    """It ends when the last endpoint of the host is up again; the next one is traced again."""
    bench.configure(imap := target(), other := target("other"))
    await bench.evidence(imap)
    await bench.evidence(other)
    bench.gathering.recover(imap)
    await bench.evidence(imap)
    assert len(bench.paths.traced) == 1
    bench.gathering.recover(imap)
    bench.gathering.recover(other)
    await bench.evidence(imap)
    assert (len(bench.sources.asked), len(bench.paths.traced)) == (2, 2)


async def test_a_reload_ends_it_for_what_is_gone(bench: Bench) -> None:
    """An endpoint that is removed while it fails holds no outage open."""
    bench.configure(imap := target(), other := target("other"))
    await bench.evidence(imap)
    bench.configure(other)
    await bench.evidence(other)
    assert len(bench.paths.traced) == 2


async def test_what_takes_longer_counts_from_the_next_outcome(bench: Bench) -> None:
    """The Outcome is stored without it, and says so."""
    bench.configure(imap := target(interval=0.2))
    bench.sources.delay = 0.3
    loop = asyncio.get_running_loop()
    began = loop.time()
    first = await bench.evidence(imap)
    assert loop.time() - began <= 0.2
    assert (first.host, first.is_pending) == (None, True)
    await asyncio.sleep(0.4)
    second = await bench.evidence(imap)
    assert (second.host, second.is_pending) == (HostFacts(resolver_answers=True), False)
    assert len(bench.sources.asked) == 1


@pytest.mark.parametrize(
    ("pair", "traced", "tried"),
    [
        (REFUSED, 1, 0),
        ((Phase.CONNECT, Reason.TIMEOUT), 1, 0),
        (SILENT, 0, 1),
        ((Phase.GREETING, Reason.SERVER_BUSY), 0, 1),
        ((Phase.TLS, Reason.CERTIFICATE_EXPIRED), 0, 0),
    ],
)
async def test_what_is_looked_at(bench: Bench, pair: tuple[Phase, Reason], traced: int, tried: int) -> None:
    """The path where no connection was made, other addresses where one was and the server did not serve."""
    bench.configure(imap := target())
    found = await bench.evidence(imap, pair)
    assert (len(bench.paths.traced), len(bench.paths.tried)) == (traced, tried)
    assert found.addresses == (Tally(1, 0) if tried else None)


async def test_the_reason_says_all(bench: Bench) -> None:
    """Nobody is contacted where the account is at fault."""
    bench.configure(imap := target(account=ACCOUNT))
    assert await bench.gathering.evidence(failed(imap, (Phase.GREETING, Reason.TOO_MANY_CONNECTIONS))) is None
    assert (bench.sources.asked, bench.paths.traced) == ([], [])


async def test_a_name_that_does_not_resolve(bench: Bench) -> None:
    """The path is traced to the address that served last; where none is known, there is nothing to trace."""
    bench.configure(imap := target())
    unresolved = (Phase.RESOLVE, Reason.DNS_ERROR)
    assert (await bench.evidence(imap, unresolved, None)).trace is None
    up = success(imap)
    bench.store[imap.key].add(replace(up, observed=replace(up.observed, address="192.0.2.7", ip_version=4)))
    found = await bench.evidence(imap, unresolved, None)
    assert bench.paths.traced == [("192.0.2.7", 993)]
    assert found.was_reached is True


async def test_without_traces(bench: Bench) -> None:
    """`on_failure: false` traces nothing."""
    bench.configure(imap := target(), on_failure=False)
    assert (await bench.evidence(imap)).trace is None
    assert bench.paths.traced == []


async def test_how_far_the_path_was_seen(bench: Bench) -> None:
    """It is known from earlier outages, of so many addresses at most."""
    bench.configure(imap := target())
    assert (await bench.evidence(imap)).farthest_hop is None
    bench.gathering.recover(imap)
    bench.paths.hops = 1
    found = await bench.evidence(imap)
    assert found.trace is not None
    assert (found.trace.last_answer, found.farthest_hop) == (1, 2)
    for number in range(MAX_PATHS):
        bench.gathering.recover(imap)
        await bench.evidence(imap, address=f"2001:db8::{number:x}")
    bench.gathering.recover(imap)
    assert (await bench.evidence(imap)).farthest_hop is None


async def test_for_a_request(bench: Bench) -> None:
    """Nothing is looked at, and no path is traced: what is known is used."""
    imap = target()
    found = bench.gathering.known(failed(imap))
    assert found.host is not None
    assert (found.trace, found.was_reached) == (None, None)
    assert (bench.sources.asked, bench.paths.traced) == ([], [])


async def test_a_fault_in_gathering(bench: Bench) -> None:
    """It is logged, the Outcome goes on without that evidence, and it is tried again."""
    bench.configure(imap := target())
    bench.sources.fault = RuntimeError("broken")
    with capture_logs() as logged:
        assert (await bench.evidence(imap)).host is None
        await asyncio.sleep(0)
    assert [line["event"] for line in logged] == ["fault in gathering evidence"]
    bench.sources.fault = None
    bench.clock.advance(FRESH)
    assert (await bench.evidence(imap)).host is not None


async def test_close(bench: Bench) -> None:
    """What is under way is stopped."""
    bench.configure(imap := target(interval=0.01))
    bench.sources.delay = 60.0
    await bench.evidence(imap)
    before = len(asyncio.all_tasks())
    await bench.gathering.close()
    await asyncio.sleep(0)
    assert len(asyncio.all_tasks()) == before - 1


async def test_while_all_is_well(bench: Bench) -> None:
    """It costs a look into an empty table."""
    bench.configure(imap := target())
    began = time.thread_time()
    for _ in range(10_000):
        bench.gathering.recover(imap)
    assert time.thread_time() - began < 1
    assert bench.sources.asked == []
