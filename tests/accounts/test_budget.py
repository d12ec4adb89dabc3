"""The login budget, on a clock that the tests move."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.accounts.budget import DAY, MAX_BACKOFF, WAIT24_INTERVAL, Budget
from exporter.accounts.ledger import Ledger
from exporter.model.login import Denial, LoginStatus
from exporter.model.outcome import Observed, Outcome, Phase, Target
from exporter.model.reason import Reason
from exporter.model.settings import MechanismChoice, Protocol, Role
from tests.examples import ACCOUNT, Clock, failure, success, target

IMAP = target("imap", account=ACCOUNT, login_interval=900)
SECRET = ("secret",)
POP3 = target("pop3", account=ACCOUNT, protocol=Protocol.POP3, login_interval=900)


@pytest.fixture
def clock() -> Clock:
    """A clock at rest."""
    return Clock()


@pytest.fixture
def budget(clock: Clock) -> Budget:
    """A budget that nobody has asked yet."""
    budget = Budget(Ledger(), clock)
    budget.configure(ACCOUNT, [IMAP.endpoint, POP3.endpoint])
    return budget


def restarted(ledger: Ledger, clock: Clock) -> Budget:
    """A budget as a new process makes it."""
    budget = Budget(ledger, clock)
    budget.configure(ACCOUNT, [IMAP.endpoint, POP3.endpoint])
    return budget


def suspended(budget: Budget, of: Target) -> bool:
    """Whether logins of this target are held back to protect the account."""
    return budget.status(of).held_by is not None


def log_in(budget: Budget, of: Target, outcome: Outcome, secret: tuple[str, ...] = SECRET) -> Denial | None:
    """Ask, and where the answer is yes, report the outcome."""
    denial = budget.ask(of, secret)
    if denial is None:
        budget.report(outcome)
    return denial


def refused(of: Target, reason: Reason) -> Outcome:
    """A login that was refused."""
    return failure(of, Phase.LOGIN, reason)


def test_one_login_per_interval(budget: Budget, clock: Clock) -> None:
    """A target logs in at once, and then not before its login_interval has passed."""
    assert log_in(budget, IMAP, success(IMAP, login=True)) is None
    clock.advance(880)
    assert log_in(budget, IMAP, success(IMAP, login=True)) is Denial.INTERVAL
    clock.advance(20)
    assert log_in(budget, IMAP, success(IMAP, login=True)) is None


def test_the_ordinary_rhythm_is_not_a_suspension(budget: Budget) -> None:
    """Waiting for the interval protects nothing in particular."""
    log_in(budget, IMAP, success(IMAP, login=True))
    assert not suspended(budget, IMAP)


def test_never_two_logins_of_an_account_at_once(budget: Budget) -> None:
    """While one endpoint logs in, the others of the account wait for their next probe."""
    assert budget.ask(IMAP, SECRET) is None
    assert budget.ask(POP3, SECRET) is Denial.BUSY
    assert budget.denial(POP3) is Denial.BUSY
    budget.report(success(IMAP, login=True))
    assert budget.ask(POP3, SECRET) is None


def test_a_cancelled_probe_gives_the_slot_back(budget: Budget) -> None:
    """A stop or a reload in the middle of a login leaves nothing taken."""
    assert budget.ask(IMAP, SECRET) is None
    budget.report(None)
    assert budget.ask(POP3, SECRET) is None


def test_a_probe_that_never_got_to_the_login_does_not_count(budget: Budget) -> None:
    """Where the connection failed, the next probe may try."""
    assert log_in(budget, IMAP, failure(IMAP, Phase.CONNECT)) is None
    assert log_in(budget, IMAP, success(IMAP, login=True)) is None


def test_a_probe_that_never_got_to_its_second_login_leaves_the_first(budget: Budget, clock: Clock) -> None:
    """The interval is counted from the login that was made."""
    log_in(budget, IMAP, success(IMAP, login=True))
    next_login_at = budget.next_login_at(IMAP)
    assert budget.ask(IMAP, SECRET, force=True) is None
    budget.report(failure(IMAP, Phase.CONNECT))
    assert budget.next_login_at(IMAP) == next_login_at


def test_a_login_that_timed_out_counts_as_one(budget: Budget) -> None:
    """The server may have counted it, so the interval holds; nothing is suspended."""
    assert log_in(budget, IMAP, refused(IMAP, Reason.TIMEOUT)) is None
    assert budget.ask(IMAP, SECRET) is Denial.INTERVAL
    assert not suspended(budget, IMAP)


def test_a_refused_credential_is_held_on_every_endpoint(budget: Budget, clock: Clock) -> None:
    """No endpoint of the account logs in again with that secret, however long it takes."""
    log_in(budget, IMAP, refused(IMAP, Reason.AUTH_INVALID_CREDENTIALS))
    clock.advance(365 * 86400)
    assert budget.ask(IMAP, SECRET) is Denial.HOLD
    assert budget.ask(POP3, SECRET) is Denial.HOLD
    assert suspended(budget, IMAP)
    assert suspended(budget, POP3)


def test_a_new_secret_ends_the_hold(budget: Budget, clock: Clock) -> None:
    """The rotated secret is tried at the next probe, whatever the interval; the old one would still be held."""
    log_in(budget, IMAP, refused(IMAP, Reason.AUTH_INVALID_CREDENTIALS))
    clock.advance(30)
    assert budget.ask(IMAP, SECRET) is Denial.HOLD
    assert log_in(budget, IMAP, success(IMAP, login=True), secret=("rotated",)) is None
    assert not suspended(budget, IMAP)


def test_a_protocol_that_is_switched_off_is_held_alone(budget: Budget) -> None:
    """POP switched off says nothing of IMAP."""
    log_in(budget, POP3, failure(POP3, Phase.FOLDERS, Reason.DISABLED_FOR_ACCOUNT))
    assert budget.ask(POP3, SECRET) is Denial.HOLD
    assert suspended(budget, POP3)
    assert not suspended(budget, IMAP)
    assert log_in(budget, IMAP, success(IMAP, login=True)) is None
    assert budget.ask(POP3, SECRET) is Denial.HOLD


def test_a_fault_of_one_server_holds_back_its_protocol_alone(budget: Budget) -> None:
    """Google's own fault on IMAP does not stop POP logins."""
    log_in(budget, IMAP, refused(IMAP, Reason.TEMPORARY_SYSTEM_ERROR))
    assert budget.ask(IMAP, SECRET) is Denial.BACKOFF
    assert log_in(budget, POP3, success(POP3, login=True)) is None


