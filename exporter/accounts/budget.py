"""The login budget of a mailbox: it must grant each login, so that monitoring never locks the account.

The rules are in `exporter.accounts.standing`. Between logins they are applied to what was last read of the ledger,
which costs next to nothing. A login itself is granted by the ledger, in one transaction, so that processes that share
it agree.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager

from exporter.accounts.access import TOKEN_TIMEOUT
from exporter.accounts.ledger import Entry, Granted, Ledger
from exporter.accounts.ledger_file import Grant
from exporter.accounts.ledger_schema import LedgerError
from exporter.accounts.standing import Request, Standing, Verdict, judge
from exporter.model.login import Denial, LoginStatus
from exporter.model.mailbox import Mailbox
from exporter.model.outcome import Outcome, Target, TargetKey
from exporter.model.reason import Reason
from exporter.model.release import Release
from exporter.model.settings import Endpoint

PATIENCE = 3.0
"""Seconds for which a login waits for the ledger."""


class Budget:
    """The budget of one mailbox, for all accounts that log in to it."""

    def __init__(self, ledger: Ledger, mailbox: Mailbox) -> None:
        self._ledger = ledger
        self.entry = Entry(mailbox)
        self._requests: dict[TargetKey, tuple[Endpoint, Request]] = {}
        self._digests: dict[str, tuple[tuple[str, ...], str]] = {}
        """By account: the secret that was last asked for, and its digest."""
        self._sessions = 0
        """Sessions of deliveries that are open."""

    def configure(self, mailbox: Mailbox) -> None:
        """Go on with the mailbox as it is configured now."""
        self.entry.mailbox = mailbox
        self._requests.clear()

    @contextmanager
    def session(self) -> Iterator[None]:
        """Let endpoints wait with their logins meanwhile: a session that is open satisfies them."""
        self._sessions += 1
        try:
            yield
        finally:
            self._sessions -= 1

    def denial(self, target: Target) -> Denial | None:
        """Return why `target` may not log in now, if its secret has not changed; None also where only asking tells."""
        if self._ledger.fault:
            return Denial.STORAGE
        if self._sessions:
            return Denial.BUSY
        standing = self.entry.standing or Standing()
        return standing.denial(self._known_request(target), self._digest(target), self._ledger.clock.now())

    async def ask(
        self,
        target: Target,
        secret: tuple[str, ...],
        *,
        force: bool = False,
        patience: float = PATIENCE,
        request: Request | None = None,
    ) -> Grant | Denial:
        """Grant `target` a login with `secret`, or return why it may not log in now.

        A `request` in place of that of the endpoint is one of a delivery, which does not wait for sessions.
        No other login of the mailbox is granted until `report` is called. `force`, requested by an operator, ignores
        every reason but that another login is under way, and that the ledger cannot be used. It takes `patience`
        seconds at most.
        """
        account = _account(target)
        known = self._digests.get(account)
        if (
            not (force or request)
            and (denial := self.denial(target))
            and (denial is Denial.BUSY or (known and known[0] == secret))
        ):
            return denial
        if self._ledger.fault:
            return Denial.STORAGE
        future = self._ledger.grant(self.entry, request or self.request(target), secret, force=force)
        try:
            async with asyncio.timeout(patience):
                granted, digest = await asyncio.wrap_future(future)
        except LedgerError:
            return Denial.STORAGE
        except BaseException as error:
            future.add_done_callback(self._take_back)
            if isinstance(error, TimeoutError):
                return Denial.STORAGE
            raise
        self._digests[account] = secret, digest
        return granted

    async def report(
        self, grant: Grant, outcome: Outcome | None, refused: Reason | None = None, *, forgiven: bool = False
    ) -> None:
        """End a login that was granted: see `judge`. It returns once that is stored, or after `PATIENCE` seconds."""
        future = self._ledger.settle(grant, judge(outcome, refused, forgiven=forgiven))
        if outcome is not None:  # else it was cancelled, and nobody waits
            await asyncio.wait({asyncio.wrap_future(future)}, timeout=PATIENCE)

    async def release(self) -> Release:
        """Permit one login in spite of what was refused, within `PATIENCE` seconds.

        Raises:
            LedgerError: What is stored cannot be used.
        """
        asked = [self._digests.get(account.name) for account in self.entry.mailbox.accounts]
        secrets = None if None in asked else [known[0] for known in asked if known]
        try:
            async with asyncio.timeout(PATIENCE):
                return await asyncio.wrap_future(self._ledger.release(self.entry.mailbox, secrets))
        except TimeoutError:
            raise LedgerError(f"no answer within {PATIENCE:g} s") from None

    def status(self, target: Target, denied: Denial | None = None) -> LoginStatus:
        """Return what the budget allows `target` now; `denied` is why the login of this probe was not allowed."""
        clock, standing = self._ledger.clock, self.entry.standing or Standing()
        now, request, digest = clock.now(), self._known_request(target), self._digest(target)
        logins, interval = standing.logins_of_day(now), max(request.interval, request.planned)
        if self._ledger.fault or denied is Denial.STORAGE:
            return LoginStatus(Denial.STORAGE, math.inf, logins, denied, request.most, None, interval)
        denial = standing.denial(request, digest, now)
        held_by = denial if denial and denial.protects else None
        next_login_at = clock.unix(standing.next_login_at(request, digest, now))
        cause = standing.cause(request, digest, now) if held_by else None
        last = standing.last_release
        return LoginStatus(
            held_by,
            next_login_at,
            logins,
            denied,
            request.most,
            cause,
            interval,
            standing.has_trial,
            clock.unix(last.next_at) if last and now < last.next_at else None,
        )

    def _known_request(self, target: Target) -> Request:
        """What a target asks for, made once: each probe needs it."""
        endpoint, request = self._requests.get(target.key, (None, None))
        if request is None or endpoint is not target.endpoint:
            request = self.request(target)
            self._requests[target.key] = target.endpoint, request
        return request

    def request(self, target: Target) -> Request:
        """Return what a target asks for."""
        endpoint, mailbox = target.endpoint, self.entry.mailbox
        return Request(
            place=mailbox.place(target),
            protocol=endpoint.protocol.value,
            interval=endpoint.login_interval,
            most=mailbox.max_logins_per_day,
            planned=mailbox.planned.get(target.key, 0.0),
            longest=endpoint.longest + TOKEN_TIMEOUT,
            endpoint=endpoint.name,
        )

    def _digest(self, target: Target) -> str | None:
        known = self._digests.get(_account(target))
        return known[1] if known else None

    def _take_back(self, future: Future[Granted]) -> None:
        """Give a login back that was granted when nobody waited for it any more."""
        if not future.cancelled() and not future.exception() and isinstance(grant := future.result()[0], Grant):
            self._ledger.settle(grant, Verdict(is_made=False))


def _account(target: Target) -> str:
    return target.endpoint.account.name if target.endpoint.account else ""
