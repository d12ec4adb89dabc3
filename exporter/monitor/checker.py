"""One check of one target: ask the login budget, probe, store the Outcome, log what changed.

It is the only path from the schedule and from `/probe` through probing to the store.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections import defaultdict
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from dataclasses import replace

import structlog

from exporter.accounts.access import Access
from exporter.accounts.budget import PATIENCE, Budget
from exporter.accounts.ledger import Ledger
from exporter.accounts.ledger_file import Grant
from exporter.config.dump import stretches
from exporter.model.domain import Dane
from exporter.model.login import Denial
from exporter.model.mailbox import Mailbox, mailboxes
from exporter.model.outcome import Outcome, Target
from exporter.model.release import Release, Way
from exporter.model.settings import Account, Config
from exporter.monitor.changes import SINGLE, Changes, facts_of
from exporter.monitor.gathering import Gathering
from exporter.monitor.store import Store
from exporter.probing.addresses import RETRY_EVERY, Known
from exporter.probing.dialogue import CredentialUnavailable
from exporter.probing.probe import Login, probe
from exporter.probing.public import PublicResolver
from exporter.probing.resolve import Resolver
from exporter.verdict.judge import judge, judged, told

STRETCHED = "logins are planned at longer intervals than login_interval"
"""The log's line where a mailbox has too many endpoints for its `max_logins_per_day`."""

log = structlog.get_logger("check")


class ExchangePolicies:
    """What a domain demands of its exchanges; here, nothing."""

    def tlsa(self, _target: Target) -> Dane | None:
        """Return the TLSA records by which an exchange is verified; None where there are none."""
        return None

    def enforced(self, outcome: Outcome) -> Outcome:
        """Return the Outcome of an exchange as senders see it that go by the domain's policy."""
        return outcome


