"""The login budget, with a clock that the tests set."""

from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from exporter.accounts.budget import Budget
from exporter.accounts.ledger import Ledger
from exporter.accounts.ledger_file import Grant, LedgerFile
from exporter.accounts.ledger_schema import LedgerError
from exporter.accounts.standing import MAX_BACKOFF, WAIT24_INTERVAL
from exporter.accounts.storage import Storage
from exporter.model.login import Cause, Denial, LoginStatus
from exporter.model.outcome import Observed, Phase, Target
from exporter.model.plan import DAY
from exporter.model.reason import Reason
from exporter.model.release import Answer, Release
from exporter.model.settings import MechanismChoice
from tests.accounts.ledgers import (
    EPOCH,
    IMAP,
    POP3,
    SECRET,
    budget_in,
    granted,
    ledger_of,
    log_in,
    mailbox_of,
    refused,
)
from tests.examples import ACCOUNT, Clock, failure, success, target
from tests.waiting import PATIENCE, until


@pytest.fixture
def clock() -> Clock:
    """A clock that stands still."""
    return Clock()


@pytest.fixture
def ledger(clock: Clock) -> Iterator[Ledger]:
    """A ledger in memory."""
    with ledger_of(clock) as ledger:
        yield ledger


@pytest.fixture
def budget(ledger: Ledger) -> Budget:
    """A new budget."""
    return budget_in(ledger)


def suspended(budget: Budget, of: Target) -> bool:
    """Whether logins of this target are held back to protect the account."""
    return budget.status(of).held_by is not None


async def test_one_login_per_interval(budget: Budget, clock: Clock) -> None:
    """A target logs in at once, and then once in each login_interval."""
    assert await log_in(budget, IMAP, success(IMAP, login=True)) is None
    clock.advance(880)
    assert await log_in(budget, IMAP, success(IMAP, login=True)) is Denial.INTERVAL
    clock.advance(20)
    assert await log_in(budget, IMAP, success(IMAP, login=True)) is None


async def test_interval_is_not_a_suspension(budget: Budget) -> None:
    """To wait for the interval is not a measure to protect the account."""
    await log_in(budget, IMAP, success(IMAP, login=True))
    assert not suspended(budget, IMAP)


async def test_one_login_at_a_time(budget: Budget) -> None:
    """While one endpoint of the account logs in, the others may not."""
    grant = await granted(budget, IMAP)
    assert await budget.ask(POP3, SECRET) is Denial.BUSY
    assert budget.denial(POP3) is Denial.BUSY
    await budget.report(grant, success(IMAP, login=True))
    await granted(budget, POP3)


async def test_two_that_ask_at_the_same_time(budget: Budget) -> None:
    """One of them logs in."""
    answers = await asyncio.gather(budget.ask(IMAP, SECRET), budget.ask(POP3, SECRET))
    assert [answer for answer in answers if not isinstance(answer, Grant)] == [Denial.BUSY]


async def test_cancelled_probe_ends_the_grant(budget: Budget) -> None:
    """After a probe that was cancelled during its login, another endpoint may log in."""
    await budget.report(await granted(budget, IMAP), None)
    await until(lambda: budget.denial(POP3) is None)
    await granted(budget, POP3)
    assert budget.status(POP3).logins_of_day == 2


async def test_probe_without_its_login_does_not_count(budget: Budget) -> None:
    """If the connection failed, the next probe may log in."""
    assert await log_in(budget, IMAP, failure(IMAP, Phase.CONNECT)) is None
    assert await log_in(budget, IMAP, success(IMAP, login=True)) is None


async def test_probe_without_its_second_login(budget: Budget) -> None:
    """The interval still counts from the first login, which was made."""
    await log_in(budget, IMAP, success(IMAP, login=True))
    status = budget.status(IMAP)
    await budget.report(await granted(budget, IMAP, force=True), failure(IMAP, Phase.CONNECT))
    assert budget.status(IMAP) == status


async def test_login_that_timed_out_counts(budget: Budget) -> None:
    """The server may have counted it: the interval applies; nothing is suspended."""
    assert await log_in(budget, IMAP, refused(IMAP, Reason.TIMEOUT)) is None
    assert await budget.ask(IMAP, SECRET) is Denial.INTERVAL
    assert not suspended(budget, IMAP)


