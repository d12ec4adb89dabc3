"""What the ledger has of each mailbox: names, joins, and the logins of processes that are dead."""

from __future__ import annotations

from dataclasses import replace

import pytest

from exporter.accounts.ledger_file import Grant, LedgerFile
from exporter.accounts.ledger_schema import LedgerError
from exporter.accounts.ledger_tables import SILENCE
from exporter.accounts.standing import Verdict, Wait
from exporter.accounts.storage import Storage
from exporter.model.login import Cause, Denial
from exporter.model.mailbox import Mailbox
from exporter.model.plan import DAY
from exporter.model.reason import Reason, Retry
from exporter.model.release import Answer, Release
from tests.accounts.ledgers import EPOCH, steady
from tests.accounts.test_standing import IMAP_REQUEST, POP3_REQUEST
from tests.examples import ACCOUNT, Clock

A = Mailbox("probe@example.com", frozenset({"a.example"}), (ACCOUNT,))
B = Mailbox("probe@example.com", frozenset({"b.example"}), (ACCOUNT,))
BOTH = Mailbox("probe@example.com", frozenset({"a.example", "b.example"}), (ACCOUNT,))
OTHER = Mailbox("other@example.com", frozenset({"a.example"}), (ACCOUNT,))
REQUEST = replace(IMAP_REQUEST, most=200, endpoint="imap")


@pytest.fixture
def clock() -> Clock:
    """A clock that stands still."""
    return Clock()


@pytest.fixture
def file(clock: Clock) -> LedgerFile:
    """A ledger in memory."""
    return LedgerFile(Storage(), steady(clock))


def log_in(file: LedgerFile, of: Mailbox, secret: str, retry: Retry = Retry.SAFE, scope: str = "") -> Denial | None:
    """Ask, and if the login is granted, store what it has shown."""
    granted, _ = file.grant(of, REQUEST, (secret,), force=True)
    if isinstance(granted, Denial):
        return granted
    file.settle(granted, Verdict(retry=retry, scope=scope, is_good=retry is Retry.SAFE))
    return None


def log_in_as_asked(file: LedgerFile, secret: str, retry: Retry) -> Denial | None:
    """As a probe does, without `force`."""
    granted, _ = file.grant(A, REQUEST, (secret,))
    if isinstance(granted, Denial):
        return granted
    file.settle(granted, Verdict(retry=retry, is_good=retry is Retry.SAFE))
    return None


def asked(file: LedgerFile, of: Mailbox, secret: str) -> Denial | None:
    """Why the mailbox may not log in with that secret; nothing is changed."""
    granted, _ = file.grant(of, REQUEST, (secret,))
    if isinstance(granted, Denial):
        return granted
    file.settle(granted, Verdict(is_made=False))
    return None


def test_mailboxes_are_apart(file: LedgerFile) -> None:
    """By user name, and by provider."""
    log_in(file, A, "secret", Retry.HOLD)
    assert asked(file, A, "secret") is Denial.HOLD
    assert asked(file, B, "secret") is None
    assert asked(file, OTHER, "secret") is None


@pytest.mark.parametrize("by", ["configure", "grant"])
def test_mailboxes_that_turn_out_to_be_one(file: LedgerFile, clock: Clock, by: str) -> None:
    """All logins count, both refused secrets are held, and the longer wait holds; also for those who know one name."""
    log_in(file, A, "of a", Retry.HOLD)
    log_in(file, A, "x", Retry.BACKOFF)
    clock.advance(600)
    log_in(file, B, "of b", Retry.HOLD, "imap")
    log_in(file, B, "x", Retry.WAIT24)
    if by == "configure":
        file.configure([BOTH])
    else:
        assert asked(file, BOTH, "new") is Denial.WAIT24
    for of in (A, B, BOTH):
        assert asked(file, of, "of a") is asked(file, of, "of b") is Denial.HOLD
        assert asked(file, of, "new") is Denial.WAIT24
        (standing,) = file.standings([of], ())
        assert (len(standing.recent), standing.waits[""].until) == (4, clock.now + 3600)


def test_a_chain_over_time(file: LedgerFile) -> None:
    """An account that moves from host to host, both of them for a while, stays the same mailbox."""
    log_in(file, A, "secret", Retry.HOLD)
    file.configure([BOTH])
    assert asked(file, B, "secret") is Denial.HOLD


def test_a_login_under_way_while_mailboxes_are_joined(file: LedgerFile) -> None:
    """It is still under way, and its result is stored."""
    granted, _ = file.grant(B, REQUEST, ("secret",))
    assert isinstance(granted, Grant)
    log_in(file, A, "x")
    file.configure([BOTH])
    assert file.grant(A, POP3_REQUEST, ("new",))[0] is Denial.BUSY
    file.settle(granted, Verdict(retry=Retry.HOLD))
    assert asked(file, A, "secret") is Denial.HOLD


