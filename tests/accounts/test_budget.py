"""The login budget, with a clock that the tests set."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise, product
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.accounts.budget import DAY, MAX_BACKOFF, WAIT24_INTERVAL, Budget
from exporter.accounts.ledger import Ledger
from exporter.model.login import Denial, LoginStatus
from exporter.model.outcome import Observed, Outcome, Phase, Target
from exporter.model.reason import Reason
from exporter.model.settings import Account, Endpoint, MechanismChoice, OAuth2, Protocol, Role, SecretRef, Security
from tests.examples import ACCOUNT, Clock, failure, success, target

IMAP = target("imap", account=ACCOUNT, login_interval=900)
SECRET = ("secret",)
POP3 = target("pop3", account=ACCOUNT, protocol=Protocol.POP3, login_interval=900)


@pytest.fixture
def clock() -> Clock:
    """A clock that stands still."""
    return Clock()


@pytest.fixture
def budget(clock: Clock) -> Budget:
    """A new budget."""
    budget = Budget(Ledger(), clock)
    budget.configure(ACCOUNT, [IMAP.endpoint, POP3.endpoint])
    return budget


def restarted(ledger: Ledger, clock: Clock) -> Budget:
    """A budget as a new process creates it."""
    budget = Budget(ledger, clock)
    budget.configure(ACCOUNT, [IMAP.endpoint, POP3.endpoint])
    return budget


def suspended(budget: Budget, of: Target) -> bool:
    """Whether logins of this target are held back to protect the account."""
    return budget.status(of).held_by is not None


def log_in(budget: Budget, of: Target, outcome: Outcome, secret: tuple[str, ...] = SECRET) -> Denial | None:
    """Ask, and if the login is granted, report the outcome."""
    denial = budget.ask(of, secret)
    if denial is None:
        budget.report(outcome)
    return denial


def refused(of: Target, reason: Reason) -> Outcome:
    """The outcome of a refused login."""
    return failure(of, Phase.LOGIN, reason)


def test_one_login_per_interval(budget: Budget, clock: Clock) -> None:
    """A target logs in at once, and then once in each login_interval."""
    assert log_in(budget, IMAP, success(IMAP, login=True)) is None
    clock.advance(880)
    assert log_in(budget, IMAP, success(IMAP, login=True)) is Denial.INTERVAL
    clock.advance(20)
    assert log_in(budget, IMAP, success(IMAP, login=True)) is None


def test_interval_is_not_a_suspension(budget: Budget) -> None:
    """To wait for the interval is not a measure to protect the account."""
    log_in(budget, IMAP, success(IMAP, login=True))
    assert not suspended(budget, IMAP)


def test_one_login_at_a_time(budget: Budget) -> None:
    """While one endpoint of the account logs in, the others may not."""
    assert budget.ask(IMAP, SECRET) is None
    assert budget.ask(POP3, SECRET) is Denial.BUSY
    assert budget.denial(POP3) is Denial.BUSY
    budget.report(success(IMAP, login=True))
    assert budget.ask(POP3, SECRET) is None


def test_cancelled_probe_ends_the_grant(budget: Budget) -> None:
    """After a probe that was cancelled during its login, another endpoint may log in."""
    assert budget.ask(IMAP, SECRET) is None
    budget.report(None)
    assert budget.ask(POP3, SECRET) is None


def test_probe_without_its_login_does_not_count(budget: Budget) -> None:
    """If the connection failed, the next probe may log in."""
    assert log_in(budget, IMAP, failure(IMAP, Phase.CONNECT)) is None
    assert log_in(budget, IMAP, success(IMAP, login=True)) is None


def test_probe_without_its_second_login(budget: Budget, clock: Clock) -> None:
    """The interval still counts from the first login, which was made."""
    log_in(budget, IMAP, success(IMAP, login=True))
    next_login_at = budget.next_login_at(IMAP)
    assert budget.ask(IMAP, SECRET, force=True) is None
    budget.report(failure(IMAP, Phase.CONNECT))
    assert budget.next_login_at(IMAP) == next_login_at


def test_login_that_timed_out_counts(budget: Budget) -> None:
    """The server may have counted it: the interval applies; nothing is suspended."""
    assert log_in(budget, IMAP, refused(IMAP, Reason.TIMEOUT)) is None
    assert budget.ask(IMAP, SECRET) is Denial.INTERVAL
    assert not suspended(budget, IMAP)


def test_refused_credential_is_held_on_all_endpoints(budget: Budget, clock: Clock) -> None:
    """No endpoint of the account ever logs in again with that secret."""
    log_in(budget, IMAP, refused(IMAP, Reason.AUTH_INVALID_CREDENTIALS))
    clock.advance(365 * 86400)
    assert budget.ask(IMAP, SECRET) is Denial.HOLD
    assert budget.ask(POP3, SECRET) is Denial.HOLD
    assert suspended(budget, IMAP)
    assert suspended(budget, POP3)


def test_new_secret_ends_the_hold(budget: Budget, clock: Clock) -> None:
    """A new secret is tried at the next probe, also before the interval ends; the old one is still held."""
    log_in(budget, IMAP, refused(IMAP, Reason.AUTH_INVALID_CREDENTIALS))
    clock.advance(30)
    assert budget.ask(IMAP, SECRET) is Denial.HOLD
    assert log_in(budget, IMAP, success(IMAP, login=True), secret=("rotated",)) is None
    assert not suspended(budget, IMAP)


def test_disabled_protocol_is_held_alone(budget: Budget) -> None:
    """If POP is switched off, IMAP may log in."""
    log_in(budget, POP3, failure(POP3, Phase.FOLDERS, Reason.DISABLED_FOR_ACCOUNT))
    assert budget.ask(POP3, SECRET) is Denial.HOLD
    assert suspended(budget, POP3)
    assert not suspended(budget, IMAP)
    assert log_in(budget, IMAP, success(IMAP, login=True)) is None
    assert budget.ask(POP3, SECRET) is Denial.HOLD


def test_server_fault_blocks_its_protocol_alone(budget: Budget) -> None:
    """A fault of the IMAP server does not stop POP logins."""
    log_in(budget, IMAP, refused(IMAP, Reason.TEMPORARY_SYSTEM_ERROR))
    assert budget.ask(IMAP, SECRET) is Denial.BACKOFF
    assert log_in(budget, POP3, success(POP3, login=True)) is None


def test_backoff_doubles_the_interval_up_to_six_hours(budget: Budget, clock: Clock) -> None:
    """30 minutes, then 1, 2, 4 and always 6 hours, with a login_interval of 15 minutes."""
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


def test_success_ends_the_backoff(budget: Budget, clock: Clock) -> None:
    """After a good login the doubling starts again."""
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


def test_hidden_folder_after_a_good_login_ends_the_backoff(budget: Budget, clock: Clock) -> None:
    """The login itself succeeded."""
    log_in(budget, IMAP, refused(IMAP, Reason.TOO_MANY_CONNECTIONS))
    clock.advance(1800)
    log_in(budget, IMAP, failure(IMAP, Phase.FOLDERS, Reason.FOLDER_HIDDEN))
    assert not suspended(budget, IMAP)


def test_wait24_tries_hourly(budget: Budget, clock: Clock) -> None:
    """After a bandwidth limit a login is tried once an hour."""
    log_in(budget, IMAP, refused(IMAP, Reason.BANDWIDTH_EXCEEDED))
    clock.advance(WAIT24_INTERVAL - 1)
    assert budget.ask(IMAP, SECRET) is Denial.WAIT24
    assert suspended(budget, IMAP)
    clock.advance(1)
    assert budget.ask(IMAP, SECRET) is None


def test_throttled_login_backs_off(budget: Budget, clock: Clock) -> None:
    """A good login with [THROTTLED] in its answer doubles the interval."""
    throttled = replace(success(IMAP, login=True), observed=Observed(login_attempted=True, throttled=True))
    log_in(budget, IMAP, throttled)
    clock.advance(900)
    assert budget.ask(IMAP, SECRET) is Denial.BACKOFF


def test_wrong_password_for_a_day(budget: Budget, clock: Clock) -> None:
    """Five endpoints, a probe every 30 seconds: one login with the wrong secret."""
    targets = [target(f"e{number}", account=ACCOUNT, login_interval=900) for number in range(5)]
    attempts = 0
    for _ in range(24 * 120):
        for of in targets:
            attempts += log_in(budget, of, refused(of, Reason.AUTH_INVALID_CREDENTIALS)) is None
        clock.advance(30)
    assert attempts == 1


def test_state_survives_a_restart(clock: Clock, tmp_path: Path) -> None:
    """Interval, backoff, hold and the logins of the day are the same after a restart."""
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


def test_hold_is_for_one_secret_after_a_restart(clock: Clock, tmp_path: Path) -> None:
    """The old secret is held; a new one is tried at once."""
    path = tmp_path / "ledger.db"
    with Ledger(path) as ledger:
        log_in(restarted(ledger, clock), IMAP, refused(IMAP, Reason.AUTH_INVALID_CREDENTIALS))
    with Ledger(path) as ledger:
        budget = restarted(ledger, clock)
        assert budget.ask(IMAP, SECRET) is Denial.HOLD
        assert budget.ask(IMAP, ("rotated",)) is None


def test_process_dies_during_a_login(clock: Clock) -> None:
    """Its result is not known: the account waits as after a refusal, on all endpoints."""
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


def test_process_dies_during_every_login(clock: Clock) -> None:
    """In a crash loop the logins back off."""
    ledger = Ledger()
    waits = []
    for _ in range(8):
        assert restarted(ledger, clock).ask(IMAP, SECRET) is None
        waits.append(restarted(ledger, clock).next_login_at(IMAP) - clock.now)
        clock.advance(waits[-1])
    assert waits == [1800, 3600, 7200, 14400, *[MAX_BACKOFF] * 4]


@pytest.mark.parametrize("ending", [None, failure(IMAP, Phase.CONNECT)], ids=["cancelled", "never-reached"])
def test_reported_login_is_settled(clock: Clock, ending: Outcome | None) -> None:
    """After a clean stop, or a probe without its login, nothing waits after a restart."""
    ledger = Ledger()
    budget = restarted(ledger, clock)
    assert budget.ask(IMAP, SECRET) is None
    budget.report(ending)
    assert restarted(ledger, clock).ask(POP3, SECRET) is None


def test_unsettled_login_is_lifted(clock: Clock) -> None:
    """A new secret or an operator's release ends this wait, too."""
    ledger = Ledger()
    assert restarted(ledger, clock).ask(IMAP, SECRET) is None
    budget = restarted(ledger, clock)
    assert budget.ask(IMAP, SECRET) is Denial.BACKOFF
    ledger.release("ops")
    assert budget.ask(IMAP, SECRET) is None
    assert restarted(ledger, clock).ask(IMAP, ("rotated",)) is None