async def test_refused_credential_is_held_on_all_endpoints(budget: Budget, clock: Clock) -> None:
    """No endpoint of the account ever logs in again with that secret."""
    await log_in(budget, IMAP, refused(IMAP, Reason.AUTH_INVALID_CREDENTIALS))
    clock.advance(365 * 86400)
    assert await budget.ask(IMAP, SECRET) is Denial.HOLD
    assert await budget.ask(POP3, SECRET) is Denial.HOLD
    assert suspended(budget, IMAP)
    assert suspended(budget, POP3)


async def test_new_secret_is_tried_at_once(budget: Budget, clock: Clock) -> None:
    """At the next probe, also before the interval ends, and at each endpoint; the old one is still held."""
    await log_in(budget, POP3, success(POP3, login=True))
    await log_in(budget, IMAP, refused(IMAP, Reason.AUTH_INVALID_CREDENTIALS))
    clock.advance(30)
    assert await budget.ask(IMAP, SECRET) is Denial.HOLD
    assert await log_in(budget, IMAP, success(IMAP, login=True), ("rotated",)) is None
    assert not suspended(budget, IMAP)
    assert await log_in(budget, POP3, success(POP3, login=True), ("rotated",)) is None
    assert await budget.ask(IMAP, ("rotated",)) is Denial.INTERVAL


async def test_no_refused_secret_is_tried_again(budget: Budget, clock: Clock) -> None:
    """Whatever was tried in between, and also after another one has succeeded; not even at another endpoint."""
    secrets = [(f"wrong {number}",) for number in range(20)]
    for secret in secrets:
        assert await log_in(budget, IMAP, refused(IMAP, Reason.AUTH_INVALID_CREDENTIALS), secret) is None
    assert await log_in(budget, IMAP, success(IMAP, login=True), ("right",)) is None
    clock.advance(30 * DAY)
    for secret in secrets:
        assert await budget.ask(IMAP, secret) is Denial.HOLD
        assert await budget.ask(POP3, secret) is Denial.HOLD
        assert suspended(budget, POP3)
    await granted(budget, IMAP, ("right",))


async def test_two_accounts_of_a_mailbox(ledger: Ledger, clock: Clock) -> None:
    """They share interval, ceiling and waits; the secret of one may be held while that of the other is good."""
    other = replace(ACCOUNT, name="other", username="Pro.be+x@googlemail.com", max_logins_per_day=3)
    of = target("imap", account=other, login_interval=900)
    first = replace(IMAP, endpoint=replace(IMAP.endpoint, name="first"))
    budget = budget_in(ledger, first, of)
    await log_in(budget, first, refused(first, Reason.AUTH_INVALID_CREDENTIALS), ("of the first",))
    assert await log_in(budget, of, success(of, login=True), ("of the other",)) is None
    assert budget.status(first).held_by is Denial.HOLD
    assert budget.status(of).held_by is None
    clock.advance(900)
    for _ in range(3):
        await log_in(budget, of, success(of, login=True), ("of the other",))
        assert await budget.ask(first, ("of the first",)) is Denial.HOLD
    assert budget.status(of).logins_of_day == 3
    clock.advance(900)
    assert await budget.ask(of, ("of the other",)) is Denial.CEILING
    assert await budget.ask(first, ("a third",)) is Denial.CEILING
    assert budget.status(first).ceiling == 3


async def test_another_secret_ends_no_wait(budget: Budget, clock: Clock) -> None:
    """A server that wants fewer logins of a mailbox wants that of all its secrets."""
    await log_in(budget, IMAP, refused(IMAP, Reason.BANDWIDTH_EXCEEDED))
    assert await budget.ask(IMAP, ("rotated",)) is Denial.WAIT24
    clock.advance(WAIT24_INTERVAL)
    await log_in(budget, IMAP, refused(IMAP, Reason.TOO_MANY_CONNECTIONS), ("rotated",))
    assert await budget.ask(POP3, SECRET) is Denial.BACKOFF