def test_one_that_is_refused_and_then_succeeds(file: LedgerFile, clock: Clock) -> None:
    """With `force`, for example: it is not held any more, but the others are."""
    for secret, retry in (("one", Retry.HOLD), ("other", Retry.HOLD), ("one", Retry.SAFE)):
        log_in(file, A, secret, retry)
        clock.advance(1)
    assert asked(file, A, "one") is Denial.INTERVAL
    assert asked(file, A, "other") is Denial.HOLD


def test_refusals_have_their_cause(file: LedgerFile) -> None:
    """The last one of a secret; mailboxes that turn out to be one keep it; a reason of a later version is unknown."""
    for endpoint, reason in (("imap", Reason.AUTH_INVALID_CREDENTIALS), ("pop3", Reason.ACCOUNT_DISABLED)):
        granted, _ = file.grant(B, replace(REQUEST, endpoint=endpoint), ("one",), force=True)
        assert isinstance(granted, Grant)
        file.settle(granted, Verdict(retry=Retry.HOLD, reason=reason))
    log_in(file, A, "x", Retry.BACKOFF)
    file.configure([BOTH])
    (standing,) = file.standings([BOTH], ())
    assert list(standing.refused[""].values()) == [Cause("pop3", Reason.ACCOUNT_DISABLED)]
    file._database.execute("UPDATE refusal SET reason = 'of_2030'")
    (standing,) = file.standings([BOTH], ())
    assert list(standing.refused[""].values()) == [Cause("pop3")]


def test_a_shorter_wait_does_not_end_a_longer_one(file: LedgerFile, clock: Clock) -> None:
    """A forced login may be refused for another reason."""
    for _ in range(5):
        log_in(file, A, "x", Retry.BACKOFF)
    log_in(file, A, "x", Retry.WAIT24)
    (standing,) = file.standings([A], ())
    assert (standing.waits[""].denial, standing.waits[""].until) == (Denial.BACKOFF, clock.now + 6 * 3600)


def held(file: LedgerFile, clock: Clock) -> None:
    """A mailbox whose secret was refused; its interval is over."""
    log_in(file, A, "one", Retry.HOLD)
    clock.advance(REQUEST.interval)


def test_release(file: LedgerFile, clock: Clock) -> None:
    """It permits one login with the refused secret, and no other one while that is under way or after it."""
    held(file, clock)
    assert file.release(A) == Release(Answer.RELEASED)
    trial, _ = file.grant(A, REQUEST, ("one",))
    assert isinstance(trial, Grant)
    assert file.grant(A, POP3_REQUEST, ("one",))[0] is Denial.HOLD
    file.settle(trial, Verdict(retry=Retry.HOLD))
    assert asked(file, A, "one") is Denial.HOLD
    assert asked(file, A, "another") is None


def test_release_that_helps(file: LedgerFile, clock: Clock) -> None:
    """After the trial login has succeeded, nothing is held; the next release is possible when it would have been."""
    held(file, clock)
    file.release(A)
    log_in_as_asked(file, "one", Retry.SAFE)
    assert file.release(A) == Release(Answer.NOT_HELD)
    clock.advance(REQUEST.interval - 1)
    log_in(file, A, "one", Retry.HOLD)
    assert file.release(A) == Release(Answer.TOO_EARLY, EPOCH + clock.now + 1)
    clock.advance(1)
    assert file.release(A).answer is Answer.RELEASED


def test_release_leaves_ceiling_and_interval_as_they_are(file: LedgerFile, clock: Clock) -> None:
    """The trial login is made when the interval of its place is over, and the day has one left."""
    log_in(file, A, "one", Retry.HOLD)
    file.release(A)
    assert asked(file, A, "one") is Denial.HOLD, "its interval is not over"
    clock.advance(REQUEST.interval)
    assert file.grant(A, replace(REQUEST, most=1), ("one",))[0] is Denial.CEILING
    assert asked(file, A, "one") is None
    (standing,) = file.standings([A], ())
    assert len(standing.recent) == 1
    assert standing.next_login_at(REQUEST, file.digest(("one",)), clock.now) == clock.now


def test_release_does_not_end_a_limit_of_the_server(file: LedgerFile, clock: Clock) -> None:
    """It is possible while one goes on for a secret that is held, and the trial login is made after it."""
    log_in(file, A, "x", Retry.WAIT24)
    limit = EPOCH + clock.now + 3600
    assert file.release(A) == Release(Answer.ENDS_BY_ITSELF, limit)
    log_in(file, A, "one", Retry.HOLD)
    assert file.release(A) == Release(Answer.RELEASED, limit)
    clock.advance(REQUEST.interval)
    assert asked(file, A, "one") is Denial.WAIT24
    clock.advance(3600)
    assert asked(file, A, "one") is None