def test_backoff_doubles_the_interval_up_to_six_hours(budget: Budget, clock: Clock) -> None:
    """30 minutes, 1 hour, 2, 4, then 6 for ever, with a login_interval of 15 minutes."""
    waits = []
    for _ in range(40):
        assert log_in(budget, IMAP, refused(IMAP, Reason.TOO_MANY_CONNECTIONS)) is None
        waited = 0
        while budget.denial(IMAP):
            clock.advance(60)
            waited += 60
        waits.append(waited)
    assert waits[:5] == [1800, 3600, 7200, 14400, MAX_BACKOFF]
    assert set(waits[5:]) == {MAX_BACKOFF}


def test_a_success_ends_the_backoff(budget: Budget, clock: Clock) -> None:
    """After a good login the doubling starts from the beginning."""
    for _ in range(3):
        log_in(budget, IMAP, refused(IMAP, Reason.TOO_MANY_CONNECTIONS))
        clock.advance(MAX_BACKOFF)
    log_in(budget, IMAP, success(IMAP, login=True))
    clock.advance(900)
    log_in(budget, IMAP, refused(IMAP, Reason.TOO_MANY_CONNECTIONS))
    clock.advance(1799)
    assert budget.ask(IMAP, SECRET) is Denial.BACKOFF
    clock.advance(1)
    assert budget.ask(IMAP, SECRET) is None


def test_a_hidden_folder_after_a_good_login_ends_the_backoff(budget: Budget, clock: Clock) -> None:
    """The login itself succeeded."""
    log_in(budget, IMAP, refused(IMAP, Reason.TOO_MANY_CONNECTIONS))
    clock.advance(1800)
    log_in(budget, IMAP, failure(IMAP, Phase.FOLDERS, Reason.FOLDER_HIDDEN))
    assert not suspended(budget, IMAP)


