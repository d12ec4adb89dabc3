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
from tests.accounts.ledgers import steady
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


def test_release(file: LedgerFile) -> None:
    """Holds, waits and intervals end; the logins of the day count."""
    log_in(file, A, "one", Retry.HOLD)
    log_in(file, A, "x", Retry.BACKOFF)
    assert file.release(A)
    assert asked(file, A, "one") is asked(file, A, "x") is None
    (standing,) = file.standings([A], ())
    assert len(standing.recent) == 2
    assert not file.release(B)


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
    """The waits double; a release ends them, also of a login whose end nobody knows yet."""
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
    file.release(A)
    clock.advance(REQUEST.longest + SILENCE + 1)
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
        "UPDATE boot SET at = 'now'",
        "UPDATE boot SET name = 'b', wall = 'now'",
        "DROP TABLE refusal",
        "DROP TABLE boot",
    ],
)
def test_damage(file: LedgerFile, damage: str) -> None:
    """Whatever is not as it was written is a fault of the file: no login is granted, and nothing is forgotten."""
    log_in(file, A, "secret", Retry.BACKOFF)
    file._database.execute(damage)
    for _ in range(2):
        with pytest.raises(LedgerError):
            file.grant(A, REQUEST, ("secret",), force=True)
        with pytest.raises(LedgerError):
            file.standings([A], ())
    assert file._database.execute("SELECT count(*) FROM login").fetchone() == (1,)