def test_ceiling_in_any_day(clock: Clock) -> None:
    """The next login is possible when the oldest of the last 24 hours is a day old."""
    account = replace(ACCOUNT, max_logins_per_day=3)
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


def test_ceiling_is_a_suspension(clock: Clock) -> None:
    """At the ceiling all endpoints of the account are suspended, until a known time."""
    account = replace(ACCOUNT, max_logins_per_day=2)
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
    """If the connection fails, no login is made."""
    for _ in range(300):
        assert log_in(budget, IMAP, failure(IMAP, Phase.CONNECT)) is None


def test_clock_set_back(budget: Budget, clock: Clock) -> None:
    """A login in the future does not count, and a wait from the future starts again now."""
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


def test_clock_does_not_end_a_hold(budget: Budget, clock: Clock) -> None:
    """A clock that is set back or forward ends no hold, nor does a release in the future."""
    budget._ledger.release("ops")
    log_in(budget, IMAP, refused(IMAP, Reason.AUTH_INVALID_CREDENTIALS))
    for now in (10.0, 10 * 365 * DAY, 0.0):
        clock.now = now
        assert budget.ask(IMAP, SECRET) is Denial.HOLD


def test_release_applies_to_all_endpoints(budget: Budget, clock: Clock) -> None:
    """After a release all endpoints may log in at once; a later refusal is held again."""
    log_in(budget, IMAP, refused(IMAP, Reason.AUTH_INVALID_CREDENTIALS))
    assert budget._ledger.release("ops")
    assert log_in(budget, IMAP, success(IMAP, login=True)) is None
    assert log_in(budget, POP3, refused(POP3, Reason.AUTH_INVALID_CREDENTIALS)) is None
    clock.advance(900)
    assert budget.ask(IMAP, SECRET) is Denial.HOLD


