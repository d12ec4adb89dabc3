"""The rules of a login budget, as pure functions of what is stored of a mailbox.

Google locks accounts that log in too often or fail too often, and publishes no limits. So:

- one login per target and `login_interval`, one at a time per mailbox, `max_logins_per_day` in any 24 hours;
- after a refusal, the `retry` of its reason: `hold` stops all logins with the refused secret until an operator releases
  the account, `wait24` tries hourly, `backoff` doubles the interval up to `MAX_BACKOFF`;
- a release permits one login in spite of a `hold` or a `backoff`, and of nothing else. There is one in `RELEASE_WAIT`;
  after each trial login that is refused, in twice the time, up to a day;
- a protocol that is switched off, or a fault of the provider, stops that protocol alone; every other failure stops the
  whole mailbox.

A login is stored before it is made. If the process ends before its result is known, it counts as a login that was
answered with `backoff`.

So with one secret, in T seconds at a `login_interval` of I, the number of logins is at most:

- 1, if the server answers `hold`, and one more for each release;
- 1 + T / `WAIT24_INTERVAL`, if it answers `wait24`;
- 1 + ceil(log2(M / I)) + T / M, if it answers `backoff`, where M is the greater of `MAX_BACKOFF` and I.

Each bound is for one protocol where only that protocol is stopped. A process that dies during a login adds one; if it
dies during every login, the bound is that of `backoff`. There are never more than `max_logins_per_day` in 24 hours.

All times are seconds of this boot: see `exporter.accounts.clock`.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field

from exporter.model.login import Cause, Denial
from exporter.model.outcome import Check, Outcome
from exporter.model.plan import DAY, EARLY
from exporter.model.reason import Blame, Reason, Retry

MAX_BACKOFF = 6 * 3600.0
"""The longest interval in seconds that repeated `backoff` leads to."""

WAIT24_INTERVAL = 3600.0
"""Seconds between two logins while the reason says to wait up to 24 hours."""

RELEASE_WAIT = 900.0
"""Seconds from one release of a mailbox to the next, where no trial login was refused."""

WHOLE = ""
"""The scope of what concerns the whole mailbox; any other scope is the name of a protocol."""

_OF_ONE_PROTOCOL = frozenset({Reason.DISABLED_FOR_ACCOUNT, Reason.DISABLED_FOR_DOMAIN})


@dataclass(frozen=True, slots=True)
class Wait:
    """No login before a time, whatever the secret."""

    denial: Denial
    until: float
    refusals: int
    """How many there were in a row."""
    cause: Cause | None = None
    """The last one; None where it is not known."""


@dataclass(frozen=True, slots=True)
class Login:
    """A login that was made, and the digest of its secret."""

    at: float
    secret: str


@dataclass(frozen=True, slots=True)
class Request:
    """A login that is asked for."""

    place: str
    """What its interval counts by."""
    protocol: str
    interval: float
    """Seconds from one login at that place to the next that are asked for; a refusal doubles them."""
    most: int
    """Logins of the mailbox in 24 hours, at most."""
    planned: float = 0.0
    """Seconds from one login at that place to the next by the day's plan, where that is tight."""
    early: float = EARLY
    """The part of the interval by which it may come early."""
    longest: float = 60.0
    """Seconds after which the login is over, whatever the server does."""
    endpoint: str = ""
    """Who asks."""


@dataclass(frozen=True, slots=True)
class LastRelease:
    """The last release by an operator."""

    at: float
    has_trial: bool
    """Whether the login that it permits is still to be made."""
    refusals: int = 0
    """Trial logins that were refused in a row."""

    @property
    def next_at(self) -> float:
        """When the next release is possible."""
        return self.at + min(RELEASE_WAIT * 2.0 ** min(self.refusals, 32), DAY)


