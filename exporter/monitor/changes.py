"""Log lines for what changed, few enough to read however many endpoints change at once.

An endpoint that goes down, fails in another way or recovers has a line. Of many that change in the same way within a
minute, the first have a line each, and the others one together. What to do about a failure is in the first line of all
that have it in common, while any of them lasts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import structlog

from exporter.model.login import Denial, LoginStatus
from exporter.model.outcome import Outcome, Phase, Target, TargetKey
from exporter.model.reason import Blame, Reason
from exporter.model.release import NOWHERE, Way
from exporter.monitor.store import Series, Store

SINGLE = 10
"""Lines of one kind that are written one by one, in a minute."""

MINUTE = 60.0
"""Seconds after the first of them until the others have a line together."""

NAMES = 20
"""Endpoints that this line names; more are only counted."""

log = structlog.get_logger("check")


class _Problem(NamedTuple):
    """What failures with the same remedy have in common; the account, which the remedy may name, is no part of it."""

    phase: Phase
    reason: Reason
    blame: Blame
    party: str

    @classmethod
    def of(cls, failed: Outcome) -> _Problem:
        """Return the problem of a failed probe."""
        return cls(failed.phase, failed.reason, failed.blame, failed.blame_label)


class _Kind(NamedTuple):
    """What lines have in common."""

    level: str
    event: str
    problem: _Problem | None = None


@dataclass(slots=True)
class _Burst:
    """The changes of one kind in a minute."""

    timer: asyncio.TimerHandle
    single: int = 0
    others: dict[str, str] = field(default_factory=dict)
    """The endpoints that had no line of their own, with their hosts."""


class Changes:
    """Logs what changed in the store, and remembers what was told."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.way: Way = NOWHERE
        """How an account is released."""
        self._bursts: dict[_Kind, _Burst] = {}
        self._problems: dict[TargetKey, set[_Problem]] = {}
        """Of each target that fails, what was logged."""
        self._lasting: dict[_Problem, set[TargetKey]] = {}
        """The targets that have a problem."""

    def configure(self) -> None:
        """Forget the targets that are no longer in the store."""
        for key in [key for key in self._problems if key not in self._store]:
            self._learn(key, set())

    def close(self) -> None:
        """Log what would have had a line later."""
        for kind, burst in self._bursts.items():
            burst.timer.cancel()
            _log_others(kind, burst)
        self._bursts.clear()

    def failures(self, series: Series, outcome: Outcome, after: float | None) -> None:
        """Log what fails now, or that nothing fails any more after so many seconds of another condition; None: none."""
        failing = list(series.failing)
        for failed in failing:
            problem, facts = _Problem.of(failed), facts_of(failed)
            if problem not in self._lasting:
                facts["remedy"] = failed.next_step
            level, event = ("warning", "failing") if failed.up else ("error", "down")
            self._tell(_Kind(level, event, problem), failed.target, facts)
        self._learn(series.target.key, set(map(_Problem.of, failing)))
        if not failing and after is None:
            self._tell(_Kind("info", "up"), outcome.target, facts_of(outcome))
        elif not failing and after is not None:
            facts = {**facts_of(outcome), "after_seconds": round(after, 3)}
            self._tell(_Kind("info", "recovered"), outcome.target, facts)

    def suspension(self, target: Target, login: LoginStatus | None) -> None:
        """Log that logins are held back now, and why, or that they are no longer."""
        account = target.endpoint.account
        facts = {"endpoint": target.endpoint.name, "account": account.name if account else None}
        if login is None or login.held_by is None:
            self._tell(_Kind("info", "logins resumed"), target, facts)
            return
        facts["held_by"] = login.held_by.value
        if account and login.held_by is Denial.HOLD and (release := self.way.of(account.name)):
            facts["release"] = release
        if login.cause:
            facts["cause_endpoint"] = login.cause.endpoint
        if login.cause and login.cause.reason:
            facts["cause_reason"] = login.cause.reason.value
        self._tell(_Kind("warning", "logins suspended"), target, facts)

    def addresses(self, before: Outcome | None, outcome: Outcome) -> None:
        """Log which addresses do not connect while another one serves, where that has changed."""
        known = before.passed_over if before else ()
        if new := [address for address in outcome.passed_over if address not in known]:
            self._tell(
                _Kind("warning", "addresses passed over"), outcome.target, {**facts_of(outcome), "addresses": new}
            )

    def interception(self, before: Outcome | None, outcome: Outcome) -> None:
        """Log that another than the server answers, or no longer, where that has changed."""
        was, now = before.intercepted_by if before else None, outcome.intercepted_by
        if now and now != was:
            self._tell(_Kind("warning", "TLS is intercepted"), outcome.target, {**facts_of(outcome), "issuer": now})
        elif was and not now and outcome.observed.tls:
            self._tell(_Kind("info", "TLS is intercepted no longer"), outcome.target, facts_of(outcome))

    def verdict(self, before: Outcome | None, outcome: Outcome) -> None:
        """Log what the evidence shows of an outage, where that is something else than what was told before."""
        if before and not before.up and not outcome.up and before.verdict is not outcome.verdict:
            facts = {**facts_of(outcome), "remedy": outcome.next_step}
            self._tell(_Kind("warning", "verdict"), outcome.target, facts)

    def _learn(self, key: TargetKey, problems: set[_Problem]) -> None:
        before = self._problems.pop(key, set())
        if problems:
            self._problems[key] = problems
        for problem in before - problems:
            self._lasting[problem].discard(key)
            if not self._lasting[problem]:
                del self._lasting[problem]
        for problem in problems - before:
            self._lasting.setdefault(problem, set()).add(key)

    def _tell(self, kind: _Kind, target: Target, facts: Mapping[str, object]) -> None:
        burst = self._bursts.get(kind)
        if burst is None:
            burst = self._bursts[kind] = _Burst(self._later(kind))
        if burst.single < SINGLE:
            burst.single += 1
            getattr(log, kind.level)(kind.event, **facts)
        else:
            burst.others[target.name] = target.endpoint.host

    def _later(self, kind: _Kind) -> asyncio.TimerHandle:
        return asyncio.get_running_loop().call_later(MINUTE, self._end_burst, kind)

    def _end_burst(self, kind: _Kind) -> None:
        """Log those without a line of their own; while there are such, the next ones have none, either."""
        burst = self._bursts.pop(kind)
        if burst.others:
            _log_others(kind, burst)
            self._bursts[kind] = _Burst(self._later(kind), single=SINGLE)