def test_next_login_at(budget: Budget, clock: Clock) -> None:
    """The next login is now, at the end of the interval, at the end of the wait, or never."""
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


def test_force(budget: Budget) -> None:
    """`force` ignores a hold, but not a login under way; a refusal is a hold again."""
    log_in(budget, IMAP, refused(IMAP, Reason.AUTH_INVALID_CREDENTIALS))
    assert budget.ask(IMAP, SECRET, force=True) is None
    assert budget.ask(IMAP, SECRET, force=True) is Denial.BUSY
    assert budget.ask(POP3, SECRET, force=True) is Denial.BUSY
    budget.report(refused(IMAP, Reason.AUTH_INVALID_CREDENTIALS))
    assert budget.ask(IMAP, SECRET) is Denial.HOLD
    assert budget.ask(IMAP, SECRET, force=True) is None
    budget.report(success(IMAP, login=True))
    assert not suspended(budget, POP3)


def test_changed_mechanism_ends_the_hold(budget: Budget, clock: Clock) -> None:
    """The interval still applies: a change of the configuration does not allow more logins."""
    log_in(budget, POP3, success(POP3, login=True))
    clock.advance(60)
    log_in(budget, IMAP, refused(IMAP, Reason.AUTH_MECHANISM))
    changed = replace(IMAP.endpoint, mechanism=MechanismChoice.LOGIN)
    budget.configure(ACCOUNT, [changed, POP3.endpoint])
    assert not suspended(budget, IMAP)
    assert budget.ask(IMAP, SECRET) is Denial.INTERVAL
    assert budget.ask(POP3, SECRET) is Denial.INTERVAL
    clock.advance(900)
    assert budget.ask(IMAP, SECRET) is None


