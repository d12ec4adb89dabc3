"""The login budget: what every login of an account must ask, so that the monitor never endangers what it monitors.

Google locks accounts that log in too often or fail too often, and publishes no thresholds. So:

- one login per target and `login_interval`, one at a time per account;
- after a refusal, what the reason's `retry` says: `hold` ends all logins until the secret or the configuration
  changes, `wait24` tries hourly, `backoff` doubles the interval up to `MAX_BACKOFF`;
- a refusal of the credential counts for the whole account; that one protocol is switched off, or that one server has
  a fault, counts for that protocol alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from exporter.config import Protocol
from exporter.outcome import Blame, Check, Outcome, Reason, Retry, Target

MAX_BACKOFF = 6 * 3600.0
"""Seconds between two logins at most, however often `backoff` was answered."""

WAIT24_INTERVAL = 3600.0
"""Seconds between two logins while the reason says to wait up to 24 hours."""

_OF_ONE_PROTOCOL = frozenset({Reason.DISABLED_FOR_ACCOUNT, Reason.DISABLED_FOR_DOMAIN})


class Denial(StrEnum):
    """Why a login is not made now."""

    INTERVAL = "interval"
    BUSY = "busy"
    BACKOFF = "backoff"
    WAIT24 = "wait24"
    HOLD = "hold"

    @property
    def protects(self) -> bool:
        """Whether this keeps a login back to protect the account, rather than as the ordinary rhythm."""
        return self in (Denial.BACKOFF, Denial.WAIT24, Denial.HOLD)


@dataclass(slots=True)
class _Block:
    """What a refusal left behind, for the account or for one of its protocols."""

    denial: Denial
    until: float
    secret: bytes
    refusals: int


@dataclass(slots=True)
class Budget:
    """The budget of one account. `clock` is monotonic, in seconds."""

    clock: Callable[[], float]
    _login_at: dict[object, float] = field(default_factory=dict)
    _blocks: dict[Protocol | None, _Block] = field(default_factory=dict)
    _busy: object = None

    def ask(self, target: Target, secret: str) -> Denial | None:
        """Return why `target` may not log in with `secret` now; None takes the account's one slot, until `report`."""
        denial = self.denial(target, _digest(secret))
        if denial is None:
            self._busy = target.key
        return denial

    def denial(self, target: Target, secret: bytes | None = None) -> Denial | None:
        """Return why `target` may not log in now, with the secret of that digest where one is given."""
        now = self.clock()
        for scope in (None, target.endpoint.protocol):
            block = self._blocks.get(scope)
            if block and secret is not None and block.secret != secret:
                del self._blocks[scope]
            elif block and now < block.until:
                return block.denial
        if self._busy is not None:
            return Denial.BUSY
        last = self._login_at.get(target.key)
        if last is not None and now < last + target.endpoint.login_interval:
            return Denial.INTERVAL
        return None

    def suspended(self, target: Target) -> bool:
        """Whether logins of `target` are held back to protect the account."""
        denial = self.denial(target)
        return denial is not None and denial.protects

    def report(self, target: Target, secret: str, outcome: Outcome | None) -> None:
        """Give the slot back and learn from the outcome; None where the probe was cancelled."""
        self._busy = None
        if outcome is None or not outcome.observed.login_attempted:
            return
        now = self.clock()
        self._login_at[target.key] = now
        retry = Retry.BACKOFF if outcome.ok and outcome.observed.throttled else outcome.reason.retry
        if retry is Retry.SAFE:
            if outcome.checks.get(Check.LOGIN):
                self._blocks.pop(None, None)
                self._blocks.pop(target.endpoint.protocol, None)
            return
        scope = self._scope(outcome)
        before = self._blocks.get(scope)
        refusals = 1 + (before.refusals if before else 0)
        self._blocks[scope] = _block(retry, now, target.endpoint.login_interval, refusals, _digest(secret))

    @staticmethod
    def _scope(outcome: Outcome) -> Protocol | None:
        """The protocol for which the refusal counts; None for the whole account."""
        if outcome.reason in _OF_ONE_PROTOCOL or outcome.blame is Blame.GOOGLE:
            return outcome.target.endpoint.protocol
        return None


def _block(retry: Retry, now: float, interval: float, refusals: int, secret: bytes) -> _Block:
    match retry:
        case Retry.HOLD:
            return _Block(Denial.HOLD, float("inf"), secret, refusals)
        case Retry.WAIT24:
            return _Block(Denial.WAIT24, now + WAIT24_INTERVAL, secret, refusals)
        case _:
            # 2 ** 32 intervals are beyond any bound: a longer row of refusals must not overflow.
            wait = min(interval * 2 ** min(refusals, 32), max(MAX_BACKOFF, interval))
            return _Block(Denial.BACKOFF, now + wait, secret, refusals)


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
