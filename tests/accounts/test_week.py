"""A week of probes of one mailbox, by a clock that the test sets: the ceiling is never reached, and all log in."""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import replace

import pytest

from exporter.accounts.budget import Budget
from exporter.accounts.ledger import Ledger
from exporter.accounts.ledger_file import Grant
from exporter.accounts.standing import DAY
from exporter.accounts.storage import Storage
from exporter.model.login import Denial
from exporter.model.mailbox import PLANNED, mailboxes
from exporter.model.outcome import Target
from exporter.model.settings import Config, IpFamily
from tests.accounts.ledgers import EPOCH, SECRET, ledger_of
from tests.examples import ACCOUNT, Clock, success, target

LONG = {4: 7, 20: 7}
"""Numbers of endpoints for which a week is simulated; two days for all others, to save time."""


def targets_of(count: int, *, both: bool = False) -> list[Target]:
    """Endpoints of one account with the default intervals, each at a host of its own."""
    one = [target(f"imap-{number}", account=ACCOUNT, host=f"imap{number}.gmail.com") for number in range(count)]
    if not both:
        return one
    return [each for of in one for each in Target.of(replace(of.endpoint, ip_family=IpFamily.BOTH))]


def planned_in(ledger: Ledger, targets: list[Target]) -> Budget:
    """The budget of these targets, as a new process has it."""
    endpoints = {each.endpoint.name: each.endpoint for each in targets}
    (mailbox,) = mailboxes(Config(accounts={ACCOUNT.name: ACCOUNT}, endpoints=endpoints))
    budget = Budget(ledger, mailbox)
    ledger.watch([budget.entry])
    return budget


async def simulate(
    targets: list[Target], days: int, restart_every: float
) -> tuple[list[float], dict[Target, list[float]]]:
    """Probe each target every 30 s for so many days, and return all logins, and those of each target."""
    clock = Clock()
    every: list[float] = []
    of: dict[Target, list[float]] = {each: [] for each in targets}
    began = clock.now
    with ledger_of(clock, Storage()) as ledger:
        budget = planned_in(ledger, targets)
        restarted = began
        while clock.now < began + days * DAY:
            if clock.now - restarted >= restart_every:
                restarted, budget = clock.now, planned_in(ledger, targets)
            for each in targets:
                denial = budget.denial(each)
                assert denial in (None, Denial.INTERVAL)
                assert budget.status(each).held_by is None
                if denial is None:
                    grant = await budget.ask(each, SECRET)
                    if grant is Denial.INTERVAL:  # a budget that was not read yet after the restart
                        continue
                    assert isinstance(grant, Grant)
                    await budget.report(grant, success(each, login=True))
                    every.append(clock.now)
                    of[each].append(clock.now)
            due = min(budget.status(each).next_login_at for each in targets) - EPOCH - clock.now
            clock.advance(30 * max(1, math.ceil(due / 30)))  # the next probe at which a login may be due
    return every, of


def most_in_a_day(logins: list[float]) -> int:
    """The most logins in any 24 hours."""
    return max(bisect_left(logins, at + DAY) - number for number, at in enumerate(logins))


@pytest.mark.parametrize(("count", "both"), [*((count, False) for count in range(1, 21)), (4, True)], ids=str)
async def test_week(count: int, both: bool) -> None:
    """With the default values no login is ever held back, and each endpoint logs in evenly, as often as is planned."""
    targets = targets_of(count, both=both)
    days = LONG.get(count, 2)
    every, of = await simulate(targets, days, restart_every=1.3 * DAY)
    assert most_in_a_day(every) <= PLANNED * ACCOUNT.max_logins_per_day
    fewest, most = min(map(len, of.values())), max(map(len, of.values()))
    assert most - fewest <= 1
    wanted = DAY / targets[0].endpoint.login_interval
    planned = math.floor(PLANNED * ACCOUNT.max_logins_per_day / len(targets))
    assert fewest >= days * min(wanted, planned) - days
