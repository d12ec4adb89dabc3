"""Log lines for what changed: enough to read, however many endpoints change at once."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Iterable, Iterator, MutableMapping
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from structlog.testing import capture_logs

from exporter.model.certificate import TlsFacts
from exporter.model.evidence import TcpEvidence, TcpFinding
from exporter.model.login import Cause, Denial, LoginStatus
from exporter.model.outcome import Outcome, Phase, Target
from exporter.model.reason import Reason
from exporter.monitor.changes import MINUTE, NAMES, SINGLE, Changes
from exporter.monitor.store import Store
from tests.examples import ACCOUNT, budgeted, failure, success, target

Logs = list[MutableMapping[str, Any]]


class Bench:
    """A store, and the lines about it."""

    def __init__(self, logs: Logs) -> None:
        self.store = Store()
        self.changes = Changes(self.store)
        self.logs = logs

    def configure(self, targets: Iterable[Target]) -> None:
        """Put these targets into force."""
        self.store.configure(targets)
        self.changes.configure()

    def add(self, outcome: Outcome) -> None:
        """Add an Outcome as the checker does."""
        series = self.store[outcome.target.key]
        after = series.lasted
        if series.add(outcome):
            self.changes.failures(series, outcome, after)

    def take(self) -> Logs:
        """The lines since the last time."""
        taken = self.logs[:]
        self.logs.clear()
        return taken


@pytest.fixture
def bench() -> Iterator[Bench]:
    """An empty store."""
    with capture_logs() as logs:
        yield Bench(logs)


def many(count: int = 1000, hosts: int = 1) -> list[Target]:
    """Endpoints on so many hosts."""
    return [target(f"e{number}", host=f"mail{number % hosts}.example.com") for number in range(count)]


async def minute() -> None:
    """Let a little more than a minute pass."""
    await asyncio.sleep(MINUTE + 1)


async def test_few(bench: Bench) -> None:
    """Each has its line, at once; the remedy is in the first, while the problem lasts."""
    first, second, third = many(3)
    bench.configure([first, second, third])
    for each in (first, second, third):
        bench.add(success(each))
    assert [(line["event"], line["endpoint"]) for line in bench.take()] == [("up", f"e{n}") for n in range(3)]
    for each in (first, second):
        bench.add(failure(each))
        bench.add(failure(each))
    down = bench.take()
    assert [(line["event"], line["endpoint"], line["reason"]) for line in down] == [
        ("down", "e0", "refused"),
        ("down", "e1", "refused"),
    ]
    assert [line.get("remedy", "") for line in down] == [failure(first).next_step, ""]
    assert all(line["detail"] == "what the server said" for line in down)
    bench.add(failure(third, reason=Reason.RESET))
    assert bench.take()[0]["remedy"] == failure(third, reason=Reason.RESET).next_step
    bench.add(success(first))
    bench.add(success(second))
    bench.add(failure(second))
    assert [(line["event"], "remedy" in line) for line in bench.take()] == [
        ("recovered", False),
        ("recovered", False),
        ("down", True),
    ]
    await minute()
    assert bench.take() == []


async def test_evidence(bench: Bench) -> None:
    """What TCP saw of a failure is a field of its line; it is empty where TCP shows nothing."""
    first, second = many(2)
    bench.configure([first, second])
    failed = failure(first)
    bench.add(replace(failed, observed=replace(failed.observed, tcp=TcpEvidence(TcpFinding.SYN_REJECTED))))
    bench.add(failure(second))
    assert [line["evidence"] for line in bench.take()] == [TcpFinding.SYN_REJECTED.sentence, ""]


@pytest.mark.parametrize(("hosts", "fields"), [(1, {"host": "mail0.example.com"}), (1000, {"hosts": 1000 - SINGLE})])
async def test_a_thousand_at_once(bench: Bench, hosts: int, fields: dict[str, object]) -> None:
    """The first have a line each, the others one together, a minute later; recovered ones, too. One has the remedy."""
    targets = many(hosts=hosts)
    bench.configure(targets)
    for event, made in (("up", success), ("down", failure), ("recovered", success)):
        for each in targets:
            bench.add(made(each))
        lines = bench.take()
        assert Counter(line["event"] for line in lines) == {event: SINGLE}
        assert ["remedy" in line for line in lines] == [event == "down"] + [False] * (SINGLE - 1)
        await minute()
        [rest] = bench.take()
        assert rest["event"] == event
        assert rest["endpoints"] == 1000 - SINGLE
        assert rest["names"] == [f"e{number}" for number in range(SINGLE, SINGLE + NAMES)]
        assert {name: rest[name] for name in fields} == fields
        assert rest.get("reason") == ("refused" if event == "down" else None)
        await minute()
        assert bench.take() == []


async def test_a_slow_avalanche(bench: Bench) -> None:
    """A thousand endpoints with an interval of ten minutes go down one by one: some twenty lines, none is lost."""
    targets = many()
    bench.configure(targets)
    for each in targets:
        bench.add(failure(each))
        await asyncio.sleep(0.6)
    await minute()
    lines = bench.take()
    assert len(lines) <= SINGLE + 600 / MINUTE + 2
    assert sum(line.get("endpoints", 1) for line in lines) == 1000
    assert sum("remedy" in line for line in lines) == 1
    await minute()
    bench.add(failure(targets[0], reason=Reason.RESET))
    bench.add(failure(targets[0]))
    assert [line["endpoint"] for line in bench.take()] == ["e0", "e0"]


async def test_providers_have_their_own_remedies(bench: Bench) -> None:
    """The remedy for Google's servers is none for others."""
    ours, theirs = target("ours", host="mail.example.com"), target("theirs")
    bench.configure([ours, theirs])
    for each in (ours, theirs):
        bench.add(failure(each, Phase.GREETING, Reason.SERVER_BUSY))
    assert [line["remedy"] for line in bench.take()] == [
        failure(each, Phase.GREETING, Reason.SERVER_BUSY).next_step for each in (ours, theirs)
    ]