def test_changed_mechanism_ends_the_hold_after_a_restart(clock: Clock) -> None:
    """The ledger has the configuration with which the account was refused."""
    ledger = Ledger()
    log_in(restarted(ledger, clock), IMAP, refused(IMAP, Reason.AUTH_MECHANISM))
    changed = replace(IMAP.endpoint, mechanism=MechanismChoice.LOGIN)
    budget = Budget(ledger, clock)
    budget.configure(ACCOUNT, [changed, POP3.endpoint])
    assert budget.ask(IMAP, SECRET) is Denial.INTERVAL
    assert budget.ask(POP3, SECRET) is None


def test_same_configuration_keeps_the_hold(budget: Budget) -> None:
    """A reload that does not change the account, or only the interval of a probe, ends no hold."""
    log_in(budget, IMAP, refused(IMAP, Reason.AUTH_INVALID_CREDENTIALS))
    changed = replace(IMAP.endpoint, interval=60.0, folders=(Role.INBOX,))
    budget.configure(ACCOUNT, [POP3.endpoint, changed])
    assert budget.ask(IMAP, SECRET) is Denial.HOLD


def test_reload_during_a_login_keeps_the_grant(budget: Budget) -> None:
    """The result of the login is still learned."""
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
def test_refusal_of_the_token_endpoint(
    budget: Budget, clock: Clock, reason: Reason, denial: Denial | None, seconds: float
) -> None:
    """It counts for the whole account, also where it is the provider's fault; no login was made."""
    assert budget.ask(IMAP, SECRET) is None
    budget.report(replace(failure(IMAP, Phase.LOGIN, reason), observed=Observed()), reason)
    assert budget.status(POP3) == LoginStatus(denial, clock.now + seconds)
    assert budget.status(IMAP) == LoginStatus(denial, clock.now + seconds)


def test_forgiven_refusal(budget: Budget, clock: Clock) -> None:
    """The token is replaced: no endpoint is blocked, and the interval of this one applies."""
    assert budget.ask(IMAP, SECRET) is None
    budget.report(refused(IMAP, Reason.OAUTH_TOKEN_REJECTED), forgiven=True)
    assert budget.ask(IMAP, SECRET) is Denial.INTERVAL
    assert budget.ask(POP3, SECRET) is None
    budget.report(refused(POP3, Reason.OAUTH_TOKEN_REJECTED))
    clock.advance(900)
    assert budget.ask(IMAP, SECRET) is Denial.HOLD


def test_report_without_a_grant(budget: Budget) -> None:
    """Without a grant there is nothing to learn."""
    budget.report(refused(IMAP, Reason.AUTH_INVALID_CREDENTIALS))
    assert not suspended(budget, IMAP)


def test_two_accounts(clock: Clock) -> None:
    """Two accounts in one ledger have separate budgets."""
    ledger = Ledger()
    other = replace(ACCOUNT, name="other")
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
def test_any_refusals(reasons: list[Reason], steps: list[int]) -> None:
    """Two logins of a target are at least an interval apart, and a day has no more logins than the ceiling."""
    account = replace(ACCOUNT, max_logins_per_day=5)
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