def test_wait24_tries_hourly(budget: Budget, clock: Clock) -> None:
    """A bandwidth limit is asked about once an hour."""
    log_in(budget, IMAP, refused(IMAP, Reason.BANDWIDTH_EXCEEDED))
    clock.advance(WAIT24_INTERVAL - 1)
    assert budget.ask(IMAP, SECRET) is Denial.WAIT24
    assert suspended(budget, IMAP)
    clock.advance(1)
    assert budget.ask(IMAP, SECRET) is None


def test_a_server_that_slows_the_account_down_is_heeded(budget: Budget, clock: Clock) -> None:
    """A good login with [THROTTLED] in its answer doubles the interval."""
    throttled = replace(success(IMAP, login=True), observed=Observed(login_attempted=True, throttled=True))
    log_in(budget, IMAP, throttled)
    clock.advance(900)
    assert budget.ask(IMAP, SECRET) is Denial.BACKOFF


def test_a_day_with_a_wrong_password_is_one_login(budget: Budget, clock: Clock) -> None:
    """Five endpoints, a probe every 30 seconds: the account sees the wrong secret once."""
    targets = [target(f"e{number}", account=ACCOUNT, login_interval=900) for number in range(5)]
    attempts = 0
    for _ in range(24 * 120):
        for of in targets:
            attempts += log_in(budget, of, refused(of, Reason.AUTH_INVALID_CREDENTIALS)) is None
        clock.advance(30)
    assert attempts == 1


def test_the_state_survives_a_restart(clock: Clock, tmp_path: Path) -> None:
    """Interval, backoff, hold and the count of the day are there again."""
    path = tmp_path / "ledger.db"
    with Ledger(path) as ledger:
        budget = restarted(ledger, clock)
        log_in(budget, IMAP, success(IMAP, login=True))
        log_in(budget, POP3, failure(POP3, Phase.FOLDERS, Reason.DISABLED_FOR_ACCOUNT))
        before = budget.status(IMAP), budget.status(POP3)
    with Ledger(path) as ledger:
        budget = restarted(ledger, clock)
        assert (budget.status(IMAP), budget.status(POP3)) == before
        assert budget.ask(IMAP, SECRET) is Denial.INTERVAL
        assert budget.ask(POP3, SECRET) is Denial.HOLD
        clock.advance(900)
        log_in(budget, IMAP, refused(IMAP, Reason.TOO_MANY_CONNECTIONS))
    with Ledger(path) as ledger:
        budget = restarted(ledger, clock)
        clock.advance(1799)
        assert budget.ask(IMAP, SECRET) is Denial.BACKOFF
        clock.advance(1)
        assert budget.ask(IMAP, SECRET) is None


def test_a_hold_is_for_one_secret_over_a_restart(clock: Clock, tmp_path: Path) -> None:
    """A new secret that came while nothing ran is tried at once; the old one, come back, is another refusal."""
    path = tmp_path / "ledger.db"
    with Ledger(path) as ledger:
        log_in(restarted(ledger, clock), IMAP, refused(IMAP, Reason.AUTH_INVALID_CREDENTIALS))
    with Ledger(path) as ledger:
        budget = restarted(ledger, clock)
        assert budget.ask(IMAP, SECRET) is Denial.HOLD
        assert budget.ask(IMAP, ("rotated",)) is None


def test_a_login_that_the_process_did_not_survive_counts(clock: Clock) -> None:
    """Nobody knows how it ended: the account waits as after a refusal, on all its endpoints."""
    ledger = Ledger()
    assert restarted(ledger, clock).ask(IMAP, SECRET) is None
    budget = restarted(ledger, clock)
    assert budget.ask(IMAP, SECRET) is Denial.BACKOFF
    assert budget.ask(POP3, SECRET) is Denial.BACKOFF
    assert suspended(budget, POP3)
    assert budget.next_login_at(POP3) == clock.now + 1800
    clock.advance(1800)
    assert log_in(budget, POP3, success(POP3, login=True)) is None
    assert not suspended(budget, IMAP)
    assert log_in(budget, IMAP, success(IMAP, login=True)) is None


def test_a_process_that_dies_at_every_login_backs_off(clock: Clock) -> None:
    """A crash loop does not hammer the account."""
    ledger = Ledger()
    waits = []
    for _ in range(8):
        assert restarted(ledger, clock).ask(IMAP, SECRET) is None
        waits.append(restarted(ledger, clock).next_login_at(IMAP) - clock.now)
        clock.advance(waits[-1])
    assert waits == [1800, 3600, 7200, 14400, *[MAX_BACKOFF] * 4]


