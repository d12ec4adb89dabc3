"""The rules of a budget, on what is stored of a mailbox."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import pytest

from exporter.accounts.standing import (
    MAX_BACKOFF,
    WAIT24_INTERVAL,
    WHOLE,
    Login,
    Request,
    Standing,
    Verdict,
    Wait,
    judge,
    waiting_time,
)
from exporter.model.login import Cause, Denial
from exporter.model.outcome import Observed, Outcome, Phase
from exporter.model.plan import DAY
from exporter.model.reason import Reason, Retry
from tests.accounts.ledgers import IMAP, POP3, refused
from tests.examples import failure, success

NOW = 10 * DAY
IMAP_REQUEST = Request("a", "imap", 900.0, 3)
POP3_REQUEST = replace(IMAP_REQUEST, place="b", protocol="pop3")
RECENT = (NOW - DAY - 5, NOW - DAY, NOW - 5000, NOW - 2000, NOW - 100)


def wait(until: float = NOW + 60, denial: Denial = Denial.BACKOFF, cause: Cause | None = None) -> Wait:
    """A wait that began at some time."""
    return Wait(denial, until, 1, cause)


@pytest.mark.parametrize(
    ("standing", "imap", "pop3"),
    [
        (Standing(), (None, NOW), (None, NOW)),
        (Standing(last={"a": Login(NOW - 10, "s")}), (Denial.INTERVAL, NOW - 10 + 891), (None, NOW)),
        (Standing(last={"a": Login(NOW - 891, "s")}), (None, NOW), (None, NOW)),
        (Standing(RECENT), (Denial.CEILING, NOW - 5000 + DAY), (Denial.CEILING, NOW - 5000 + DAY)),
        (Standing(RECENT[:-1]), (None, NOW), (None, NOW)),
        (Standing(waits={WHOLE: wait()}), (Denial.BACKOFF, NOW + 60), (Denial.BACKOFF, NOW + 60)),
        (Standing(waits={WHOLE: wait(NOW)}), (None, NOW), (None, NOW)),
        (
            Standing(waits={"pop3": wait(NOW + 9, Denial.WAIT24), WHOLE: wait()}),
            (Denial.BACKOFF, NOW + 60),
            (Denial.BACKOFF, NOW + 60),
        ),
        (Standing(waits={"pop3": wait(NOW + 9, Denial.WAIT24)}), (None, NOW), (Denial.WAIT24, NOW + 9)),
        (Standing(is_busy=True), (Denial.BUSY, NOW), (Denial.BUSY, NOW)),
        (Standing(refused={WHOLE: {"s": None}}), (Denial.HOLD, math.inf), (Denial.HOLD, math.inf)),
        (Standing(refused={WHOLE: {"t": None}}), (None, NOW), (None, NOW)),
        (Standing(refused={"pop3": {"t": None, "s": None}}), (None, NOW), (Denial.HOLD, math.inf)),
        # The secret of the last login was refused, and this one is another.
        (
            Standing(last={"a": Login(NOW - 1, "t"), "b": Login(NOW - 1, "s")}, refused={WHOLE: {"t": None}}),
            (None, NOW),
            (Denial.INTERVAL, NOW - 1 + 891),
        ),
        (
            Standing(last={"a": Login(NOW - 1, "t"), "b": Login(NOW - 1, "t")}, refused={"pop3": {"t": None}}),
            (Denial.INTERVAL, NOW - 1 + 891),
            (None, NOW),
        ),
        # All at once: the strictest is told.
        (
            Standing(RECENT, {"a": Login(NOW, "s")}, {WHOLE: wait()}, {WHOLE: {"s": None}}, is_busy=True),
            (Denial.HOLD, math.inf),
            (Denial.HOLD, math.inf),
        ),
        (
            Standing(RECENT, {"a": Login(NOW, "s")}, {WHOLE: wait()}, is_busy=True),
            (Denial.BACKOFF, NOW - 5000 + DAY),
            (Denial.BACKOFF, NOW - 5000 + DAY),
        ),
    ],
)
def test_denial(standing: Standing, imap: tuple[Denial, float], pop3: tuple[Denial, float]) -> None:
    """For two protocols; a wait of one stops the other only where it is for the whole mailbox."""
    for request, expected in ((IMAP_REQUEST, imap), (POP3_REQUEST, pop3)):
        found = standing.denial(request, "s", NOW), standing.next_login_at(request, "s", NOW)
        assert found == expected


@pytest.mark.parametrize(
    ("ago", "denied"),
    [
        (0.0, (Denial.INTERVAL, NOW + DAY)),
        (5000.0, (Denial.INTERVAL, NOW - 5000 + DAY)),  # ends when the ceiling does
        (5001.0, (Denial.CEILING, NOW - 5000 + DAY)),
    ],
)
def test_interval_or_ceiling(ago: float, denied: tuple[Denial, float]) -> None:
    """What ends last is told: a place that is not due yet is not held back by the ceiling."""
    standing = Standing(RECENT, {"a": Login(NOW - ago, "s")})
    request = replace(IMAP_REQUEST, planned=DAY)
    assert (standing.denial(request, "s", NOW), standing.next_login_at(request, "s", NOW)) == denied


def test_planned_login_is_not_early() -> None:
    """Else a day would have more logins than are planned."""
    request = replace(IMAP_REQUEST, planned=2160.0)
    for ago, denial in ((2159.9, Denial.INTERVAL), (2160.0, None)):
        assert Standing(last={"a": Login(NOW - ago, "s")}).denial(request, "s", NOW) is denial


@pytest.mark.parametrize(
    ("refused", "denial"),
    [({}, None), ({"pop3": {"s": None}}, None), ({WHOLE: {"s": None}}, Denial.HOLD)],
)
def test_secret_that_is_not_known_yet(refused: Mapping[str, Mapping[str, None]], denial: Denial | None) -> None:
    """It counts as refused where any was."""
    assert Standing(refused=refused).denial(IMAP_REQUEST, None, NOW) is denial


AT_POP3 = Cause("pop3", Reason.AUTH_INVALID_CREDENTIALS)
AT_IMAP = Cause("imap", Reason.SERVER_BUSY)


@pytest.mark.parametrize(
    ("standing", "secret", "imap", "pop3"),
    [
        (Standing(), "s", None, None),
        (Standing(RECENT), "s", None, None),
        (Standing(refused={WHOLE: {"t": AT_IMAP, "s": AT_POP3}}), "s", AT_POP3, AT_POP3),
        (Standing(refused={WHOLE: {"t": AT_IMAP}}), "s", None, None),
        (Standing(refused={"pop3": {"t": None, "s": AT_POP3}}), None, None, AT_POP3),
        (Standing(refused={WHOLE: {"s": None}}, waits={WHOLE: wait(cause=AT_IMAP)}), "s", None, None),
        (Standing(waits={"imap": wait(cause=AT_IMAP)}), "s", AT_IMAP, None),
        (Standing(waits={"imap": wait(NOW, cause=AT_IMAP)}), "s", None, None),
    ],
)
def test_cause(standing: Standing, secret: str | None, imap: Cause | None, pop3: Cause | None) -> None:
    """The refusal that the denial follows; none where the ceiling denies it, or where the refusal is not known."""
    assert standing.cause(IMAP_REQUEST, secret, NOW) == imap
    assert standing.cause(POP3_REQUEST, secret, NOW) == pop3


def test_logins_of_a_day() -> None:
    """The one of exactly 24 hours ago counts no more."""
    assert Standing(RECENT).logins_of_day(NOW) == 3
    assert Standing().logins_of_day(NOW) == 0


THROTTLED = replace(success(IMAP, login=True), observed=Observed(login_attempted=True, throttled=True))
UNSENT = replace(refused(IMAP, Reason.OAUTH_GRANT_REVOKED), observed=Observed())


@pytest.mark.parametrize(
    ("outcome", "verdict"),
    [
        (None, Verdict()),
        (success(IMAP, login=True), Verdict(is_good=True)),
        (success(IMAP), Verdict(is_made=False)),
        (failure(IMAP, Phase.CONNECT), Verdict(is_made=False)),
        (failure(IMAP, Phase.LOGIN, Reason.CREDENTIAL_UNAVAILABLE), Verdict(is_made=False)),
        (refused(IMAP, Reason.TIMEOUT), Verdict(scope="imap", reason=Reason.TIMEOUT)),
        (failure(IMAP, Phase.FOLDERS, Reason.FOLDER_HIDDEN), Verdict(is_good=True, reason=Reason.FOLDER_HIDDEN)),
        (
            refused(IMAP, Reason.AUTH_INVALID_CREDENTIALS),
            Verdict(retry=Retry.HOLD, reason=Reason.AUTH_INVALID_CREDENTIALS),
        ),
        (
            failure(POP3, Phase.FOLDERS, Reason.DISABLED_FOR_ACCOUNT),
            Verdict(retry=Retry.HOLD, scope="pop3", reason=Reason.DISABLED_FOR_ACCOUNT),
        ),
        (
            refused(POP3, Reason.TEMPORARY_SYSTEM_ERROR),
            Verdict(retry=Retry.BACKOFF, scope="pop3", reason=Reason.TEMPORARY_SYSTEM_ERROR),
        ),
        (refused(IMAP, Reason.BANDWIDTH_EXCEEDED), Verdict(retry=Retry.WAIT24, reason=Reason.BANDWIDTH_EXCEEDED)),
        (THROTTLED, Verdict(retry=Retry.BACKOFF)),
    ],
)
def test_judge(outcome: Outcome | None, verdict: Verdict) -> None:
    """What a login has shown."""
    assert judge(outcome) == verdict


def test_judge_a_token_endpoint() -> None:
    """Its refusal is for the whole mailbox; one of the server is forgiven where the token is replaced."""
    assert judge(UNSENT, Reason.OAUTH_GRANT_REVOKED) == Verdict(
        is_made=False, retry=Retry.HOLD, reason=Reason.OAUTH_GRANT_REVOKED
    )
    assert judge(UNSENT, Reason.OAUTH_ENDPOINT_ERROR) == Verdict(
        is_made=False, retry=Retry.BACKOFF, reason=Reason.OAUTH_ENDPOINT_ERROR
    )
    assert judge(refused(IMAP, Reason.OAUTH_TOKEN_REJECTED), forgiven=True) == Verdict(is_forgiven=True)


@pytest.mark.parametrize("reason", Reason)
def test_judge_every_reason(reason: Reason) -> None:
    """As its retry says; a good login is one after which nothing waits."""
    verdict = judge(success(IMAP, login=True) if reason is Reason.OK else refused(IMAP, reason))
    if reason is Reason.CREDENTIAL_UNAVAILABLE:
        assert verdict == Verdict(is_made=False)
    else:
        assert (verdict.retry, verdict.is_good) == (reason.retry, reason is Reason.OK)


def test_waiting_time() -> None:
    """It doubles up to the bound, or up to the interval where that is longer."""
    assert [waiting_time(Retry.BACKOFF, 900, n) for n in (1, 2, 3, 4, 5, 1000)] == [
        1800, 3600, 7200, 14400, MAX_BACKOFF, MAX_BACKOFF,
    ]  # fmt: skip
    assert waiting_time(Retry.BACKOFF, 9 * 3600, 1) == 9 * 3600
    assert waiting_time(Retry.WAIT24, 900, 7) == WAIT24_INTERVAL
