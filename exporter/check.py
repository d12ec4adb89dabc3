"""One check of one target: ask the login budget, probe, remember.

The one path from the schedule through probing to the store; everything that happens to an outcome happens here.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Mapping

import structlog

from exporter.accounts.budget import Budget
from exporter.accounts.secrets import read_secret
from exporter.config import Account
from exporter.outcome import Outcome, Reason, Target
from exporter.probing.dialogue import CredentialUnavailable
from exporter.probing.probe import probe
from exporter.probing.resolve import Resolver
from exporter.probing.sasl import Credential
from exporter.store import Series, Store

log = structlog.get_logger("check")


class Checker:
    """Checks targets, and keeps the login budget of every account."""

    def __init__(self, store: Store, resolver: Resolver, environ: Mapping[str, str] = os.environ) -> None:
        self._store = store
        self._resolver = resolver
        self._environ = environ
        self._budgets: dict[Account, Budget] = {}

    def configure(self, accounts: Mapping[str, Account]) -> None:
        """Hold a budget for exactly these accounts; one whose configuration did not change keeps its own."""
        self._budgets = {
            account: self._budgets.get(account) or Budget(clock=time.monotonic) for account in accounts.values()
        }

    async def check(self, target: Target) -> None:
        """Probe `target` once, with a login where one is due, and remember the outcome."""
        account = target.endpoint.account
        budget = self._budgets.get(account) if account else None
        transcript: list[str] | None = [] if logging.getLogger("check").isEnabledFor(logging.DEBUG) else None
        if account is None or budget is None:
            outcome = await probe(target, self._resolver, transcript=transcript)
        else:
            outcome = await self._check_with_login(target, account, budget, transcript)
        if transcript is not None:
            log.debug("probed", **_facts(outcome), dialogue=transcript)
        self._remember(outcome, suspended=bool(budget and budget.suspended(target)))

    async def _check_with_login(
        self, target: Target, account: Account, budget: Budget, transcript: list[str] | None
    ) -> Outcome:
        """Probe with a login if the budget allows one now, else up to the capabilities."""
        if account.app_password is None:
            unavailable = CredentialUnavailable("logins with OAuth 2.0 are not supported by this version")
            return await probe(target, self._resolver, unavailable, transcript)
        try:
            secret = read_secret(account.app_password, self._environ)
        except CredentialUnavailable as error:
            return await probe(target, self._resolver, error, transcript)
        if budget.ask(target, secret):
            return await probe(target, self._resolver, transcript=transcript)
        outcome = None
        try:
            outcome = await probe(target, self._resolver, Credential(account.username, secret), transcript)
        finally:
            budget.report(target, secret, outcome)
        return outcome

    def _remember(self, outcome: Outcome, *, suspended: bool) -> None:
        """Store the outcome, and say what changed by it."""
        try:
            series = self._store[outcome.target.key]
        except KeyError:
            return  # a reload removed the target while it was being probed
        before = _state(series)
        self._store.add(outcome, suspended=suspended)
        if _state(series) != before:
            _announce(series, outcome, before)


def _state(series: Series) -> tuple[frozenset[tuple[str, Reason]], bool] | None:
    """What a line is written about when it changes: the failures that stand, and whether logins are held back."""
    if series.last is None:
        return None
    return frozenset((outcome.phase.value, outcome.reason) for outcome in series.failing), series.suspended


def _announce(series: Series, outcome: Outcome, before: object) -> None:
    failing = list(series.failing)
    for failed in failing:
        say = log.warning if failed.up else log.error
        say(
            "down" if not failed.up else "failing",
            **_facts(failed),
            **({"login_suspended": True} if series.suspended else {}),
        )
    if not failing:
        log.info("up" if before is None else "recovered", **_facts(outcome))


def _facts(outcome: Outcome) -> dict[str, object]:
    """The words of a log line."""
    facts: dict[str, object] = {
        "endpoint": outcome.target.endpoint.name,
        "ip_family": outcome.target.ip_family.value,
        "phase": outcome.phase.value,
        "reason": outcome.reason.value,
        "duration_seconds": round(outcome.duration, 6),
    }
    if not outcome.ok:
        facts |= {"blame": outcome.blame.value, "detail": outcome.detail, "remedy": outcome.reason.remedy}
    return facts
