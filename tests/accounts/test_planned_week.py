"""A week of probes of one mailbox, by a clock that the test sets: the ceiling is never reached, and all log in."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest

from exporter.accounts.budget import Budget
from exporter.accounts.ledger import Ledger
from exporter.accounts.ledger_file import Grant
from exporter.accounts.storage import Storage
from exporter.model.address import HostPattern
from exporter.model.login import Denial
from exporter.model.mailbox import mailboxes
from exporter.model.outcome import Target
from exporter.model.plan import DAY, PLANNED, REQUESTED
from exporter.model.settings import Config, IpFamily, Module, Protocol
from tests.accounts.ledgers import EPOCH, SECRET, ledger_of
from tests.examples import ACCOUNT, Clock, success, target

PROBE = 30.0
"""Seconds from one probe of a target to the next."""
RESTART = 1.3 * DAY
CEILING = ACCOUNT.max_logins_per_day


def config_of(
    count: int,
    *,
    first: int = 0,
    family: IpFamily = IpFamily.ANY,
    hosts: int = 0,
    most: int = CEILING,
    interval: float = 900,
) -> Config:
    """Endpoints of one account with the default values, each at a host of its own; and a module with so many hosts."""
    numbers = range(first, first + count)
    account = replace(ACCOUNT, max_logins_per_day=most)
    targets = [
        target(f"e{number}", family, account=account, host=f"h{number}.gmail.com", login_interval=interval)
        for number in numbers
    ]
    allowed = tuple(HostPattern(f"h{number}.gmail.com") for number in range(hosts))
    module = Module(name="m", protocol=Protocol.IMAP, port=993, account=account, allow_hosts=allowed)
    endpoints = {each.endpoint.name: each.endpoint for each in targets}
    return Config(accounts={account.name: account}, endpoints=endpoints, modules={"m": module} if hosts else {})


def budget_of(ledger: Ledger, config: Config) -> Budget:
    """The budget of the mailbox, as a new process has it."""
    budget = Budget(ledger, *mailboxes(config))
    ledger.watch([budget.entry])
    return budget


async def live(*configs: Config, seconds: float) -> Mapping[str, Sequence[float]]:
    """Probe every target while each configuration is in force for so long; return when each endpoint logged in.

    A login that is held back fails the test: nothing is to be suspended.
    """
    clock, logins = Clock(), defaultdict(list)
    with ledger_of(clock, Storage()) as ledger:
        budget = budget_of(ledger, configs[0])
        restarted = clock.now
        for config in configs:
            (mailbox,) = mailboxes(config)
            budget.configure(mailbox)
            ledger.watch([budget.entry])
            targets = [each for endpoint in config.login_endpoints for each in Target.of(endpoint)]
            end = clock.now + seconds
            while clock.now < end:
                if clock.now - restarted >= RESTART:
                    restarted, budget = clock.now, budget_of(ledger, config)
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
                        logins[each.name].append(clock.now)
                due = min(budget.status(each).next_login_at for each in targets) - EPOCH - clock.now
                clock.advance(PROBE * max(1, math.ceil(due / PROBE)))  # the next probe at which a login may be due
    return logins


def most_in_a_day(logins: Mapping[str, Sequence[float]]) -> int:
    """The most logins of all in any 24 hours."""
    every = sorted(at for of in logins.values() for at in of)
    return max(bisect_left(every, at + DAY) - number for number, at in enumerate(every))


@pytest.mark.parametrize(
    ("count", "family"), [*((count, IpFamily.ANY) for count in range(1, 21)), (4, IpFamily.BOTH)], ids=str
)
async def test_week(count: int, family: IpFamily) -> None:
    """With the default values no login is ever held back, and each endpoint logs in evenly, as often as is planned."""
    logins = await live(config_of(count, family=family), seconds=7 * DAY)
    assert most_in_a_day(logins) <= PLANNED * CEILING
    fewest, most = min(map(len, logins.values())), max(map(len, logins.values()))
    assert len(logins) == count * (2 if family is IpFamily.BOTH else 1)
    assert most - fewest <= 1
    planned = min(DAY / 900, math.floor(PLANNED * CEILING / len(logins)))
    assert fewest >= 7 * planned * (1 - 0.02)  # a probe comes up to 30 seconds after a login is due


@pytest.mark.parametrize(("count", "hosts"), [(0, 1), (0, 9), (1, 4), (4, 1), (4, 20), (20, 3)])
async def test_scrapes(count: int, hosts: int) -> None:
    """Whatever scrapes ask for, endpoints log in as often as without them, and the ceiling is not reached."""
    logins = await live(config_of(count, hosts=hosts), seconds=3 * DAY)
    assert len(logins) == count + hosts
    assert most_in_a_day(logins) <= REQUESTED * CEILING
    alone = await live(config_of(count), seconds=3 * DAY) if count else {}
    assert {name: len(logins[name]) for name in alone} == {name: len(of) for name, of in alone.items()}


@pytest.mark.parametrize("hours", [1, 5, 13])
async def test_reloads(hours: float) -> None:
    """Endpoints that come and go, up to 20 of them, bring no mailbox to its ceiling."""
    configs = [config_of(count) for count in (4, 8, 3, 20, 1, 20, 6, 20, 2, 5, 20, 4)]
    logins = await live(*configs, seconds=hours * 3600)
    assert most_in_a_day(logins) < CEILING


async def test_as_many_endpoints_as_logins() -> None:
    """Each logs in once a day, and none of them counts as held back while it waits for its turn."""
    logins = await live(config_of(12, most=12), seconds=7 * DAY)
    assert most_in_a_day(logins) == 12
    assert {len(of) for of in logins.values()} == {7}


@pytest.mark.parametrize("hours", [13, 23, 24.1, 50])
async def test_no_part_of_a_day(hours: float) -> None:
    """Of an interval of 23 hours, two logins fit in 24: they do not bring the mailbox to its ceiling."""
    logins = await live(config_of(4, most=6, interval=hours * 3600), seconds=6 * DAY)
    assert most_in_a_day(logins) == 4
    assert {len(of) for of in logins.values()} == {math.ceil(6 * 24 / max(24, hours))}


async def test_other_hosts_after_a_reload() -> None:
    """A reload that puts four other servers in place of four has them log in at once; twice a day it may."""
    logins = await live(*(config_of(4, first=4 * number) for number in range(4)), seconds=DAY / 2)
    assert most_in_a_day(logins) <= PLANNED * CEILING + 2 * 4
