"""Ledgers whose time the tests set, and logins in them."""

from __future__ import annotations

from dataclasses import replace

from exporter.accounts.budget import Budget
from exporter.accounts.clock import Clock as SteadyClock
from exporter.accounts.ledger import Ledger
from exporter.accounts.ledger_file import Grant
from exporter.accounts.storage import Storage
from exporter.model.login import Denial
from exporter.model.mailbox import Mailbox, mailboxes
from exporter.model.outcome import Outcome, Phase, Target
from exporter.model.reason import Reason
from exporter.model.settings import Config
from tests.examples import ACCOUNT, Clock, failure, target

EPOCH = 1_800_000_000.0
"""The Unix time at which a `Clock` of the tests would show 0."""

IMAP = target("imap", account=ACCOUNT, login_interval=900)
POP3 = target("pop3", account=ACCOUNT, protocol=IMAP.endpoint.protocol.POP3, port=995, login_interval=900)
SECRET = ("secret",)


def steady(clock: Clock, boot: str = "boot") -> SteadyClock:
    """The clock of a budget: one boot, whose wall clock is right."""
    return SteadyClock(boot, clock, lambda: EPOCH + clock())


def mailbox_of(*targets: Target) -> Mailbox:
    """The mailbox of the account of these targets, with the login intervals that they have, however many they are."""
    accounts = {one.endpoint.account.name: one.endpoint.account for one in targets if one.endpoint.account}
    (mailbox,) = mailboxes(Config(accounts=accounts, endpoints={one.endpoint.name: one.endpoint for one in targets}))
    return replace(mailbox, planned={})


def budget_in(ledger: Ledger, *targets: Target) -> Budget:
    """The budget of these targets, as a new process has it."""
    budget = Budget(ledger, mailbox_of(*(targets or (IMAP, POP3))))
    ledger.watch([budget.entry])
    return budget


def ledger_of(clock: Clock, store: Storage | None = None, boot: str = "boot") -> Ledger:
    """A ledger in memory, or in a file."""
    return Ledger(store, steady(clock, boot))


async def log_in(
    budget: Budget, of: Target, outcome: Outcome, secret: tuple[str, ...] = SECRET, *, force: bool = False
) -> Denial | None:
    """Ask, and if the login is granted, report the outcome; return why it was not granted."""
    granted = await budget.ask(of, secret, force=force)
    if isinstance(granted, Grant):
        await budget.report(granted, outcome)
        return None
    return granted


async def granted(budget: Budget, of: Target, secret: tuple[str, ...] = SECRET, *, force: bool = False) -> Grant:
    """Ask for a login that is granted."""
    grant = await budget.ask(of, secret, force=force)
    assert isinstance(grant, Grant)
    return grant


def refused(of: Target, reason: Reason) -> Outcome:
    """The outcome of a refused login."""
    return failure(of, Phase.LOGIN, reason)
