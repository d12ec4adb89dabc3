"""The login budget of an account: it must grant each login, so that monitoring never locks the account.

Google locks accounts that log in too often or fail too often, and publishes no limits. So:

- one login per target and `login_interval`, one at a time per account, `max_logins_per_day` in any 24 hours;
- after a refusal, the `retry` of its reason: `hold` stops all logins until the secret or the account's configuration
  changes or an operator releases the account, `wait24` tries hourly, `backoff` doubles the interval up to
  `MAX_BACKOFF`;
- a protocol that is switched off, or a fault of the provider, blocks that protocol alone; every other failure blocks
  the whole account.

A login is written to the ledger before it is made. If the process ends before its result is known, it counts as a login
that was answered with `backoff`.

So with one secret, in T seconds at a `login_interval` of I, the number of logins is at most:

- 1, if the server answers `hold`;
- 1 + T / `WAIT24_INTERVAL`, if it answers `wait24`;
- 1 + ceil(log2(M / I)) + T / M, if it answers `backoff`, where M is the greater of `MAX_BACKOFF` and I.

Each bound is for one protocol where only that protocol is blocked. A process that dies during a login adds one; if it
dies during every login, the bound is that of `backoff`. There are never more than `max_logins_per_day` in 24 hours.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

from exporter.accounts.ledger import Ledger
from exporter.model.login import Denial, LoginStatus
from exporter.model.outcome import Check, Outcome, Target
from exporter.model.reason import Blame, Reason, Retry
from exporter.model.settings import Account, Endpoint, SecretRef

MAX_BACKOFF = 6 * 3600.0
"""The longest interval in seconds that repeated `backoff` leads to."""

WAIT24_INTERVAL = 3600.0
"""Seconds between two logins while the reason says to wait up to 24 hours."""

DAY = 86400.0

_OF_ONE_PROTOCOL = frozenset({Reason.DISABLED_FOR_ACCOUNT, Reason.DISABLED_FOR_DOMAIN})
_WHOLE_ACCOUNT = ""


@dataclass(slots=True)
class _Block:
    """Why the account, or one of its protocols, may not log in after a refusal."""

    denial: Denial
    since: float
    until: float
    secret: str
    release: float
    """When an operator had last released the account."""
    refusals: int
    """How many there were in a row."""


@dataclass(slots=True)
class _State:
    """The stored state of an account. Times are Unix seconds."""

    login_at: dict[str, float] = field(default_factory=dict)
    """The last login of each target."""
    recent: list[float] = field(default_factory=list)
    """The logins of the last 24 hours."""
    blocks: dict[str, _Block] = field(default_factory=dict)
    """By protocol; the empty name is the whole account."""
    unsettled: _Block | None = None
    """The block of a login whose result is not known, for the whole account."""


def _parse_state(stored: Any) -> _State:
    """Return the state that `asdict` wrote.

    Raises:
        ArithmeticError, LookupError, TypeError, ValueError: it is not one.
    """

    def typed(value: Any, *types: type) -> Any:
        if type(value) not in types:
            raise TypeError(f"{type(value).__name__} in place of {types[0].__name__}")
        return value

    def number(value: Any) -> float:
        if math.isnan(typed(value, float, int)):
            raise ValueError("NaN in place of a time")
        return float(value)

    def block(stored: Any) -> _Block:
        since, until, release = (number(stored[name]) for name in ("since", "until", "release"))
        secret, refusals = typed(stored["secret"], str), typed(stored["refusals"], int)
        return _Block(Denial(stored["denial"]), since, until, secret, release, refusals)

    stored = {**asdict(_State()), **typed(stored, dict)}
    return _State(
        login_at={name: number(at) for name, at in typed(stored["login_at"], dict).items()},
        recent=[number(at) for at in typed(stored["recent"], list)],
        blocks={scope: block(each) for scope, each in typed(stored["blocks"], dict).items()},
        unsettled=None if stored["unsettled"] is None else block(stored["unsettled"]),
    )


@dataclass(slots=True)
class _Grant:
    """A login that was granted and has not been reported."""

    target: Target
    secret: str
    at: float
    before: float | None
    """The target's last login before this one."""