@pytest.mark.parametrize("ending", [None, failure(IMAP, Phase.CONNECT)], ids=["cancelled", "never-reached"])
def test_a_login_that_was_reported_leaves_nothing_unsettled(clock: Clock, ending: Outcome | None) -> None:
    """A clean stop, or a probe that never got there, holds up nobody after a restart."""
    ledger = Ledger()
    budget = restarted(ledger, clock)
    assert budget.ask(IMAP, SECRET) is None
    budget.report(ending)
    assert restarted(ledger, clock).ask(POP3, SECRET) is None


def test_what_an_unsettled_login_leaves_is_lifted_too(clock: Clock) -> None:
    """By a new secret, or by an operator."""
    ledger = Ledger()
    assert restarted(ledger, clock).ask(IMAP, SECRET) is None
    budget = restarted(ledger, clock)
    assert budget.ask(IMAP, SECRET) is Denial.BACKOFF
    ledger.release("ops")
    assert budget.ask(IMAP, SECRET) is None
    assert restarted(ledger, clock).ask(IMAP, ("rotated",)) is None


def test_never_more_than_the_ceiling_in_any_day(clock: Clock) -> None:
    """The day rolls: a login becomes possible when the oldest of the last 24 hours is a day old."""
    account = ACCOUNT.model_copy(update={"max_logins_per_day": 3})
    of = target("imap", account=account, login_interval=3600)
    budget = Budget(Ledger(), clock)
    budget.configure(account, [of.endpoint])
    begun = clock.now
    logins = []
    while clock.now < begun + 5 * DAY:
        if log_in(budget, of, success(of, login=True)) is None:
            logins.append(clock.now - begun)
        clock.advance(60)
    assert logins[:7] == [0, 3600, 7200, DAY, DAY + 3600, DAY + 7200, 2 * DAY]
    assert all(later - earlier >= DAY for earlier, later in zip(logins, logins[3:], strict=False))


def test_the_ceiling_is_a_suspension(clock: Clock) -> None:
    """It shows as one, for all endpoints of the account, with the time when it ends."""
    account = ACCOUNT.model_copy(update={"max_logins_per_day": 2})
    imap, pop3 = target("imap", account=account), target("pop3", account=account)
    budget = Budget(Ledger(), clock)
    budget.configure(account, [imap.endpoint, pop3.endpoint])
    log_in(budget, imap, success(imap, login=True))
    clock.advance(1000)
    log_in(budget, imap, success(imap, login=True))
    assert budget.ask(pop3, SECRET) is Denial.CEILING
    assert budget.status(pop3) == LoginStatus(Denial.CEILING, clock.now - 1000 + DAY, 2)
    assert budget.ask(pop3, ("rotated",)) is Denial.CEILING


def test_probes_without_a_login_do_not_count_for_the_ceiling(budget: Budget) -> None:
    """Where the connection fails, no login is made."""
    for _ in range(300):
        assert log_in(budget, IMAP, failure(IMAP, Phase.CONNECT)) is None


def test_a_clock_that_was_set_back_does_not_end_the_logins(budget: Budget, clock: Clock) -> None:
    """A login, or a wait, that lies in the future is one of another time."""
    clock.now = 10 * 365 * DAY
    log_in(budget, IMAP, success(IMAP, login=True))
    log_in(budget, POP3, refused(POP3, Reason.TOO_MANY_CONNECTIONS))
    clock.now = 365 * DAY
    assert budget.ask(IMAP, SECRET) is Denial.BACKOFF
    assert budget.next_login_at(IMAP) == clock.now + 1800
    clock.advance(1799)
    assert budget.ask(IMAP, SECRET) is Denial.BACKOFF
    clock.advance(1)
    assert log_in(budget, IMAP, success(IMAP, login=True)) is None
    assert log_in(budget, POP3, success(POP3, login=True)) is None


def test_a_clock_that_was_set_back_ends_no_hold(budget: Budget, clock: Clock) -> None:
    """Nor does one that was set forward; a release at a time that is yet to come is not for ever."""
    budget._ledger.release("ops")
    log_in(budget, IMAP, refused(IMAP, Reason.AUTH_INVALID_CREDENTIALS))
    for now in (10.0, 10 * 365 * DAY, 0.0):
        clock.now = now
        assert budget.ask(IMAP, SECRET) is Denial.HOLD