def test_release_permits_a_login_in_spite_of_a_backoff(file: LedgerFile, clock: Clock) -> None:
    """One, and the next refusal waits longer, as it would have without a release."""
    log_in(file, A, "x", Retry.BACKOFF)
    clock.advance(REQUEST.interval)
    assert asked(file, A, "x") is Denial.BACKOFF
    assert file.release(A).answer is Answer.RELEASED
    log_in_as_asked(file, "x", Retry.BACKOFF)
    (standing,) = file.standings([A], ())
    assert (standing.waits[""].refusals, standing.waits[""].until) == (2, clock.now + 3600)
    clock.advance(REQUEST.interval)
    assert asked(file, A, "x") is Denial.BACKOFF


def test_releases_follow_each_other_in_twice_the_time(file: LedgerFile, clock: Clock) -> None:
    """After each trial login that is refused, up to a day; in any time there are few."""
    held(file, clock)
    waits: list[float] = []
    for _ in range(9):
        began = clock.now
        assert file.release(A).answer is Answer.RELEASED
        assert file.release(A) == Release(Answer.ALREADY, EPOCH + began + (waits[-1] if waits else 900))
        clock.advance(1)
        log_in_as_asked(file, "one", Retry.HOLD)
        early = file.release(A)
        assert early.answer is Answer.TOO_EARLY
        assert early.at is not None
        waits.append(early.at - EPOCH - began)
        clock.now = early.at - EPOCH
    assert waits == [1800, 3600, 7200, 14400, 28800, 57600, 86400, 86400, 86400]


def test_release_is_of_what_was_refused_before_it(file: LedgerFile, clock: Clock) -> None:
    """A secret that is refused after it is not tried again."""
    held(file, clock)
    file.release(A)
    assert log_in_as_asked(file, "another", Retry.HOLD) is None
    clock.advance(REQUEST.interval)
    assert asked(file, A, "another") is asked(file, A, "one") is Denial.HOLD


@pytest.mark.parametrize(
    ("verdict", "denial"),
    [
        (Verdict(is_made=False), None),
        (Verdict(is_forgiven=True), None),
        (Verdict(), Denial.HOLD),
        (Verdict(is_made=False, retry=Retry.HOLD), Denial.HOLD),
    ],
)
def test_trial_login_that_shows_nothing(
    file: LedgerFile, clock: Clock, verdict: Verdict, denial: Denial | None
) -> None:
    """One that was not made is made later, and so is one with a token that is replaced; any other was the one."""
    held(file, clock)
    file.release(A)
    granted, _ = file.grant(A, REQUEST, ("one",))
    assert isinstance(granted, Grant)
    file.settle(granted, verdict)
    clock.advance(REQUEST.interval)
    assert asked(file, A, "one") is denial


def test_login_at_another_endpoint_is_no_trial(file: LedgerFile, clock: Clock) -> None:
    """Where POP3 alone is refused, logins by IMAP go on, and use no release up."""
    log_in(file, A, "one", Retry.HOLD, "pop3")
    clock.advance(REQUEST.interval)
    file.release(A)
    log_in_as_asked(file, "one", Retry.SAFE)
    assert isinstance(file.grant(A, POP3_REQUEST, ("one",))[0], Grant)


def test_release_where_the_secrets_are_known(file: LedgerFile, clock: Clock) -> None:
    """One that is no longer in use does not count."""
    held(file, clock)
    assert file.release(A, [("another",)]) == Release(Answer.NOT_HELD)
    assert file.release(A, [("another",), ("one",)]) == Release(Answer.RELEASED)
    assert file.release(B) == Release(Answer.NOT_HELD)


@pytest.mark.parametrize("first", [A, B])
def test_release_of_mailboxes_that_turn_out_to_be_one(file: LedgerFile, clock: Clock, first: Mailbox) -> None:
    """The one after which the next is possible the latest counts."""
    for of in (A, B):
        log_in(file, of, "one", Retry.HOLD)
    clock.advance(REQUEST.interval)
    file.release(first)
    clock.advance(10)
    file.release(B if first is A else A)
    file.configure([BOTH])
    clock.advance(885)
    assert file.release(BOTH) == Release(Answer.ALREADY, EPOCH + clock.now + 15)
    assert file._database.execute("SELECT count(*) FROM released").fetchone() == (1,)