async def test_disabled_protocol_is_held_alone(budget: Budget) -> None:
    """If POP is switched off, IMAP may log in."""
    await log_in(budget, POP3, failure(POP3, Phase.FOLDERS, Reason.DISABLED_FOR_ACCOUNT))
    assert await budget.ask(POP3, SECRET) is Denial.HOLD
    assert suspended(budget, POP3)
    assert not suspended(budget, IMAP)
    assert await log_in(budget, IMAP, success(IMAP, login=True)) is None
    assert await budget.ask(POP3, SECRET) is Denial.HOLD


async def test_server_fault_blocks_its_protocol_alone(budget: Budget) -> None:
    """A fault of the IMAP server does not stop POP logins."""
    await log_in(budget, IMAP, refused(IMAP, Reason.TEMPORARY_SYSTEM_ERROR))
    assert await budget.ask(IMAP, SECRET) is Denial.BACKOFF
    assert await log_in(budget, POP3, success(POP3, login=True)) is None


async def test_backoff_doubles_the_interval_up_to_six_hours(budget: Budget, clock: Clock) -> None:
    """30 minutes, then 1, 2, 4 and always 6 hours, with a login_interval of 15 minutes."""
    waits = []
    for _ in range(40):
        assert await log_in(budget, IMAP, refused(IMAP, Reason.TOO_MANY_CONNECTIONS)) is None
        waited = 0
        while budget.denial(IMAP):
            clock.advance(60)
            waited += 60
        waits.append(waited)
    assert waits[:5] == [1800, 3600, 7200, 14400, MAX_BACKOFF]
    assert set(waits[5:]) == {MAX_BACKOFF}


async def test_success_ends_the_backoff(budget: Budget, clock: Clock) -> None:
    """After a good login the doubling starts again."""
    for _ in range(3):
        await log_in(budget, IMAP, refused(IMAP, Reason.TOO_MANY_CONNECTIONS))
        clock.advance(MAX_BACKOFF)
    await log_in(budget, IMAP, success(IMAP, login=True))
    clock.advance(900)
    await log_in(budget, IMAP, refused(IMAP, Reason.TOO_MANY_CONNECTIONS))
    clock.advance(1799)
    assert await budget.ask(IMAP, SECRET) is Denial.BACKOFF
    clock.advance(1)
    await granted(budget, IMAP)


async def test_hidden_folder_after_a_good_login_ends_the_backoff(budget: Budget, clock: Clock) -> None:
    """The login itself succeeded."""
    await log_in(budget, IMAP, refused(IMAP, Reason.TOO_MANY_CONNECTIONS))
    clock.advance(1800)
    await log_in(budget, IMAP, failure(IMAP, Phase.FOLDERS, Reason.FOLDER_HIDDEN))
    assert not suspended(budget, IMAP)


async def test_wait24_tries_hourly(budget: Budget, clock: Clock) -> None:
    """After a bandwidth limit a login is tried once an hour."""
    await log_in(budget, IMAP, refused(IMAP, Reason.BANDWIDTH_EXCEEDED))
    clock.advance(WAIT24_INTERVAL - 1)
    assert await budget.ask(IMAP, SECRET) is Denial.WAIT24
    assert suspended(budget, IMAP)
    clock.advance(1)
    await granted(budget, IMAP)


async def test_throttled_login_backs_off(budget: Budget, clock: Clock) -> None:
    """A good login with [THROTTLED] in its answer doubles the interval."""
    throttled = replace(success(IMAP, login=True), observed=Observed(login_attempted=True, throttled=True))
    await log_in(budget, IMAP, throttled)
    clock.advance(900)
    assert await budget.ask(IMAP, SECRET) is Denial.BACKOFF


async def test_wrong_password_for_a_day(budget: Budget, clock: Clock) -> None:
    """Five endpoints, a probe every 30 seconds: one login with the wrong secret."""
    targets = [target(f"e{number}", account=ACCOUNT, port=1 + number, login_interval=900) for number in range(5)]
    attempts = 0
    for _ in range(24 * 120):
        for of in targets:
            attempts += await log_in(budget, of, refused(of, Reason.AUTH_INVALID_CREDENTIALS)) is None
        clock.advance(30)
    assert attempts == 1