def test_a_release_lets_every_endpoint_log_in(budget: Budget, clock: Clock) -> None:
    """At once, whatever the interval; what is refused after it is held again."""
    log_in(budget, IMAP, refused(IMAP, Reason.AUTH_INVALID_CREDENTIALS))
    assert budget._ledger.release("ops")
    assert log_in(budget, IMAP, success(IMAP, login=True)) is None
    assert log_in(budget, POP3, refused(POP3, Reason.AUTH_INVALID_CREDENTIALS)) is None
    clock.advance(900)
    assert budget.ask(IMAP, SECRET) is Denial.HOLD


def test_when_the_next_login_is(budget: Budget, clock: Clock) -> None:
    """Now, when the interval ends, when the wait ends, or never."""
    assert budget.next_login_at(IMAP) == clock.now
    log_in(budget, IMAP, success(IMAP, login=True))
    assert budget.next_login_at(IMAP) == pytest.approx(clock.now + 900, rel=0.01)
    assert budget.next_login_at(POP3) == clock.now
    log_in(budget, POP3, refused(POP3, Reason.BANDWIDTH_EXCEEDED))
    assert budget.next_login_at(IMAP) == clock.now + WAIT24_INTERVAL
    clock.advance(WAIT24_INTERVAL)
    assert budget.next_login_at(IMAP) == clock.now
    log_in(budget, IMAP, refused(IMAP, Reason.AUTH_INVALID_CREDENTIALS))
    assert budget.status(POP3) == LoginStatus(Denial.HOLD, math.inf, 3)


def test_an_operator_insists(budget: Budget) -> None:
    """Against a hold, and not against a login that is under way; a refusal is a hold again."""
    log_in(budget, IMAP, refused(IMAP, Reason.AUTH_INVALID_CREDENTIALS))
    assert budget.ask(IMAP, SECRET, force=True) is None
    assert budget.ask(IMAP, SECRET, force=True) is Denial.BUSY
    assert budget.ask(POP3, SECRET, force=True) is Denial.BUSY
    budget.report(refused(IMAP, Reason.AUTH_INVALID_CREDENTIALS))
    assert budget.ask(IMAP, SECRET) is Denial.HOLD
    assert budget.ask(IMAP, SECRET, force=True) is None
    budget.report(success(IMAP, login=True))
    assert not suspended(budget, POP3)


def test_another_mechanism_lifts_what_was_refused(budget: Budget, clock: Clock) -> None:
    """The interval stays: nobody can log in oftener by changing the configuration to and fro."""
    log_in(budget, POP3, success(POP3, login=True))
    clock.advance(60)
    log_in(budget, IMAP, refused(IMAP, Reason.AUTH_MECHANISM))
    changed = IMAP.endpoint.model_copy(update={"mechanism": MechanismChoice.LOGIN})
    budget.configure(ACCOUNT, [changed, POP3.endpoint])
    assert not suspended(budget, IMAP)
    assert budget.ask(IMAP, SECRET) is Denial.INTERVAL
    assert budget.ask(POP3, SECRET) is Denial.INTERVAL
    clock.advance(900)
    assert budget.ask(IMAP, SECRET) is None


def test_another_mechanism_lifts_what_was_refused_before_a_restart(clock: Clock) -> None:
    """The file knows how the account was configured when it was refused."""
    ledger = Ledger()
    log_in(restarted(ledger, clock), IMAP, refused(IMAP, Reason.AUTH_MECHANISM))
    changed = IMAP.endpoint.model_copy(update={"mechanism": MechanismChoice.LOGIN})
    budget = Budget(ledger, clock)
    budget.configure(ACCOUNT, [changed, POP3.endpoint])
    assert budget.ask(IMAP, SECRET) is Denial.INTERVAL
    assert budget.ask(POP3, SECRET) is None


def test_the_same_configuration_keeps_everything(budget: Budget) -> None:
    """A reload that changes nothing of the account, or only when its endpoints are probed, lifts nothing."""
    log_in(budget, IMAP, refused(IMAP, Reason.AUTH_INVALID_CREDENTIALS))
    changed = IMAP.endpoint.model_copy(update={"interval": 60.0, "folders": (Role.INBOX,)})
    budget.configure(ACCOUNT, [POP3.endpoint, changed])
    assert budget.ask(IMAP, SECRET) is Denial.HOLD