class Budget:
    """The budget of one account. `clock` returns Unix seconds."""

    def __init__(self, ledger: Ledger, clock: Callable[[], float] = time.time) -> None:
        self._ledger = ledger
        self._clock = clock
        self._state = _State()
        self._grant: _Grant | None = None
        self._configuration = ""

    def configure(self, account: Account, endpoints: Iterable[Endpoint]) -> None:
        """Set the account. If it, or how one of its endpoints logs in, has changed, all blocks are removed."""
        self._account = account
        configuration = _digest(account, endpoints)
        if configuration != self._configuration:
            self._configuration = configuration
            self._state.blocks, self._state.unsettled = {}, None
        self._read()

    def ask(self, target: Target, secret: tuple[str, ...], *, force: bool = False) -> Denial | None:
        """Return why `target` may not log in with `secret` now; None if the login is granted.

        No other login of the account is granted until `report` is called. `force`, requested by an operator, ignores
        every reason but that another login is running.
        """
        if self._grant is not None:
            return Denial.BUSY
        self._read()
        digest = self._ledger.digest(secret)
        self._lift_blocks(digest)
        denial = self.denial(target)
        if denial is None or force:
            self._take(target, digest)
            return None
        return denial

    def denial(self, target: Target) -> Denial | None:
        """Return why `target` may not log in now, if the secret has not changed."""
        now = self._clock()
        for block in self._blocks_of(target):
            if now < block.until:
                return block.denial
        if self._grant is not None:
            return Denial.BUSY
        if len(self._of_last_day(now)) >= self._account.max_logins_per_day:
            return Denial.CEILING
        last = self._state.login_at.get(_name(target))
        # A login in the future was made before the clock was set back.
        if last is not None and last <= now < last + _interval(target):
            return Denial.INTERVAL
        return None

    def next_login_at(self, target: Target) -> float:
        """Return when `target` may log in next, in Unix seconds; infinity while it is held."""
        now = self._clock()
        times = [now, *(block.until for block in self._blocks_of(target))]
        last = self._state.login_at.get(_name(target))
        if last is not None and last <= now:
            times.append(last + _interval(target))
        recent = self._of_last_day(now)
        if len(recent) >= self._account.max_logins_per_day:
            times.append(recent[-self._account.max_logins_per_day] + DAY)
        return max(times)

    def report(self, outcome: Outcome | None, refused: Reason | None = None, *, forgiven: bool = False) -> None:
        """End the granted login and update the budget. `outcome` is None if the probe was cancelled.

        `refused` is the reason of the token endpoint, where it gave no token. A refusal is `forgiven` where the next
        login has a new token.
        """
        grant, self._grant = self._grant, None
        if grant is None:
            return
        self._read()
        self._state.unsettled = None
        attempted = outcome is None or outcome.observed.login_attempted
        if not attempted:
            self._take_back(grant)
        if refused is not None:
            self._learn(grant, refused.retry, _WHOLE_ACCOUNT)
        elif outcome is not None and attempted and not forgiven:
            throttled = outcome.ok and outcome.observed.throttled
            self._learn(grant, Retry.BACKOFF if throttled else outcome.reason.retry, _scope(outcome))
            if outcome.checks.get(Check.LOGIN) and not throttled and outcome.reason.retry is Retry.SAFE:
                self._state.blocks.pop(_WHOLE_ACCOUNT, None)
                self._state.blocks.pop(grant.target.endpoint.protocol.value, None)
        self._save()

    def status(self, target: Target, denied: Denial | None = None) -> LoginStatus:
        """Return what the budget allows `target` now; `denied` is why the login of this probe was not allowed."""
        denial = self.denial(target)
        held_by = denial if denial and denial.protects else None
        return LoginStatus(held_by, self.next_login_at(target), len(self._of_last_day(self._clock())), denied)

    def _blocks_of(self, target: Target) -> Iterable[_Block]:
        if self._state.unsettled and self._grant is None:
            yield self._state.unsettled
        for scope in (_WHOLE_ACCOUNT, target.endpoint.protocol.value):
            if scope in self._state.blocks:
                yield self._state.blocks[scope]

    def _of_last_day(self, now: float) -> list[float]:
        return [at for at in self._state.recent if now - DAY < at <= now]

    def _lift_blocks(self, digest: str) -> None:
        """Remove the blocks that a new secret or an operator's release has ended."""
        state, now = self._state, self._clock()
        release = self._ledger.released_at(self._account.name)
        blocks = [*state.blocks.values(), *([state.unsettled] if state.unsettled else [])]
        void = [block for block in blocks if (block.secret, block.release) != (digest, release)]
        late = [block for block in blocks if block.since > now]
        for block in late:  # The clock was set back: the wait starts again now, or it would be longer than meant.
            block.since, block.until = now, now + (block.until - block.since)
        if void:
            state.blocks = {scope: block for scope, block in state.blocks.items() if block not in void}
            state.unsettled = None if state.unsettled in void else state.unsettled
            state.login_at.clear()  # so that the next probe shows whether it works
        if void or late:
            self._save()

    def _take(self, target: Target, digest: str) -> None:
        now, name = self._clock(), _name(target)
        self._grant = _Grant(target, digest, now, self._state.login_at.get(name))
        self._state.login_at[name] = now
        self._state.recent = [*self._of_last_day(now), now]
        before = self._state.unsettled or self._state.blocks.get(_WHOLE_ACCOUNT)
        self._state.unsettled = self._block(self._grant, Retry.BACKOFF, before)
        self._save()

    def _take_back(self, grant: _Grant) -> None:
        """Remove a login that was not made."""
        name = _name(grant.target)
        if grant.at in self._state.recent:
            self._state.recent.remove(grant.at)
        if grant.before is None:
            self._state.login_at.pop(name, None)
        else:
            self._state.login_at[name] = grant.before

    def _learn(self, grant: _Grant, retry: Retry, scope: str) -> None:
        if retry is not Retry.SAFE:
            self._state.blocks[scope] = self._block(grant, retry, self._state.blocks.get(scope))

    def _block(self, grant: _Grant, retry: Retry, before: _Block | None) -> _Block:
        refusals = 1 + (before.refusals if before else 0)
        now, interval = self._clock(), grant.target.endpoint.login_interval
        match retry:
            case Retry.HOLD:
                denial, until = Denial.HOLD, math.inf
            case Retry.WAIT24:
                denial, until = Denial.WAIT24, now + WAIT24_INTERVAL
            case _:
                # 2 ** 32 intervals are over any bound; more refusals must not overflow.
                wait = min(interval * 2 ** min(refusals, 32), max(MAX_BACKOFF, interval))
                denial, until = Denial.BACKOFF, now + wait
        return _Block(denial, now, until, grant.secret, self._ledger.released_at(self._account.name), refusals)

    def _read(self) -> None:
        """Read the stored state: of this program before a restart, or of another process since."""
        stored = self._ledger.load(self._account.name)
        if stored is None:
            return
        try:
            state = _parse_state(stored[1])
        except (ArithmeticError, LookupError, TypeError, ValueError) as error:
            self._ledger.forget(self._account.name, error)
            return
        if stored[0] != self._configuration:  # those blocks are of another configuration
            state.blocks, state.unsettled = self._state.blocks, self._state.unsettled
        self._state = state

    def _save(self) -> None:
        self._ledger.save(self._account.name, self._configuration, asdict(self._state))


