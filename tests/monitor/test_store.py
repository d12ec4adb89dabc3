"""The store."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

from exporter.model.outcome import Phase
from exporter.model.reason import Reason
from exporter.monitor.history import HISTORY
from exporter.monitor.store import DURATION_BUCKETS, FAILURES, Series, Store
from tests.examples import failure, success, target


def added(*outcomes: object) -> Series:
    """A series that took in these outcomes."""
    series = Series(target())
    for outcome in outcomes:
        series.add(outcome)  # type: ignore[arg-type]
    return series


def test_totals_count_every_outcome() -> None:
    """Successes, failures by phase and reason, and logins by result."""
    refused = failure(phase=Phase.LOGIN, reason=Reason.AUTH_INVALID_CREDENTIALS)
    series = added(success(), success(login=True), failure(), failure(), refused)
    assert series.successes == 2
    assert series.failures == {
        (Phase.CONNECT, Reason.REFUSED): 2,
        (Phase.LOGIN, Reason.AUTH_INVALID_CREDENTIALS): 1,
    }
    assert series.logins == {True: 1, False: 1}
    assert series.version == 5


def test_a_login_that_failed_after_it_succeeded_is_a_successful_login() -> None:
    """A hidden folder is not a refused login."""
    series = added(failure(phase=Phase.FOLDERS, reason=Reason.FOLDER_HIDDEN))
    assert series.logins == {True: 1}


def test_an_impossible_login_is_no_attempt() -> None:
    """A secret that cannot be read is a failed login check, and not a login."""
    series = added(failure(phase=Phase.LOGIN, reason=Reason.CREDENTIAL_UNAVAILABLE))
    assert not series.logins
    assert series.last_login is series.last


def test_only_successful_probes_are_in_the_histogram() -> None:
    """Each falls into the first bucket whose bound is not below its duration."""
    exactly = replace(success(), phases=MappingProxyType({Phase.RESOLVE: DURATION_BUCKETS[3]}))
    beyond = replace(success(), phases=MappingProxyType({Phase.RESOLVE: DURATION_BUCKETS[-1] + 1}))
    series = added(exactly, beyond, failure())
    assert series.buckets[3] == 1
    assert series.buckets[-1] == 1
    assert sum(series.buckets) == 2
    assert series.duration_sum == DURATION_BUCKETS[3] + DURATION_BUCKETS[-1] + 1


def test_a_failed_login_stands_until_the_next_login() -> None:
    """Probes without login between two logins do not hide that the last one failed."""
    refused = failure(phase=Phase.LOGIN, reason=Reason.AUTH_INVALID_CREDENTIALS)
    series = added(refused, success(), success())
    assert list(series.failing) == [refused]
    down = failure()
    series.add(down)
    assert list(series.failing) == [down, refused]
    series.add(success(login=True))
    assert list(series.failing) == []


def test_the_same_failure_is_told_once() -> None:
    """The last probe that was also the last login is one failure."""
    refused = failure(phase=Phase.LOGIN, reason=Reason.AUTH_INVALID_CREDENTIALS)
    assert list(added(refused).failing) == [refused]


def test_history_is_bounded_and_keeps_failures() -> None:
    """A failure of long ago is still there in full when its entry has gone."""
    old = failure(phase=Phase.TLS, reason=Reason.CERTIFICATE_EXPIRED)
    series = added(old, *[success()] * (HISTORY + 50))
    assert len(series.history) == HISTORY
    assert all(entry.reason is Reason.OK for entry in series.history)
    assert list(series.kept_failures) == [old]
    series = added(*[failure()] * (FAILURES + 5))
    assert len(series.kept_failures) == FAILURES


def test_what_did_not_change_keeps_everything() -> None:
    """A reload drops removed targets, begins changed ones anew, and leaves the rest as it was."""
    store = Store()
    same, changed, removed = target("same"), target("changed"), target("removed")
    store.configure([same, changed, removed])
    for of in (same, changed, removed):
        store[of.key].add(success(of))
    new = target("changed", interval=60)
    store.configure([target("same"), new, target("added")])
    assert [series.target.endpoint.name for series in store] == ["same", "changed", "added"]
    assert store[same.key].successes == 1
    assert store[new.key].successes == 0
    assert store[new.key].target == new
    assert len(store) == 3


def test_only_what_is_configured_is_held() -> None:
    """Exactly as it is; tests/monitor/test_checker.py has what becomes of a probe that a reload overtook."""
    store = Store()
    old, new = target(), target(interval=60)
    store.configure([old])
    store.configure([new])
    assert store.holds(new)
    assert not store.holds(old)
    store.configure([])
    assert not store.holds(new)