async def test_state_survives_a_restart(clock: Clock, tmp_path: Path) -> None:
    """Interval, backoff, hold and the logins of the day are the same after a restart."""
    store = Storage(tmp_path / "ledger.db")
    with ledger_of(clock, store) as ledger:
        budget = budget_in(ledger)
        await log_in(budget, IMAP, success(IMAP, login=True))
        await log_in(budget, POP3, failure(POP3, Phase.FOLDERS, Reason.DISABLED_FOR_ACCOUNT))
        before = budget.status(IMAP), budget.status(POP3)
    with ledger_of(clock, store) as ledger:
        budget = budget_in(ledger)
        assert await budget.ask(IMAP, SECRET) is Denial.INTERVAL
        assert await budget.ask(POP3, SECRET) is Denial.HOLD
        assert (budget.status(IMAP), budget.status(POP3)) == before
        clock.advance(900)
        await log_in(budget, IMAP, refused(IMAP, Reason.TOO_MANY_CONNECTIONS))
    with ledger_of(clock, store) as ledger:
        budget = budget_in(ledger)
        clock.advance(1799)
        assert await budget.ask(IMAP, SECRET) is Denial.BACKOFF
        clock.advance(1)
        await granted(budget, IMAP)


async def test_hold_is_for_one_secret_after_a_restart(clock: Clock, tmp_path: Path) -> None:
    """The old secret is held; a new one is tried at once."""
    store = Storage(tmp_path / "ledger.db")
    with ledger_of(clock, store) as ledger:
        await log_in(budget_in(ledger), IMAP, refused(IMAP, Reason.AUTH_INVALID_CREDENTIALS))
    with ledger_of(clock, store) as ledger:
        budget = budget_in(ledger)
        await until(lambda: budget.entry.standing)
        assert suspended(budget, IMAP)  # until it is known which secret there is now
        assert await budget.ask(IMAP, SECRET) is Denial.HOLD
        await granted(budget, IMAP, ("rotated",))


async def test_ceiling_in_any_day(ledger: Ledger, clock: Clock) -> None:
    """The next login is possible when the oldest of the last 24 hours is a day old."""
    account = replace(ACCOUNT, max_logins_per_day=3)
    of = target("imap", account=account, login_interval=3600)
    budget = budget_in(ledger, of)
    begun = clock.now
    logins = []
    while clock.now < begun + 5 * DAY:
        if await log_in(budget, of, success(of, login=True)) is None:
            logins.append(clock.now - begun)
        clock.advance(60)
    assert logins[:7] == [0, 3600, 7200, DAY, DAY + 3600, DAY + 7200, 2 * DAY]
    assert all(later - earlier >= DAY for earlier, later in zip(logins, logins[3:], strict=False))
    assert all(later - earlier >= 0.99 * 3600 for earlier, later in pairwise(logins))


async def test_ceiling_is_a_suspension(ledger: Ledger, clock: Clock) -> None:
    """At the ceiling all endpoints of the account are suspended, until a known time."""
    account = replace(ACCOUNT, max_logins_per_day=2)
    imap, pop3 = target("imap", account=account), target("pop3", account=account, port=995)
    budget = budget_in(ledger, imap, pop3)
    await log_in(budget, imap, success(imap, login=True))
    clock.advance(1000)
    await log_in(budget, imap, success(imap, login=True))
    assert await budget.ask(pop3, SECRET) is Denial.CEILING
    assert budget.status(pop3) == LoginStatus(Denial.CEILING, EPOCH + clock.now - 1000 + DAY, 2, None, 2, None, 900.0)
    assert await budget.ask(pop3, ("rotated",)) is Denial.CEILING


async def test_probes_without_a_login_do_not_count_for_the_ceiling(budget: Budget) -> None:
    """If the connection fails, no login is made."""
    for _ in range(300):
        assert await log_in(budget, IMAP, failure(IMAP, Phase.CONNECT)) is None