@dataclass(frozen=True, slots=True)
class Standing:
    """What is stored of a mailbox."""

    recent: tuple[float, ...] = ()
    """The logins of the last 24 hours and maybe some before, in order."""
    last: Mapping[str, Login] = field(default_factory=dict)
    """The last login at each place."""
    waits: Mapping[str, Wait] = field(default_factory=dict)
    """By scope."""
    refused: Mapping[str, Mapping[str, Cause | None]] = field(default_factory=dict)
    """The digests of the secrets that were refused for good, by scope, and which login was refused, if known."""
    is_busy: bool = False
    """Whether a login is under way."""
    last_release: LastRelease | None = None

    @property
    def has_trial(self) -> bool:
        """Whether one login may be made in spite of a hold or a backoff."""
        return self.last_release is not None and self.last_release.has_trial

    def needs_trial(self, request: Request, secret: str, now: float) -> bool:
        """Whether this login, if it may be made, is the one that a release permits."""
        return self._is_held(request, secret) or any(now < wait.until for wait in self._waits(request))

    def denial(self, request: Request, secret: str | None, now: float) -> Denial | None:
        """Return why this login may not be made; None if it may.

        `secret` is the digest of its secret. Where that is not known yet, it counts as one that was refused.
        """
        waits = [wait.denial for wait in self._waits(request) if now < wait.until]
        held_by = [Denial.HOLD, *waits] if self._is_held(request, secret) else waits
        if held_by and not self.has_trial:
            return held_by[0]
        if Denial.WAIT24 in waits:
            return Denial.WAIT24
        if self.is_busy:
            return Denial.BUSY
        due, allowed = self._due(request, secret), self._below_ceiling(request, now)
        if now < max(due, allowed):
            # What ends last is told: where a day has as many endpoints as logins, the ceiling holds none of them back.
            # A trial that is not due yet leaves the mailbox as it was.
            return Denial.CEILING if allowed > due else (held_by or [Denial.INTERVAL])[0]
        return None

    def next_login_at(self, request: Request, secret: str | None, now: float) -> float:
        """Return when this login may be made at the earliest; infinity while its secret is held."""
        if self._is_held(request, secret) and not self.has_trial:
            return math.inf
        due = max(now, self._due(request, secret), self._below_ceiling(request, now))
        for wait in self._waits(request):
            if wait.denial is Denial.WAIT24 or not self.has_trial:
                due = max(due, wait.until)
        return due

    def cause(self, request: Request, secret: str | None, now: float) -> Cause | None:
        """Return the refusal for which this login may not be made; None where there is none, or it is not known."""
        if refusals := self._refusals(request, secret):
            return next(filter(None, refusals), None)
        return next((wait.cause for wait in self._waits(request) if now < wait.until), None)

    def logins_of_day(self, now: float) -> int:
        """Return the number of logins in the last 24 hours."""
        return len(self.recent) - bisect_right(self.recent, now - DAY)

    def _below_ceiling(self, request: Request, now: float) -> float:
        """When the logins of 24 hours are fewer than the ceiling."""
        return self.recent[-request.most] + DAY if self.logins_of_day(now) >= request.most else -math.inf

    def _is_held(self, request: Request, secret: str | None) -> bool:
        return bool(self.refused and self._refusals(request, secret))

    def _refusals(self, request: Request, secret: str | None) -> list[Cause | None]:
        """Return the refusals for good of a secret; where that is not known, of every secret."""
        return [
            cause
            for scope in (WHOLE, request.protocol)
            for digest, cause in self.refused.get(scope, {}).items()
            if secret in (None, digest)
        ]

    def _waits(self, request: Request) -> list[Wait]:
        return [self.waits[scope] for scope in (WHOLE, request.protocol) if scope in self.waits] if self.waits else []

    def _due(self, request: Request, secret: str | None) -> float:
        """When the next login at a place is due."""
        last = self.last.get(request.place)
        if last is None or (last.secret != secret and self._is_held(request, last.secret)):
            # Where the last secret was refused and this is another one, the next probe shows whether it works.
            return -math.inf
        return last.at + max(request.planned, request.interval * (1 - request.early))


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a login that was granted has shown."""

    is_made: bool = True
    """Whether it was made, or may have been; else it does not count."""
    is_good: bool = False
    """Whether it succeeded: all waits of its scopes are over."""
    retry: Retry = Retry.SAFE
    scope: str = WHOLE
    reason: Reason | None = None
    """Why it failed; None where it did not, or where that is not known."""
    is_forgiven: bool = False
    """Whether it was refused, and the next login has another token."""


def judge(outcome: Outcome | None, refused: Reason | None = None, *, forgiven: bool = False) -> Verdict:
    """Return what the budget learns from a login; `outcome` is None if the probe was cancelled.

    `refused` is the reason of the token endpoint, where it gave no token. A refusal is `forgiven` where the next login
    has a new token.
    """
    is_made = outcome is None or outcome.observed.login_attempted
    if refused is not None:
        return Verdict(is_made, retry=refused.retry, reason=refused)
    if outcome is None or not is_made or forgiven:
        return Verdict(is_made, is_forgiven=forgiven)
    if outcome.ok and outcome.observed.throttled:
        return Verdict(retry=Retry.BACKOFF)
    is_good = outcome.checks.get(Check.LOGIN, False) and outcome.reason.retry is Retry.SAFE
    reason = None if outcome.ok else outcome.reason
    return Verdict(is_good=is_good, retry=outcome.reason.retry, scope=_scope(outcome), reason=reason)


def waiting_time(retry: Retry, interval: float, refusals: int) -> float:
    """Return the seconds without a login after so many refusals in a row, this one included."""
    if retry is Retry.WAIT24:
        return WAIT24_INTERVAL
    # 2 ** 32 intervals are over any bound; more refusals must not overflow.
    return min(interval * 2.0 ** min(refusals, 32), max(MAX_BACKOFF, interval))


def _scope(outcome: Outcome) -> str:
    """Return the protocol for which a refusal counts, or the whole mailbox."""
    if outcome.reason in _OF_ONE_PROTOCOL or outcome.blame is Blame.PROVIDER:
        return outcome.target.endpoint.protocol.value
    return WHOLE
