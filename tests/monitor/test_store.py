"""The series of a target, and the store of all series."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

import pytest

from exporter.model.login import Denial
from exporter.model.outcome import Observed, Outcome, Phase
from exporter.model.reason import Reason
from exporter.monitor.history import HISTORY, History
from exporter.monitor.kept import FAILURES
from exporter.monitor.store import DURATION_BUCKETS, Condition, Past, Series, Store
from tests.examples import budgeted, failure, success, target


def series_of(*outcomes: object) -> Series:
    """A series with these Outcomes."""
    series = Series(target())
    for outcome in outcomes:
        series.add(outcome)  # type: ignore[arg-type]
    return series


def test_totals() -> None:
    """Successes, failures by phase and reason, and logins by result are counted."""
    refused = failure(phase=Phase.LOGIN, reason=Reason.AUTH_INVALID_CREDENTIALS)
    series = series_of(success(), success(login=True), failure(), failure(), refused)
    assert series.successes == 2
    assert series.failures == {
        (Phase.CONNECT, Reason.REFUSED): 2,
        (Phase.LOGIN, Reason.AUTH_INVALID_CREDENTIALS): 1,
    }
    assert series.logins == {True: 1, False: 1}
    assert series.version == 5


def test_login_failures_in_a_row() -> None:
    """Probes without a login change nothing; the step after it belongs to it, and a hidden folder is no failure."""
    series = series_of()
    found = []
    for outcome in (
        success(),
        failure(),
        failure(phase=Phase.LOGIN, reason=Reason.TIMEOUT),
        success(),
        failure(),
        failure(phase=Phase.LOGIN, reason=Reason.OAUTH_ENDPOINT_ERROR),
        failure(phase=Phase.FOLDERS, reason=Reason.CLOSED),
        success(login=True),
        failure(phase=Phase.LOGIN, reason=Reason.CREDENTIAL_UNAVAILABLE),
        failure(phase=Phase.FOLDERS, reason=Reason.FOLDER_HIDDEN),
    ):
        series.add(outcome)
        found.append(series.login_failures)
    assert found == [None, None, 1, 1, 1, 2, 3, 0, 1, 0]


def test_retransmits() -> None:
    """Segments that were sent again are added up; where the kernel never told them, their number is not known."""
    series = series_of()
    totals = []
    for retransmits in (None, 2, None, 3):
        series.add(success(observed=Observed(retransmits=retransmits)))
        totals.append(series.retransmits)
    assert totals == [None, 2, 2, 5]


def test_failure_after_the_login() -> None:
    """A failure after the login, such as a hidden folder, counts as a successful login."""
    series = series_of(failure(phase=Phase.FOLDERS, reason=Reason.FOLDER_HIDDEN))
    assert series.logins == {True: 1}


def test_login_without_a_secret() -> None:
    """A secret that cannot be read is a failed check of the login, but no attempt."""
    series = series_of(failure(phase=Phase.LOGIN, reason=Reason.CREDENTIAL_UNAVAILABLE))
    assert not series.logins
    assert series.last_login is series.last


def test_histogram() -> None:
    """Only successes count, each in the first bucket whose bound is not below its duration."""
    exactly = replace(success(), phases=MappingProxyType({Phase.RESOLVE: DURATION_BUCKETS[3]}))
    beyond = replace(success(), phases=MappingProxyType({Phase.RESOLVE: DURATION_BUCKETS[-1] + 1}))
    series = series_of(exactly, beyond, failure())
    assert series.buckets[3] == 1
    assert series.buckets[-1] == 1
    assert sum(series.buckets) == 2
    assert series.duration_sum == DURATION_BUCKETS[3] + DURATION_BUCKETS[-1] + 1


def test_failed_login_is_kept() -> None:
    """A failed login counts as failing until the next login, whatever the probes in between."""
    refused = failure(phase=Phase.LOGIN, reason=Reason.AUTH_INVALID_CREDENTIALS)
    series = series_of(refused, success(), success())
    assert list(series.failing) == [refused]
    down = failure()
    series.add(down)
    assert list(series.failing) == [down, refused]
    series.add(success(login=True))
    assert list(series.failing) == []


def test_same_failure() -> None:
    """A failed last probe that is also the last login is one failure."""
    refused = failure(phase=Phase.LOGIN, reason=Reason.AUTH_INVALID_CREDENTIALS)
    assert list(series_of(refused).failing) == [refused]


def test_change() -> None:
    """The first Outcome is a change, and so is each that fails in another way than the one before, or no longer."""
    reset = failure(reason=Reason.RESET)
    series = series_of()
    outcomes = [success(), success(), failure(), failure(), reset, success(), success()]
    assert [series.add(outcome) for outcome in outcomes] == [True, False, True, False, True, True, False]
    assert [Series(target()).add(outcome) for outcome in (success(), failure())] == [True, True]


def test_kept_failures() -> None:
    """A failure is still kept whole after its history entry was evicted; both are bounded."""
    old = failure(phase=Phase.TLS, reason=Reason.CERTIFICATE_EXPIRED)
    series = series_of(old, *[success()] * (HISTORY + 50))
    assert len(series.history) == HISTORY
    assert all(entry.reason is Reason.OK for entry in series.history)
    assert list(series.kept_failures) == [old]
    series = series_of(*[failure()] * (FAILURES + 5))
    assert len(series.kept_failures) == FAILURES


def test_configure() -> None:
    """A reload drops removed targets, starts changed ones from scratch, and keeps the others."""
    store = Store()
    same, changed, removed = target("same"), target("changed"), target("removed")
    store.configure([same, changed, removed])
    for each in (same, changed, removed):
        store[each.key].add(success(each))
    new = target("changed", interval=60)
    store.configure([target("same"), new, target("added")])
    assert [series.target.endpoint.name for series in store] == ["same", "changed", "added"]
    assert store[same.key].successes == 1
    assert store[new.key].successes == 0
    assert store[new.key].target == new
    assert len(store) == 3


def test_holds() -> None:
    """A target is held only exactly as it is configured."""
    store = Store()
    old, new = target(), target(interval=60)
    store.configure([old])
    store.configure([new])
    assert store.holds(new)
    assert not store.holds(old)
    store.configure([])
    assert not store.holds(new)


def test_since() -> None:
    """It is when the present condition began, whatever the reasons meanwhile, and not that of the one before."""
    series, times = series_of(), iter(range(100))

    def since(outcome: Outcome) -> float | None:
        series.add(replace(outcome, ended_at=float(next(times))))
        return series.since

    refused = failure(phase=Phase.LOGIN, reason=Reason.AUTH_INVALID_CREDENTIALS)
    assert [since(outcome) for outcome in (success(), success())] == [0, 0]
    assert [since(outcome) for outcome in (failure(), failure(reason=Reason.RESET), failure())] == [2, 2, 2]
    assert [since(outcome) for outcome in (refused, success())] == [5, 5]
    assert [since(outcome) for outcome in (success(login=True), budgeted(success(), Denial.CEILING))] == [7, 8]
    assert [since(outcome) for outcome in (budgeted(success(), Denial.CEILING), success())] == [8, 10]


def test_condition() -> None:
    """The last probe decides, then the last login and the budget."""
    assert series_of().condition is None
    assert series_of(failure()).condition is Condition.DOWN
    assert series_of(success()).condition is Condition.UP
    refused = failure(phase=Phase.LOGIN, reason=Reason.AUTH_INVALID_CREDENTIALS)
    assert series_of(refused, success()).condition is Condition.LOGIN
    assert series_of(budgeted(success(), Denial.HOLD)).condition is Condition.LOGIN


def test_lasted() -> None:
    """How long a condition has lasted goes by a clock that nobody sets: here the host's goes back an hour meanwhile."""
    series = Series(target(), iter([0.0, 10.0, 25.0, 31.0, 33.0]).__next__)
    lasted = [series.lasted]
    for outcome in (replace(failure(), ended_at=7200.0), replace(success(), ended_at=3600.0)):
        series.add(outcome)  # at 10, and at 31
        lasted.append(series.lasted)
    assert lasted == [None, 15.0, 2.0]