async def test_release_applies_to_all_endpoints(budget: Budget, clock: Clock) -> None:
    """One of them makes the login that it permits; after that succeeded, all log in."""
    await log_in(budget, IMAP, refused(IMAP, Reason.AUTH_INVALID_CREDENTIALS))
    assert not budget.status(POP3).has_trial
    assert await budget.release() == Release(Answer.RELEASED)
    status = budget.status(IMAP)
    assert (status.held_by, status.has_trial) == (Denial.HOLD, True), "its interval is not over"
    assert status.next_login_at == pytest.approx(EPOCH + clock.now + 900, abs=10)
    assert (budget.status(POP3).held_by, budget.status(POP3).next_release_at) == (None, EPOCH + clock.now + 900)
    assert await log_in(budget, POP3, success(POP3, login=True)) is None
    clock.advance(900)
    assert budget.status(IMAP) == LoginStatus(None, EPOCH + clock.now, 2, None, 200, None, 900)
    assert await log_in(budget, IMAP, success(IMAP, login=True)) is None


async def test_another_secret_does_not_wait_for_the_trial_login(budget: Budget) -> None:
    """It is tried at once, and that is not the login that the release permits."""
    await log_in(budget, IMAP, refused(IMAP, Reason.AUTH_INVALID_CREDENTIALS))
    await budget.release()
    assert await log_in(budget, IMAP, failure(IMAP, Phase.CONNECT), ("another",)) is None
    assert budget.status(IMAP).has_trial
    assert await log_in(budget, IMAP, success(IMAP, login=True), ("another",)) is None
    assert await budget.release() == Release(Answer.NOT_HELD)


async def test_release_after_a_restart(ledger: Ledger, budget: Budget, clock: Clock) -> None:
    """Where the secret is not known yet, it is read, and the ledger decides."""
    await log_in(budget, IMAP, refused(IMAP, Reason.AUTH_INVALID_CREDENTIALS))
    restarted = budget_in(ledger)
    assert (await restarted.release()).answer is Answer.RELEASED
    assert restarted.denial(IMAP) is None
    assert await restarted.ask(IMAP, SECRET) is Denial.HOLD
    clock.advance(900)
    assert isinstance(await restarted.ask(IMAP, SECRET), Grant)


async def test_release_of_a_mailbox_that_is_not_known(budget: Budget) -> None:
    """There is nothing to release."""
    assert await budget.release() == Release(Answer.NOT_HELD)


async def test_status(budget: Budget, clock: Clock) -> None:
    """The next login is now, at the end of the interval, at the end of the wait, or never."""
    now = EPOCH + clock.now
    assert budget.status(IMAP) == LoginStatus(None, now, 0, None, 200, None, 900.0)
    await log_in(budget, IMAP, success(IMAP, login=True))
    assert budget.status(IMAP).next_login_at == pytest.approx(now + 900, abs=10)
    assert budget.status(POP3).next_login_at == now
    await log_in(budget, POP3, refused(POP3, Reason.BANDWIDTH_EXCEEDED))
    assert budget.status(IMAP).next_login_at == now + WAIT24_INTERVAL
    clock.advance(WAIT24_INTERVAL)
    assert budget.status(IMAP).next_login_at == EPOCH + clock.now
    await log_in(budget, IMAP, refused(IMAP, Reason.AUTH_INVALID_CREDENTIALS))
    cause = Cause("imap", Reason.AUTH_INVALID_CREDENTIALS)
    assert budget.status(POP3, Denial.HOLD) == LoginStatus(Denial.HOLD, math.inf, 3, Denial.HOLD, 200, cause, 900.0)


async def test_status_names_the_refusal(budget: Budget, ledger: Ledger, clock: Clock) -> None:
    """At each endpoint that is held back, also in a process that has made no login: where, and why."""
    await log_in(budget, IMAP, refused(IMAP, Reason.TOO_MANY_CONNECTIONS))
    others = budget_in(ledger)
    assert await others.ask(POP3, SECRET) is Denial.BACKOFF
    assert others.status(POP3).cause == Cause("imap", Reason.TOO_MANY_CONNECTIONS)
    clock.advance(2 * 900)
    assert others.status(POP3).cause is None
    await log_in(budget, POP3, refused(POP3, Reason.AUTH_WEB_LOGIN_REQUIRED))
    restarted = budget_in(ledger)
    assert await restarted.ask(IMAP, SECRET) is Denial.HOLD
    assert restarted.status(IMAP).cause == Cause("pop3", Reason.AUTH_WEB_LOGIN_REQUIRED)
    assert restarted.status(IMAP).why == f"{Denial.HOLD.meaning}: auth_web_login_required at pop3"