class Checker:
    """Checks targets, and keeps the login budget of every mailbox and the access of every account."""

    def __init__(
        self,
        store: Store,
        resolver: Resolver,
        ledger: Ledger,
        environ: Mapping[str, str] = os.environ,
        *,
        gathering: Gathering | None = None,
        at_once: bool = False,
    ) -> None:
        """Without `gathering`, verdicts rest on what the probe itself saw.

        With `at_once` they are told after one probe, for there is no second one.
        """
        self._store = store
        self._resolver = resolver
        self._ledger = ledger
        self._environ = environ
        self._gathering = gathering
        self._at_once = at_once
        self.policies = ExchangePolicies()
        self._changes = Changes(store)
        self._accounts: dict[str, tuple[Budget, Access]] = {}
        self._budgets: dict[str, list[Budget]] = defaultdict(list)
        """By user."""
        self._logins: set[asyncio.Task[Outcome]] = set()
        """Logins of requests; they are completed also after the client has disconnected."""

    @property
    def accesses(self) -> Iterable[Access]:
        """The access of each account."""
        return (access for _, access in self._accounts.values())

    def configure(self, config: Config) -> None:
        """Keep exactly these accounts. A mailbox that is still there keeps its budget, and an account its token."""
        self.forget()
        accounts, self._accounts = self._accounts, {}
        budgets, self._budgets = self._budgets, defaultdict(list)
        changed = []
        for mailbox in mailboxes(config):
            of_user = budgets[mailbox.username]
            same = next((budget for budget in of_user if budget.entry.mailbox.overlaps(mailbox)), None)
            if same:
                of_user.remove(same)
            budget = same or Budget(self._ledger, mailbox)
            if any(_stretched(mailbox)) and not (same and _stretched(same.entry.mailbox) == _stretched(mailbox)):
                changed.append(mailbox)
            budget.configure(mailbox)
            self._budgets[mailbox.username].append(budget)
            for account in mailbox.accounts:
                access = accounts[account.name][1] if account.name in accounts else None
                if access is None or access.account != account:
                    access = Access(account, self._environ)
                self._accounts[account.name] = budget, access
        _log_stretched(changed)
        self._ledger.watch(budget.entry for of_user in self._budgets.values() for budget in of_user)

    def forget(self) -> None:
        """Forget what was logged of targets that are no longer in the store."""
        self._changes.configure()

    @property
    def accounts(self) -> Mapping[str, Account]:
        """All accounts, by their names."""
        return {name: access.account for name, (_, access) in self._accounts.items()}

    def tell(self, way: Way) -> None:
        """Say in the log how an account that is held is released."""
        self._changes.way = way

    async def release(self, account: str) -> tuple[Release, Mailbox]:
        """Permit an account that is held one login; return what became of it, and the mailbox.

        Raises:
            KeyError: There is no such account.
            LedgerError: The login budgets cannot be used.
        """
        budget, _ = self._accounts[account]
        return await budget.release(), budget.entry.mailbox

    def budget_of(self, target: Target) -> Budget | None:
        """The login budget of a target, which all targets of its mailbox share; None where it has no account."""
        found = self._account_of(target)
        return found[0] if found else None

    async def check(self, target: Target, *, force: bool = False) -> Outcome:
        """Probe `target` once, with a login where one is due, and store the Outcome.

        With `force` it logs in even if the budget does not allow it.
        """
        account = self._account_of(target)
        if account is None:
            tlsa = self.policies.tlsa(target)
            outcome = await probe(target, self._resolver, known=self._known(target), tlsa=tlsa)
            outcome = await self.add(self.policies.enforced(outcome))
        else:
            outcome = await self._check_account(target, *account, force=force)
        _debug(outcome)
        return outcome

    async def check_requested(self, target: Target, *, public_only: bool = False) -> Outcome:
        """Probe a target of a request of `/probe`: as `check`, but its Outcome is not stored.

        It ends within the endpoint's timeout, the wait for a token included. `public_only` excludes addresses that are
        not public; no target with an account needs that, for those are configured.

        A login that the budget has granted is completed even if this is cancelled: otherwise a client that always
        disconnects early could make the exporter try a refused secret repeatedly.
        """
        account = self._account_of(target)
        if account is None:
            resolver = PublicResolver(self._resolver) if public_only else self._resolver
            outcome = self._judged(await probe(target, resolver))
        else:
            outcome = await self._check_account(target, *account, in_time=True)
        _debug(outcome)
        return outcome

    async def close(self) -> None:
        """Cancel the logins of requests that are still running, and log what was kept back."""
        self._changes.close()
        for login in self._logins:
            login.cancel()
        await asyncio.gather(*self._logins, return_exceptions=True)

    def _judged(self, outcome: Outcome) -> Outcome:
        """Judge the Outcome of a target that is not configured, by what is known without a look."""
        if self._gathering and not outcome.up:
            outcome = replace(outcome, evidence=self._gathering.known(outcome))
        return judged(outcome)

    def account_of(self, account: Account) -> tuple[Budget, Access] | None:
        """Return the budget and the access of an account, unless a reload has changed or removed it."""
        found = self._accounts.get(account.name)
        return found if found and found[1].account == account else None

    def _account_of(self, target: Target) -> tuple[Budget, Access] | None:
        """The budget and the access of the target's account, unless a reload has changed the account since."""
        account = target.endpoint.account
        return self.account_of(account) if account else None

    async def _check_account(
        self, target: Target, budget: Budget, access: Access, *, force: bool = False, in_time: bool = False
    ) -> Outcome:
        """Return the Outcome of a probe with a login if the budget allows one now, else up to the capabilities."""
        denied = None if force else budget.denial(target)
        login: Login = None
        if denied in {None, Denial.HOLD}:
            # Read only if a login is due, or a hold may end because the secret is new. If it cannot be read while
            # logins are held, the hold is reported.
            began, secret = time.monotonic(), None
            try:
                secret = await access.secret_within(target.endpoint.timeout / 4)
            except CredentialUnavailable as error:
                login = None if denied else error
            if secret is not None:
                patience = min(PATIENCE, target.endpoint.timeout / 4) if in_time else PATIENCE
                granted = await budget.ask(target, secret, force=force, patience=patience)
                if in_time:
                    target = _shortened(target, time.monotonic() - began)
                if isinstance(granted, Grant):
                    logging_in = self._log_in(target, budget, access, granted, secret, in_time=in_time)
                    return await (self._complete(logging_in) if in_time else logging_in)
                denied = granted
            elif in_time:
                target = _shortened(target, time.monotonic() - began)
        outcome = await self._probe(target, access, login)
        return await self.add(replace(outcome, login=budget.status(target, denied)))

    async def _probe(self, target: Target, access: Access, login: Login) -> Outcome:
        secrets = await access.known_within(target.endpoint.timeout / 4)
        return await probe(target, self._resolver, login, self._known(target), secrets)

    def _known(self, target: Target) -> Known:
        """What the last probe of the target has shown of its addresses; nothing for a target of a request."""
        if not self._store.holds(target) or (last := self._store[target.key].last) is None:
            return Known()
        return Known(last.observed.dead_addresses, self._store[target.key].version % RETRY_EVERY == 0)

    async def _complete(self, logging_in: Coroutine[None, None, Outcome]) -> Outcome:
        """Return the Outcome of a login that goes on when this is cancelled; the timeout of its endpoint bounds it."""
        task = asyncio.create_task(logging_in, name="login")
        self._logins.add(task)
        task.add_done_callback(self._completed)
        return await asyncio.shield(task)

    def _completed(self, task: asyncio.Task[Outcome]) -> None:
        self._logins.discard(task)
        if not task.cancelled() and (fault := task.exception()):
            log.error("fault in a login", exc_info=fault)  # its request may have been cancelled

    async def _log_in(
        self, target: Target, budget: Budget, access: Access, grant: Grant, secret: tuple[str, ...], *, in_time: bool
    ) -> Outcome:
        """Probe with the login that the budget has granted, and report the result to the budget."""
        outcome: Outcome | None = None
        login: Login = None
        began = time.monotonic()
        try:
            try:
                # Before the probe begins: the time of the token endpoint is not the mail server's latency.
                if in_time:
                    login = await access.credential_within(secret, target.endpoint.timeout / 2)
                else:
                    login = await access.credential(secret)
            except CredentialUnavailable as error:
                login = error
            if in_time:
                target = _shortened(target, time.monotonic() - began)
            outcome = await self._probe(target, access, login)
        finally:
            refused = login.reason if isinstance(login, CredentialUnavailable) else None
            await budget.report(grant, outcome, refused, forgiven=outcome is not None and access.learn(outcome))
        return await self.add(replace(outcome, login=budget.status(target)))

    async def add(self, outcome: Outcome) -> Outcome:
        """Judge the Outcome, store it where its target is configured, log what changed, and return it."""
        if not self._store.holds(outcome.target):
            return self._judged(outcome)  # of a request, or of a target that a reload removed or changed meanwhile
        if self._gathering and outcome.up:
            self._gathering.recover(outcome.target)
        elif self._gathering:
            outcome = replace(outcome, evidence=await self._gathering.evidence(outcome))
            if not self._store.holds(outcome.target):
                return self._judged(outcome)
        series = self._store[outcome.target.key]
        if not outcome.ok:
            judgement = judge(outcome) if self._at_once else told(series.last, outcome)
            outcome = replace(outcome, judgement=judgement)
        was_suspended, after, before = series.suspended, series.lasted, series.last
        if series.add(outcome):
            self._changes.failures(series, outcome, after)
        self._changes.addresses(before, outcome)
        self._changes.interception(before, outcome)
        self._changes.verdict(before, outcome)
        if series.suspended != was_suspended:
            self._changes.suspension(outcome.target, outcome.login)
        return outcome