def facts_of(outcome: Outcome) -> dict[str, object]:
    """The fields of a log line about a probe."""
    endpoint = outcome.target.endpoint
    facts: dict[str, object] = {
        "endpoint": endpoint.name,
        "host": endpoint.host,
        "port": endpoint.port,
        "ip_family": outcome.target.ip_family.value,
        "duration_seconds": round(outcome.duration, 6),
    }
    if not outcome.ok:
        facts |= {
            "phase": outcome.phase.value,
            "reason": outcome.reason.value,
            "blame": outcome.blame.value,
            "verdict": outcome.verdict.value if outcome.verdict else "",
            "because": str(outcome.judgement or ""),
            "detail": outcome.detail,
            "evidence": str(outcome.observed.tcp or ""),
        }
    return facts


def _log_others(kind: _Kind, burst: _Burst) -> None:
    """Log the endpoints of a burst that had no line of their own, in one."""
    if not burst.others:
        return
    hosts = sorted(set(burst.others.values()))
    facts: dict[str, object] = {"endpoints": len(burst.others), "names": list(burst.others)[:NAMES]}
    facts |= {"host": hosts[0]} if len(hosts) == 1 else {"hosts": len(hosts)}
    if kind.problem:
        phase, reason, blame, _ = kind.problem
        facts |= {"phase": phase.value, "reason": reason.value, "blame": blame.value}
    getattr(log, kind.level)(kind.event, **facts)
