"""The login budget, on a clock that the tests move."""

from __future__ import annotations

from dataclasses import replace

import pytest

from exporter.accounts.budget import MAX_BACKOFF, WAIT24_INTERVAL, Budget, Denial
from exporter.accounts.ledger import Ledger
from exporter.config import Protocol
from exporter.outcome import Observed, Outcome, Phase, Reason, Target
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


def suspended(budget: Budget, of: Target) -> bool:
    """Whether logins of this target are held back to protect the account."""
    return budget.standing(of).held_by is not None


def log_in(budget: Budget, of: Target, outcome: Outcome, secret: str = SECRET) -> Denial | None:
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


def test_a_week_with_a_wrong_password_is_one_login(budget: Budget, clock: Clock) -> None:
    """Five endpoints, a probe every 30 seconds, for a week: the account sees the wrong secret once."""
    targets = [target(f"e{number}", account=ACCOUNT, login_interval=900) for number in range(5)]
    attempts = 0
    for _ in range(7 * 24 * 120):
        for of in targets:
            attempts += log_in(budget, of, refused(of, Reason.AUTH_INVALID_CREDENTIALS)) is None
        clock.advance(30)
    assert attempts == 1