async def test_force(budget: Budget) -> None:
    """`force` ignores a hold, but not a login under way; a refusal is a hold again."""
    await log_in(budget, IMAP, refused(IMAP, Reason.AUTH_INVALID_CREDENTIALS))
    grant = await granted(budget, IMAP, force=True)
    assert await budget.ask(IMAP, SECRET, force=True) is Denial.BUSY
    assert await budget.ask(POP3, SECRET, force=True) is Denial.BUSY
    await budget.report(grant, refused(IMAP, Reason.AUTH_INVALID_CREDENTIALS))
    assert await budget.ask(IMAP, SECRET) is Denial.HOLD
    await budget.report(await granted(budget, IMAP, force=True), success(IMAP, login=True))
    assert not suspended(budget, POP3)


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "renamed"},
        {"labels": {"tenant": "a"}},
        {"mechanism": MechanismChoice.LOGIN},
        {"port": 143},
        {"host": "imap.googlemail.com"},
        {"account": replace(ACCOUNT, name="renamed")},
        {"account": replace(ACCOUNT, username="Pro.be+tag@googlemail.com")},
        {"account": replace(ACCOUNT, max_logins_per_day=500)},
    ],
    ids=",".join,
)
async def test_another_name_lifts_nothing(budget: Budget, ledger: Ledger, changes: dict[str, object]) -> None:
    """A refused secret stays refused, whatever the endpoint and the account are called, and at any host of Google."""
    await log_in(budget, IMAP, refused(IMAP, Reason.AUTH_INVALID_CREDENTIALS))
    changed = replace(IMAP, endpoint=replace(IMAP.endpoint, **changes))  # type: ignore[arg-type]
    for other in (budget, budget_in(ledger, changed)):
        other.configure(mailbox_of(changed))
        assert await other.ask(changed, SECRET) is Denial.HOLD


async def test_another_name_of_an_endpoint_keeps_its_interval(budget: Budget, ledger: Ledger) -> None:
    """It goes by the server."""
    await log_in(budget, IMAP, success(IMAP, login=True))
    renamed = replace(IMAP, endpoint=replace(IMAP.endpoint, name="renamed", labels={"tenant": "a"}))
    budget.configure(mailbox_of(renamed))
    assert await budget.ask(renamed, SECRET) is Denial.INTERVAL
    assert await budget_in(ledger, renamed).ask(renamed, SECRET) is Denial.INTERVAL


async def test_changed_interval_is_in_force_at_once(budget: Budget, clock: Clock) -> None:
    """The login of before still counts."""
    await log_in(budget, IMAP, success(IMAP, login=True))
    assert budget.denial(IMAP) is Denial.INTERVAL
    shorter = replace(IMAP, endpoint=replace(IMAP.endpoint, login_interval=60.0))
    budget.configure(mailbox_of(shorter, POP3))
    clock.advance(60)
    assert budget.denial(shorter) is None


async def test_reload_during_a_login_keeps_the_grant(budget: Budget) -> None:
    """The result of the login is still learned."""
    grant = await granted(budget, IMAP)
    budget.configure(mailbox_of(IMAP, POP3))
    assert await budget.ask(POP3, SECRET) is Denial.BUSY
    await budget.report(grant, refused(IMAP, Reason.AUTH_INVALID_CREDENTIALS))
    assert await budget.ask(POP3, SECRET) is Denial.HOLD


@pytest.mark.parametrize(
    ("reason", "denial", "seconds"),
    [
        (Reason.OAUTH_GRANT_REVOKED, Denial.HOLD, math.inf),
        (Reason.OAUTH_DELEGATION_MISSING, Denial.WAIT24, WAIT24_INTERVAL),
        (Reason.OAUTH_ENDPOINT_ERROR, Denial.BACKOFF, 1800),
        (Reason.CREDENTIAL_UNAVAILABLE, None, 0),
    ],
)
async def test_refusal_of_the_token_endpoint(
    budget: Budget, clock: Clock, reason: Reason, denial: Denial | None, seconds: float
) -> None:
    """It counts for the whole account, also where it is the provider's fault; no login was made."""
    unsent = replace(failure(IMAP, Phase.LOGIN, reason), observed=Observed())
    await budget.report(await granted(budget, IMAP), unsent, reason)
    cause = Cause("imap", reason) if denial else None
    status = LoginStatus(denial, EPOCH + clock.now + seconds, 0, None, 200, cause, 900.0)
    assert (budget.status(POP3), budget.status(IMAP)) == (status, status)