def test_lasted_over_a_restart() -> None:
    """A condition of an earlier process goes on."""
    series = Series(target(), iter([0.0, 10.0, 12.0]).__next__)
    series.add(replace(failure(), ended_at=101.0))
    series.restore(past(Condition.DOWN))  # since 1
    assert series.lasted == 102.0


def past(condition: Condition, *, is_recent: bool = True) -> Past:
    """What an earlier process knew."""
    history = History()
    for number in range(3):
        history.append(replace(failure(), started_at=float(number)))
    return Past(condition, 1.0, history.records(), [failure()] * 4, is_recent=is_recent)


def test_restore() -> None:
    """History and failures come before those of this process; totals, metrics and the last probe are its own."""
    series = series_of()
    before = series.version
    series.restore(past(Condition.DOWN))
    assert series.version > before  # the pages show it
    assert (len(series.history), len(series.kept_failures)) == (3, 4)
    assert (series.last, series.since, series.condition, series.failures.total()) == (None, None, None, 0)
    series.add(failure())
    assert series.since == 1.0
    assert (len(series.history), len(series.kept_failures), series.failures.total()) == (4, 5, 1)
    series.add(success())
    assert series.since == success().ended_at


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        (past(Condition.DOWN), 1.0),
        (past(Condition.UP), failure().ended_at),
        (past(Condition.DOWN, is_recent=False), failure().ended_at),
    ],
)
def test_restore_late(known: Past, expected: float) -> None:
    """After the first probes it comes to the same."""
    series = series_of(failure(), *[failure()] * 8)
    series.restore(known)
    assert series.since == expected
    assert [entry.started_at for entry in series.history][:3] == [0, 1, 2]
    assert len(series.kept_failures) == FAILURES


def test_restore_after_a_change() -> None:
    """A condition that was not the first one began here."""
    series = series_of(success(), failure())
    series.restore(past(Condition.DOWN))
    assert series.since == failure().ended_at
