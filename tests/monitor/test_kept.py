"""What is kept of the Outcomes of servers that say much."""

from __future__ import annotations

import gc
import itertools
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace

import pytest

from exporter.model.certificate import Certificate
from exporter.model.outcome import Detail, Line, Observed, Outcome, Phase, Target
from exporter.model.reason import Reason
from exporter.model.settings import IpFamily
from exporter.monitor.kept import FAILURES, MAX_IN_ALL, MAX_OF_ENDPOINT, MAX_OLD_DETAIL, MIN_SHARE, Kept, Memory
from exporter.monitor.store import Series, Store
from exporter.probing.record import DialogueRecord
from tests.examples import FACTS, failure, success, target

SERIAL = itertools.count()
WIDEST = "\U0001f525"


def said(octets: int, character: str = "a") -> tuple[Line, ...]:
    """A dialogue that takes about so many octets of memory; its texts are its own."""
    record = DialogueRecord()
    size = Line(0.1, "S", f"{0:09}{character * 500}").octets
    for _ in range(octets // size + 1):
        record.add(0.1, "S", f"{next(SERIAL):09}{character * 500}".encode())
    return tuple(record.lines())


def certificate(number: int, names: int = 20) -> Certificate:
    """A certificate with long texts of its own."""
    texts = tuple(f"{number}-{name}-{WIDEST * 240}" for name in range(names))
    return Certificate(f"CN={texts[0]}", f"CN={texts[-1]}", texts, 0.0, 1.0, f"{number:064x}", f"{number:x}")


def talkative(outcome: Outcome, octets: int = 200 * 1024) -> Outcome:
    """The Outcome of a server that says as much as it can, never the same."""
    number = next(SERIAL)
    observed = Observed(
        tls=replace(FACTS, chain=tuple(certificate(number * 10 + each) for each in range(4))),
        capabilities=tuple(f"{number}{WIDEST * 30}{each}" for each in range(200)),
        login_capabilities=tuple(f"{number}{WIDEST * 30}{each}" for each in range(200)),
    )
    detail = f"{number}{WIDEST * 490}" if not outcome.ok else ""
    return replace(outcome, dialogue=said(octets, WIDEST), observed=observed, detail=detail)


def whole(kept: Kept) -> list[bool]:
    """For each of the failures, the oldest first, whether its dialogue is kept."""
    return [Detail.DIALOGUE not in outcome.not_kept for outcome in kept.failures]


def test_ordinary() -> None:
    """Of an ordinary server everything is kept."""
    kept = Kept()
    good = replace(success(login=True), dialogue=said(4096), observed=Observed(tls=FACTS, capabilities=("IDLE",) * 60))
    bad = replace(failure(phase=Phase.LOGIN), dialogue=said(4096))
    for _ in range(FAILURES + 5):
        kept.add(bad)
    kept.add(good)
    assert kept.failures == [bad] * FAILURES
    assert kept.last is kept.last_success is kept.last_login is good


def test_endpoint() -> None:
    """An endpoint keeps no more than its limit, and of each Outcome what it was."""
    kept = Kept()
    for _ in range(FAILURES + 3):
        kept.add(talkative(success(login=True)))
        kept.add(talkative(failure(phase=Phase.LOGIN, reason=Reason.AUTH_INVALID_CREDENTIALS)))
        assert kept.octets <= MAX_OF_ENDPOINT
    assert kept.octets > MAX_OF_ENDPOINT // 2
    assert len(kept.failures) == FAILURES
    for outcome in (*kept.failures, kept.last_success):
        assert outcome
        assert outcome.phases
        assert outcome.observed.tls
        assert replace(outcome.observed.tls, chain=()) == FACTS
        for empty, detail in (
            (outcome.observed.capabilities == outcome.observed.login_capabilities == (), Detail.CAPABILITIES),
            (outcome.observed.tls.chain == (), Detail.CERTIFICATES),
        ):
            assert empty is (detail in outcome.not_kept)


def test_failures_are_kept_longest() -> None:
    """Dialogues of successes are dropped before those of failures, old failures before new ones."""
    kept = Kept()
    for _ in range(FAILURES):
        kept.add(replace(failure(), dialogue=said(60_000)))
    assert whole(kept) == [False] * (FAILURES - 4) + [True] * 4
    kept.add(replace(success(), dialogue=said(60_000)))
    assert whole(kept) == [False] * (FAILURES - 4) + [True] * 4
    assert kept.last
    assert kept.last.not_kept == (Detail.DIALOGUE,)
    [line] = kept.last.dialogue
    assert line.speaker == ""
    assert line.text.startswith("(dialogue not kept: ")
    assert line.text.endswith(" KiB)")
    small = replace(success(login=True), dialogue=said(2000))
    kept.add(small)
    assert kept.last is kept.last_login is small


def test_login_of_long_ago() -> None:
    """A failed login that is older than the kept failures is dropped before them, and is still the last login."""
    kept = Kept()
    refused = replace(failure(phase=Phase.LOGIN, reason=Reason.AUTH_INVALID_CREDENTIALS), dialogue=said(60_000))
    kept.add(refused)
    for _ in range(FAILURES):
        kept.add(failure())
    assert kept.last_login is refused
    for _ in range(4):
        kept.add(replace(failure(), dialogue=said(60_000)))
    assert kept.last_login.not_kept == (Detail.DIALOGUE,)
    assert kept.last_login.reason is Reason.AUTH_INVALID_CREDENTIALS
    assert whole(kept) == [True] * FAILURES


@pytest.mark.parametrize(("before", "restored", "expected"), [(0, 4, 4), (0, 12, 10), (8, 4, 10), (10, 4, 10)])
def test_restore(before: int, restored: int, expected: int) -> None:
    """Failures of an earlier process come before those of this one, and take memory like any other."""
    kept = Kept()
    for number in range(before):
        kept.add(replace(failure(), started_at=100.0 + number))
    kept.restore([replace(failure(), started_at=float(number), dialogue=said(60_000)) for number in range(restored)])
    starts = [outcome.started_at for outcome in kept.failures]
    assert starts == sorted(starts)
    assert len(starts) == expected
    assert kept.octets <= MAX_OF_ENDPOINT
    assert kept.memory.used == kept.octets


def test_both_families() -> None:
    """An endpoint with a target for each address family keeps no more than another."""
    store = Store()
    both = replace(target().endpoint, ip_family=IpFamily.BOTH)
    store.configure(Target.of(both))
    for series in store:
        for _ in range(FAILURES):
            series.add(talkative(failure(series.target)))
    assert sum(series.kept.octets for series in store) <= MAX_OF_ENDPOINT


def stores(count: int) -> Store:
    """A store of so many targets."""
    store = Store()
    store.configure(target(f"e{number}") for number in range(count))
    return store


def memory_of(store: Store) -> Memory:
    """What its Outcomes take."""
    memory = store._memory
    counted = Memory()
    counted._holders = tuple(series.kept for series in store)
    for holder in counted._holders:
        for entry in holder.entries():
            counted.take(entry)
    assert memory.used == counted.used  # nothing was forgotten on the way
    return memory


@pytest.fixture
def traced() -> Iterator[None]:
    """Count what is allocated."""
    gc.collect()
    tracemalloc.start()
    yield
    tracemalloc.stop()


@pytest.mark.usefixtures("traced")
def test_all_endpoints() -> None:
    """Servers that say as much as they can take no more memory than all may, by Python's own count."""
    store = stores(160)
    empty, _ = tracemalloc.get_traced_memory()
    for _ in range(2):
        for series in store:
            series.add(talkative(success(series.target, login=True)))
            series.add(talkative(failure(series.target)))
            assert store._memory.used <= MAX_IN_ALL
    gc.collect()
    taken = tracemalloc.get_traced_memory()[0] - empty
    assert memory_of(store).used > MAX_IN_ALL // 2
    assert taken < MAX_IN_ALL * 1.25
    assert all(series.failures.total() == 2 for series in store)


def test_the_modest_keep_everything() -> None:
    """Where some servers say much, nothing is dropped at the others, failed or not."""
    store = stores(600)
    modest, loud = list(store)[:400], list(store)[400:]
    for series in modest:
        series.add(replace(success(series.target, login=True), dialogue=said(4000)))
        series.add(replace(failure(series.target), dialogue=said(4000)))
    for _ in range(3):
        for series in loud:
            series.add(talkative(failure(series.target)))
    assert memory_of(store).used <= MAX_IN_ALL
    assert any(outcome.not_kept for series in loud for outcome in series.kept_failures)
    for series in modest:
        assert not series.kept_failures[0].not_kept
        assert series.last_success
        assert not series.last_success.not_kept


def test_shared_certificates_are_counted_once() -> None:
    """The chain that a thousand endpoints present takes memory once: nothing is dropped for it."""
    store = stores(1000)
    facts = replace(FACTS, chain=tuple(map(certificate, range(4))))
    words = tuple(f"CAPABILITY-{number}" for number in range(100))
    for series in store:
        for _ in range(3):
            series.add(replace(failure(series.target), observed=Observed(tls=facts, capabilities=words)))
    assert memory_of(store).used < 1024 * 1024
    assert not any(outcome.not_kept for series in store for outcome in series.kept_failures)


def test_a_reload_gives_memory_back() -> None:
    """Targets that are no longer configured take nothing."""
    store = stores(10)
    for series in store:
        series.add(talkative(failure(series.target)))
    used = memory_of(store).used
    store.configure(series.target for series in list(store)[:5])
    assert memory_of(store).used == pytest.approx(used / 2, rel=0.01)
    store.configure([])
    assert memory_of(store).used == 0


def test_very_many_endpoints() -> None:
    """With so many endpoints that each has its least share, an ordinary Outcome is still kept whole."""
    count = 2 * MAX_IN_ALL // MIN_SHARE
    store = stores(count)
    for series in store:
        series.add(replace(success(series.target), dialogue=said(5000)))
    assert not any(series.last and series.last.not_kept for series in store)
    assert MAX_IN_ALL < store._memory.used <= count * MIN_SHARE


def test_details_are_shortened_last() -> None:
    """Where nothing else is left to drop, details are shortened, and the work for it stays bounded."""
    memory = Memory(limit=100_000)
    targets = [Series(target(f"e{number}"), kept=Kept(memory)) for number in range(20)]
    memory.divide(series.kept for series in targets)
    memory._threshold = memory._limit
    for _ in range(FAILURES):
        for series in targets:
            series.add(replace(failure(series.target), detail=f"{next(SERIAL)}{WIDEST * 500}"))
    details = [outcome.detail for series in targets for outcome in series.kept_failures]
    shortened = [detail for detail in details if detail.endswith("…")]
    assert len(shortened) > len(details) // 2
    assert {len(detail) for detail in shortened} == {MAX_OLD_DETAIL}