def _digest(account: Account, endpoints: Iterable[Endpoint]) -> str:
    """Return the SHA-256 in hex of how an account logs in, and where.

    The ledger keeps it. Another text for the same configuration would release every held account at an upgrade, so the
    text is that of the first version, octet by octet: JSON, then a list of tuples as Python shows it.
    """

    def secret(reference: SecretRef | None) -> dict[str, str | None] | None:
        if reference is None:
            return None
        return {"file": None if reference.file is None else str(reference.file), "env": reference.env}

    oauth2 = account.oauth2 and {
        "client_id": account.oauth2.client_id,
        "client_secret": secret(account.oauth2.client_secret),
        "refresh_token": secret(account.oauth2.refresh_token),
        "token_uri": account.oauth2.token_uri,
    }
    login = {
        "name": account.name,
        "username": account.username,
        "app_password": secret(account.app_password),
        "oauth2": oauth2,
        "service_account": secret(account.service_account),
        "max_logins_per_day": account.max_logins_per_day,
    }
    places = ", ".join(
        f"({e.name!r}, <Protocol.{e.protocol.name}: '{e.protocol}'>, {e.host!r}, {e.port}, "
        f"<Security.{e.security.name}: '{e.security}'>, <MechanismChoice.{e.mechanism.name}: '{e.mechanism}'>)"
        for e in sorted(endpoints, key=lambda e: (e.name, e.protocol, e.host, e.port, e.security, e.mechanism))
    )
    text = f"{json.dumps(login, ensure_ascii=False, separators=(',', ':'))} [{places}]"
    # A path of this system may have octets that are not UTF-8.
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()


def _interval(target: Target) -> float:
    """Return the login interval, less 1 %: a probe that is due at its end may come a little early."""
    return target.endpoint.login_interval * 0.99


def _name(target: Target) -> str:
    return "/".join(target.key)


def _scope(outcome: Outcome) -> str:
    """Return the protocol for which a refusal counts, or the whole account."""
    if outcome.reason in _OF_ONE_PROTOCOL or outcome.blame is Blame.PROVIDER:
        return outcome.target.endpoint.protocol.value
    return _WHOLE_ACCOUNT