ODD = "q\"'\\/ ü€😀\x7f\u2028\x01\n\t\b\f\x1f<&>"
"""What JSON and Python's repr escape, each in its own way, and what neither does."""

ACCOUNTS = {
    "file": ACCOUNT,
    "env": Account(name="gmail", username="probe@gmail.com", app_password=SecretRef(env="GMAIL_EXPORTER_APP_PASSWORD")),
    "oauth2": Account(
        name="workspace",
        username="probe@example.com",
        oauth2=OAuth2(
            client_id="1234.apps.googleusercontent.com",
            client_secret=SecretRef(file=Path("/run/secrets/client")),
            refresh_token=SecretRef(env="REFRESH"),
        ),
        max_logins_per_day=50,
    ),
    "service": Account(
        name="delegated",
        username="probe@example.org",
        service_account=SecretRef(file=Path("/run/secrets/sa.json")),
        max_logins_per_day=10000,
    ),
    "odd": Account(name=ODD, username=ODD, app_password=SecretRef(file=Path("/run/" + ODD.replace("/", "")))),
}


def logs_in(name: str, protocol: str, host: str, port: int, security: str, mechanism: str) -> Endpoint:
    return Endpoint(
        name=name,
        protocol=Protocol(protocol),
        host=host,
        port=port,
        security=Security(security),
        mechanism=MechanismChoice(mechanism),
    )


ONE = logs_in("imap", "imap", "imap.gmail.com", 993, "tls", "auto")
ENDPOINTS = {
    "none": [],
    "one": [ONE],
    "four": [
        logs_in("submission", "smtp", "smtp.gmail.com", 587, "starttls", "plain"),
        ONE,
        logs_in("pop3", "pop3", "pop.gmail.com", 995, "tls", "login"),
        logs_in("probe/login/[::1]:143", "imap", "::1", 143, "starttls", "xoauth2"),
    ],
    "every": [
        logs_in(f"{protocol}-{security}-{mechanism}", protocol, "h.example.com", 1 + index, security, mechanism)
        for index, (protocol, security, mechanism) in enumerate(product(Protocol, Security, MechanismChoice))
    ],
    "odd": [
        logs_in(ODD, "imap", ODD, 993, "tls", "auto"),
        *(logs_in(name, "imap", "imap.gmail.com", 993, "tls", "auto") for name in ("it's", '"', "it's \"")),
    ],
}


@pytest.mark.parametrize(
    ("account", "endpoints", "digest"),
    [
        ("file", "none", "87c7ccb423acfe3323daf2c98acd57c96236570bb4d5494d1c46801a71834685"),
        ("file", "one", "a1d1d54b3a5b10941bbb35405baacdaea14248e401fe55c243cb4b265d5d545e"),
        ("file", "four", "448077586ec5ce4e9923f286885fb418ae9a5c067efe06c633bb99cf5a6cd6fd"),
        ("file", "every", "4beab4245de5cc0e1baf02ecf72ec4ae65d8841ab903365a0088b26bc21cd748"),
        ("file", "odd", "df07cff5dc30cad983cf035bdd180409cccbd75d9eec68898c4c30e11faed1a2"),
        ("env", "four", "52ca7fa0ebaf6034e0ef3e8b26d521f63da492d4313246a9d4d1f116418f05c5"),
        ("oauth2", "four", "3d88c961d0d02dd76063ccc883fb239dac122cdb1dfb8bcb1853397b94bf9737"),
        ("service", "four", "88dece896f865f0012e26d5b055ebc498095adaeddbcac43e288e6f662cf120e"),
        ("odd", "none", "762cff2976ddbf59433da2265ad18894ce482f120944b6138b1622a64a55187c"),
        ("odd", "odd", "e29205405482af09e2f0b26a6238ff574cb0154eae704a2bb7c8fe42f952c395"),
    ],
)
def test_the_digest_of_a_configuration_never_changes(account: str, endpoints: str, digest: str) -> None:
    """Another digest of the same configuration would release every held account at the next upgrade."""
    budget = Budget(Ledger())
    budget.configure(ACCOUNTS[account], ENDPOINTS[endpoints])
    assert budget._configuration == digest