async def test_forgiven_refusal(budget: Budget, clock: Clock) -> None:
    """The token is replaced: no endpoint is blocked, and the interval of this one applies."""
    await budget.report(await granted(budget, IMAP), refused(IMAP, Reason.OAUTH_TOKEN_REJECTED), forgiven=True)
    assert await budget.ask(IMAP, SECRET) is Denial.INTERVAL
    await budget.report(await granted(budget, POP3), refused(POP3, Reason.OAUTH_TOKEN_REJECTED))
    clock.advance(900)
    assert await budget.ask(IMAP, SECRET) is Denial.HOLD


async def test_two_mailboxes(ledger: Ledger) -> None:
    """Two mailboxes in one ledger have separate budgets."""
    of = target("imap", account=replace(ACCOUNT, name="other", username="other@gmail.com"))
    budget, others = budget_in(ledger), budget_in(ledger, of)
    await log_in(budget, IMAP, refused(IMAP, Reason.AUTH_INVALID_CREDENTIALS))
    assert await log_in(others, of, success(of, login=True)) is None


class Stuck:
    """Keeps the ledger's thread busy until it is let go, as a file system that hangs does."""

    def __init__(self, ledger: Ledger) -> None:
        self.go = threading.Event()
        ledger._submit(lambda: self.go.wait(PATIENCE))


async def test_ledger_that_does_not_answer(ledger: Ledger, budget: Budget) -> None:
    """The login is denied after a bounded wait, and is not made later either."""
    stuck = Stuck(ledger)
    assert await budget.ask(IMAP, SECRET, patience=0.05) is Denial.STORAGE
    assert budget.status(IMAP, Denial.STORAGE) == LoginStatus(
        Denial.STORAGE, math.inf, 0, Denial.STORAGE, 200, None, 900.0
    )
    stuck.go.set()
    await granted(budget, POP3)
    assert budget.status(IMAP).logins_of_day == 1


@pytest.mark.parametrize("ended", ["late", "cancelled"])
async def test_login_that_is_granted_when_nobody_waits_any_more(
    ledger: Ledger, budget: Budget, ended: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is taken back: it does not count, and no login is under way."""
    granting, go, settled = threading.Event(), threading.Event(), threading.Event()
    grant, settle = LedgerFile.grant, LedgerFile.settle

    def slow(*arguments: object, **named: object) -> object:
        granting.set()
        go.wait(PATIENCE)
        return grant(*arguments, **named)  # type: ignore[arg-type]

    def then_settle(*arguments: object) -> None:
        settle(*arguments)  # type: ignore[arg-type]
        settled.set()

    monkeypatch.setattr(LedgerFile, "grant", slow)
    monkeypatch.setattr(LedgerFile, "settle", then_settle)
    asking = asyncio.create_task(budget.ask(IMAP, SECRET, patience=0.05 if ended == "late" else 30))
    await until(granting.is_set)
    if ended == "cancelled":
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
    else:
        assert await asking is Denial.STORAGE
    go.set()
    await until(settled.is_set)
    monkeypatch.setattr(LedgerFile, "grant", grant)
    await granted(budget, IMAP)


async def test_file_that_cannot_be_used(budget: Budget, monkeypatch: pytest.MonkeyPatch) -> None:
    """No login, also with `force`; the next answers do not wait for it."""

    def broken(*_: object, **__: object) -> None:
        raise LedgerError("disk I/O error")

    monkeypatch.setattr(LedgerFile, "grant", broken)
    assert await budget.ask(IMAP, SECRET) is Denial.STORAGE
    assert budget.denial(POP3) is Denial.STORAGE
    assert await budget.ask(POP3, SECRET, force=True, patience=0) is Denial.STORAGE
    assert budget.status(POP3).held_by is Denial.STORAGE
