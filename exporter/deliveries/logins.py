"""The sessions of a delivery: each needs the permission of the login budget, as those of endpoints do."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from exporter.accounts.access import Access
from exporter.accounts.budget import Budget
from exporter.accounts.ledger_file import Grant
from exporter.accounts.standing import Request
from exporter.model.delivery import NotMade
from exporter.model.login import Denial
from exporter.model.outcome import LOGIN_PHASES, Outcome, Target
from exporter.model.settings import Account, Endpoint
from exporter.probing.addresses import Known
from exporter.probing.dialogue import CredentialUnavailable
from exporter.probing.probe import Login
from exporter.probing.resolve import NameResolver
from exporter.probing.session import Session, open_session

BUSY_SECONDS = 60.0
"""Seconds for which a session waits for another login of its mailbox."""

BETWEEN_TRIES = 0.5

AccountOf = Callable[[Account], tuple[Budget, Access] | None]
"""Returns the login budget and the access of an account; None where it is not configured any more."""


class CannotLogIn(Exception):
    """No login is made, or it was refused: what there is to know of it is in `why`."""

    def __init__(self, why: NotMade) -> None:
        super().__init__(str(why))
        self.why = why


@dataclass(frozen=True, slots=True)
class Logins:
    """Opens sessions of accounts.

    Attributes:
        account_of: The budget and the access of an account.
        observe: Is told the Outcome of each session, up to the login and the folders, which is that of a probe, and
            returns it as it was judged.
    """

    account_of: AccountOf
    resolver: NameResolver
    observe: Callable[[Outcome], Awaitable[Outcome]]

    def check(self, endpoint: Endpoint) -> None:
        """See whether a login would be allowed at an endpoint.

        Raises:
            CannotLogIn: it would not, and waiting for another session or for an interval would not help.
        """
        account, budget, _ = self._account(endpoint)
        denial = budget.status(target_of(endpoint)).held_by
        if denial is not None and denial is not Denial.HOLD:  # a hold may end with a new secret, which is read later
            raise CannotLogIn(NotMade(account.name, denial.meaning, denial))

    @asynccontextmanager
    async def open(
        self, endpoint: Endpoint, change: Callable[[Request], Request] = lambda request: request
    ) -> AsyncIterator[Session]:
        """Open a session at an endpoint; `change` what is asked of the budget, which is one login without an interval.

        Raises:
            CannotLogIn: no login is allowed, or it was refused.
        """
        account, budget, access = self._account(endpoint)
        target = target_of(endpoint)
        with budget.session():
            try:
                secret = await access.secret_within(endpoint.timeout)
            except CredentialUnavailable as error:
                raise CannotLogIn(NotMade(account.name, str(error))) from None
            grant = await self._ask(budget, target, secret, change)
            async with self._begin(target, budget, access, secret, grant) as session:
                outcome = session.outcome
                if not session.is_open and outcome.phase in LOGIN_PHASES:
                    raise CannotLogIn(NotMade(account.name, f"{outcome.summary}: {outcome.detail}"))
                yield session

    def _account(self, endpoint: Endpoint) -> tuple[Account, Budget, Access]:
        account = endpoint.account
        assert account is not None  # noqa: S101 (the configuration sees to it)
        found = self.account_of(account)
        if found is None:
            raise CannotLogIn(NotMade(account.name, "a reload has changed the account"))
        return account, *found

    async def _ask(
        self, budget: Budget, target: Target, secret: tuple[str, ...], change: Callable[[Request], Request]
    ) -> Grant:
        request = change(without_interval(budget.request(target)))
        give_up_at = time.monotonic() + BUSY_SECONDS
        while True:
            granted = await budget.ask(target, secret, request=request)
            if isinstance(granted, Grant):
                return granted
            if granted is not Denial.BUSY or time.monotonic() > give_up_at:
                name = target.endpoint.account.name if target.endpoint.account else ""
                raise CannotLogIn(NotMade(name, granted.meaning, granted))
            await asyncio.sleep(BETWEEN_TRIES)

    @asynccontextmanager
    async def _begin(
        self, target: Target, budget: Budget, access: Access, secret: tuple[str, ...], grant: Grant
    ) -> AsyncIterator[Session]:
        """Log in, and report that to the budget at once: it is about the login, and not about what follows."""
        outcome: Outcome | None = None
        login: Login = None
        is_reported = False
        try:
            try:
                login = await access.credential(secret)
            except CredentialUnavailable as error:
                login = error
            secrets = await access.known_within(target.endpoint.timeout / 4)
            async with open_session(target, self.resolver, login, Known(), secrets) as session:
                outcome = session.outcome
                is_reported = True
                await _report(budget, access, grant, outcome, login)
                session.outcome = await self.observe(replace(outcome, login=budget.status(target)))
                yield session
        finally:
            if not is_reported:
                await _report(budget, access, grant, outcome, login)


async def _report(budget: Budget, access: Access, grant: Grant, outcome: Outcome | None, login: Login) -> None:
    refused = login.reason if isinstance(login, CredentialUnavailable) else None
    await budget.report(grant, outcome, refused, forgiven=outcome is not None and access.learn(outcome))


def target_of(endpoint: Endpoint) -> Target:
    """Return the target of an endpoint at which a delivery reads or sends: of several, the first."""
    return Target.of(endpoint)[0]


def without_interval(request: Request) -> Request:
    """Return a request that need not wait for an interval: deliveries come first, and endpoints go by their logins."""
    return replace(request, planned=0.0, early=1.0)