def test_a_reload_during_a_login_keeps_the_slot(budget: Budget) -> None:
    """What comes of the login is learned even so."""
    assert budget.ask(IMAP, SECRET) is None
    budget.configure(ACCOUNT, [IMAP.endpoint, POP3.endpoint])
    assert budget.ask(POP3, SECRET) is Denial.BUSY
    budget.report(refused(IMAP, Reason.AUTH_INVALID_CREDENTIALS))
    assert budget.ask(POP3, SECRET) is Denial.HOLD


@pytest.mark.parametrize(
    ("reason", "denial", "seconds"),
    [
        (Reason.OAUTH_GRANT_REVOKED, Denial.HOLD, math.inf),
        (Reason.OAUTH_DELEGATION_MISSING, Denial.WAIT24, WAIT24_INTERVAL),
        (Reason.OAUTH_ENDPOINT_ERROR, Denial.BACKOFF, 1800),
        (Reason.CREDENTIAL_UNAVAILABLE, None, 0),
    ],
)
def test_a_refusal_of_the_token_endpoint(
    budget: Budget, clock: Clock, reason: Reason, denial: Denial | None, seconds: float
) -> None:
    """It counts for the whole account, also where the fault is Google's; no login was made."""
    assert budget.ask(IMAP, SECRET) is None
    budget.report(replace(failure(IMAP, Phase.LOGIN, reason), observed=Observed()), reason)
    assert budget.status(POP3) == LoginStatus(denial, clock.now + seconds)
    assert budget.status(IMAP) == LoginStatus(denial, clock.now + seconds)


def test_a_refusal_that_is_forgiven(budget: Budget, clock: Clock) -> None:
    """The token is replaced: no endpoint is held back, and the interval of this one holds."""
    assert budget.ask(IMAP, SECRET) is None
    budget.report(refused(IMAP, Reason.OAUTH_TOKEN_REJECTED), forgiven=True)
    assert budget.ask(IMAP, SECRET) is Denial.INTERVAL
    assert budget.ask(POP3, SECRET) is None
    budget.report(refused(POP3, Reason.OAUTH_TOKEN_REJECTED))
    clock.advance(900)
    assert budget.ask(IMAP, SECRET) is Denial.HOLD


def test_a_report_of_nothing(budget: Budget) -> None:
    """Without a slot there is nothing to learn."""
    budget.report(refused(IMAP, Reason.AUTH_INVALID_CREDENTIALS))
    assert not suspended(budget, IMAP)


def test_budgets_of_two_accounts_are_apart(clock: Clock) -> None:
    """In one ledger."""
    ledger = Ledger()
    other = ACCOUNT.model_copy(update={"name": "other"})
    of = target("imap", account=other)
    budget, others = restarted(ledger, clock), Budget(ledger, clock)
    others.configure(other, [of.endpoint])
    log_in(budget, IMAP, refused(IMAP, Reason.AUTH_INVALID_CREDENTIALS))
    assert log_in(others, of, success(of, login=True)) is None


_REFUSALS = [reason for reason in Reason if reason is not Reason.CREDENTIAL_UNAVAILABLE]


@given(
    reasons=st.lists(
        st.sampled_from(_REFUSALS),
        min_size=1,
        max_size=60,
    ),
    steps=st.lists(st.integers(0, 7200), min_size=1, max_size=20),
)
def test_whatever_the_server_says(reasons: list[Reason], steps: list[int]) -> None:
    """Two logins of a target are an interval apart, and never more than the ceiling are made in a day."""
    account = ACCOUNT.model_copy(update={"max_logins_per_day": 5})
    of = target("imap", account=account, login_interval=900)
    clock, ledger = Clock(), Ledger()
    logins: list[float] = []
    for reason, step in zip(reasons, steps * 60, strict=False):
        budget = Budget(ledger, clock)
        budget.configure(account, [of.endpoint])
        soonest = budget.next_login_at(of)
        if log_in(budget, of, success(of, login=True) if reason is Reason.OK else refused(of, reason)) is None:
            assert soonest <= clock.now
            logins.append(clock.now)
        clock.advance(step)
    assert all(later - earlier >= 0.99 * 900 for earlier, later in pairwise(logins))
    assert all(later - earlier >= DAY for earlier, later in zip(logins, logins[5:], strict=False))