async def test_a_reload_forgets(bench: Bench) -> None:
    """A problem of endpoints that are gone lasts no longer."""
    first, second = many(2)
    bench.configure([first])
    bench.add(failure(first))
    bench.configure([second])
    bench.take()
    bench.add(failure(second))
    assert [(line["endpoint"], "remedy" in line) for line in bench.take()] == [("e1", True)]
    bench.configure([])
    assert not bench.changes._problems
    assert not bench.changes._lasting


async def test_two_failures_of_one_endpoint(bench: Bench) -> None:
    """A refused login and an outage are two problems: the one that ends is forgotten, the other lasts."""
    both = target(account=ACCOUNT)
    bench.configure([both])
    refused = failure(both, Phase.LOGIN, Reason.AUTH_INVALID_CREDENTIALS)
    bench.add(refused)
    bench.add(failure(both))
    assert [(line["event"], "remedy" in line) for line in bench.take()] == [
        ("failing", True),
        ("down", True),
        ("failing", False),
    ]
    bench.add(success(both))
    assert [(line["event"], line["reason"]) for line in bench.take()] == [("failing", "auth_invalid_credentials")]
    bench.add(success(both, login=True))
    assert [line["event"] for line in bench.take()] == ["recovered"]
    assert not bench.changes._lasting


async def test_suspensions(bench: Bench) -> None:
    """A thousand endpoints whose logins are held back are not a thousand lines, either."""
    targets = [target(f"e{number}", account=ACCOUNT) for number in range(1000)]
    bench.configure(targets)
    cause = Cause("e0", Reason.AUTH_INVALID_CREDENTIALS)
    for login in (LoginStatus(Denial.HOLD, math.inf, cause=cause), LoginStatus(None, 0.0)):
        for each in targets:
            bench.changes.suspension(each, login)
        lines = bench.take()
        assert len(lines) == SINGLE
        told = [lines[-1].get(key) for key in ("held_by", "cause_endpoint", "cause_reason")]
        assert told == (["hold", "e0", "auth_invalid_credentials"] if login.held_by else [None] * 3)
    await minute()
    assert [(line["event"], line["endpoints"]) for line in bench.take()] == [
        ("logins suspended", 1000 - SINGLE),
        ("logins resumed", 1000 - SINGLE),
    ]


async def test_addresses(bench: Bench) -> None:
    """Only where they have changed."""
    before = success()
    served = replace(before.observed, address="192.0.2.2", dead_addresses=("192.0.2.1",), connect_lost=1.0)
    dead = replace(before, observed=served)
    bench.changes.addresses(before, dead)
    bench.changes.addresses(dead, dead)
    assert [(line["event"], line["addresses"]) for line in bench.take()] == [("addresses passed over", ["192.0.2.1"])]


async def test_interception(bench: Bench) -> None:
    """Once when it begins, with the issuer, and once when it ends; not where a probe has seen no certificate."""
    before = success(target(host="imap.gmail.com"))
    public = TlsFacts("TLSv1.3", "X", "CN=WR2", "00", None, None, public_root=True)
    good = replace(before, observed=replace(before.observed, tls=public))
    facts = replace(public, issuer="CN=Office Proxy", public_root=False)
    read_along = replace(good, observed=replace(good.observed, tls=facts))
    blind = replace(good, observed=replace(good.observed, tls=None))
    outcomes = [good, read_along, read_along, blind, read_along, good, good]
    for was, now in pairwise([None, *outcomes]):
        assert now is not None
        bench.changes.interception(was, now)
    assert [(line["event"], line.get("issuer")) for line in bench.take()] == [
        ("TLS is intercepted", "CN=Office Proxy"),
        ("TLS is intercepted", "CN=Office Proxy"),
        ("TLS is intercepted no longer", None),
    ]


async def test_the_end(bench: Bench) -> None:
    """What would have had a line later has it at the end."""
    targets = many()
    bench.configure(targets)
    for each in targets:
        bench.add(budgeted(failure(each), Denial.HOLD))
    bench.changes.close()
    assert [line.get("endpoints", 1) for line in bench.take()] == [1] * SINGLE + [1000 - SINGLE]
    await minute()
    assert bench.take() == []