@pytest.mark.parametrize(("silence", "is_dead"), [(SILENCE - 1, False), (SILENCE + 1, True)])
def test_a_process_that_is_silent(file: LedgerFile, clock: Clock, silence: float, is_dead: bool) -> None:
    """Once it has been for longer than its login can take, it is dead, and its login counts as refused for now."""
    granted, _ = file.grant(A, REQUEST, ("secret",))
    assert isinstance(granted, Grant)
    begun = clock.now
    clock.advance(REQUEST.longest + silence)
    answer, _ = file.grant(A, POP3_REQUEST, ("new",))
    (standing,) = file.standings([A], ())
    if not is_dead:
        assert answer is Denial.BUSY
        assert standing.waits == {}
    else:
        assert answer is Denial.BACKOFF
        assert standing.waits == {"": Wait(Denial.BACKOFF, begun + 1800, 1, Cause("imap"))}
        assert file.grant(A, POP3_REQUEST, ("new",), force=True)[0] is not Denial.BUSY


def test_a_process_that_gives_signs_of_life(file: LedgerFile, clock: Clock) -> None:
    """It is never taken for dead, however long its login takes."""
    granted, _ = file.grant(A, REQUEST, ("secret",))
    assert isinstance(granted, Grant)
    for _ in range(1000):
        clock.advance(REQUEST.longest + SILENCE - 1)
        file.beat([granted.id])
        assert file.grant(A, POP3_REQUEST, ("new",), force=True)[0] is Denial.BUSY
    file.settle(granted, Verdict(is_good=True))
    assert isinstance(file.grant(A, POP3_REQUEST, ("new",))[0], Grant)


def test_a_process_that_was_taken_for_dead(file: LedgerFile, clock: Clock) -> None:
    """What it reports later is stored all the same."""
    granted, _ = file.grant(A, REQUEST, ("secret",))
    assert isinstance(granted, Grant)
    clock.advance(DAY)
    assert asked(file, A, "new") is None
    file.settle(granted, Verdict(retry=Retry.HOLD))
    assert asked(file, A, "secret") is Denial.HOLD


def test_processes_that_die_again_and_again(file: LedgerFile, clock: Clock) -> None:
    """The waits double; a release permits one login, also where nobody knows yet how the last one ended."""
    waits = []
    for _ in range(7):
        granted, _ = file.grant(A, REQUEST, ("secret",))
        assert isinstance(granted, Grant)
        begun = clock.now
        clock.advance(REQUEST.longest + SILENCE + 1)
        assert asked(file, A, "secret") is Denial.BACKOFF
        (standing,) = file.standings([A], ())
        waits.append(standing.waits[""].until - begun)
        clock.now = standing.waits[""].until
    assert waits == [1800, 3600, 7200, 14400, 21600, 21600, 21600]
    file.grant(A, REQUEST, ("secret",))
    clock.advance(REQUEST.interval)
    assert asked(file, A, "secret") is Denial.BACKOFF
    assert file.release(A).answer is Answer.RELEASED
    assert asked(file, A, "secret") is None


def test_only_what_counts_is_kept(file: LedgerFile, clock: Clock) -> None:
    """The logins of 24 hours, and the last one at each place: an interval may be longer than a day."""
    for number in range(100):
        granted, _ = file.grant(A, replace(REQUEST, place=f"p{number % 3}"), ("secret",), force=True)
        assert isinstance(granted, Grant)
        file.settle(granted, Verdict(is_good=True))
        clock.advance(3600)
    log_in(file, A, "secret")
    assert file._database.execute("SELECT count(*) FROM login").fetchone()[0] <= 25
    clock.advance(40 * DAY)
    log_in(file, A, "secret")
    places = [place for (place,) in file._database.execute("SELECT place FROM login ORDER BY place")]
    assert places == sorted([REQUEST.place, REQUEST.place, "p0", "p1", "p2"])
    assert file.grant(A, replace(REQUEST, place="p0", interval=90 * DAY), ("s",))[0] is Denial.INTERVAL


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE login SET at = 'yesterday'",
        "UPDATE login SET at = 9e999",
        "UPDATE login SET boot = 99",
        "UPDATE wait SET denial = 'never'",
        "UPDATE wait SET since = x'00'",
        "UPDATE wait SET refusals = 'many'",
        "UPDATE released SET at = 'never'",
        "UPDATE released SET refusals = x'00'",
        "UPDATE boot SET at = 'now'",
        "UPDATE boot SET name = 'b', wall = 'now'",
        "DROP TABLE refusal",
        "DROP TABLE boot",
    ],
)
def test_damage(file: LedgerFile, damage: str) -> None:
    """Whatever is not as it was written is a fault of the file: no login is granted, and nothing is forgotten."""
    log_in(file, A, "secret", Retry.BACKOFF)
    file.release(A)
    file._database.execute(damage)
    for _ in range(2):
        with pytest.raises(LedgerError):
            file.grant(A, REQUEST, ("secret",), force=True)
        with pytest.raises(LedgerError):
            file.standings([A], ())
    assert file._database.execute("SELECT count(*) FROM login").fetchone() == (1,)