def _stretched(mailbox: Mailbox) -> tuple[Sequence[object], ...]:
    return mailbox.plan.stretched, mailbox.requests.stretched


def _log_stretched(stretched: Sequence[Mailbox]) -> None:
    for mailbox in stretched[:SINGLE]:
        for plan, event in ((mailbox.plan, STRETCHED), (mailbox.requests, f"{STRETCHED}, for modules")):
            if plan.stretched:
                log.info(
                    event,
                    accounts=[account.name for account in mailbox.accounts],
                    login_interval=stretches(plan),
                    asked=round(plan.asked),
                    planned=round(plan.planned),
                    max_logins_per_day=mailbox.max_logins_per_day,
                )
    if len(stretched) > SINGLE:
        log.info(STRETCHED, further_mailboxes=len(stretched) - SINGLE)


def _shortened(target: Target, seconds: float) -> Target:
    """The target with its timeout shortened by so many seconds, by three quarters at most."""
    endpoint = target.endpoint
    left = replace(endpoint, timeout=max(endpoint.timeout - seconds, endpoint.timeout / 4))
    return replace(target, endpoint=left)


def _debug(outcome: Outcome) -> None:
    if logging.getLogger("check").isEnabledFor(logging.DEBUG):
        log.debug("probed", **facts_of(outcome), dialogue=list(map(str, outcome.dialogue)))
