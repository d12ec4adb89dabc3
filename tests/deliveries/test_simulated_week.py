"""A week in seconds: a delivery each half an hour, a restart every hour, crashes between submission and clearing away.

The sessions are with mailboxes in memory that know what a server knows; the budgets are in a real file, by a clock that
the test sets. Of what is sent, every 50th message is taken for spam, and every 40th run ends with its process.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import pytest

from exporter.accounts.ledger import Ledger
from exporter.accounts.sends import Sends
from exporter.accounts.storage import Storage
from exporter.deliveries import logins as module_of_logins
from exporter.deliveries import run as module_of_run
from exporter.deliveries.logins import Logins
from exporter.deliveries.run import Deliveries
from exporter.model.outcome import Observed, Outcome, Target
from exporter.model.plan import DAY, PLANNED
from exporter.model.settings import Config, Protocol, SecretRef
from exporter.monitor.checker import Checker
from exporter.monitor.delivery_schedule import DeliverySchedule
from exporter.monitor.delivery_series import Made
from exporter.monitor.store import Store
from exporter.probing.dialogue import ReadLine, Send, Work
from exporter.probing.resolve import Resolver
from tests.accounts.ledgers import steady
from tests.deliveries.results import DELIVERY, IMAP, RECIPIENT, SENDER, VIA
from tests.examples import Clock, success
from tests.probing.fake_mailbox import FakeMailbox, Message

T = TypeVar("T")
FOLDERS = (b"INBOX", b"Spam", b"Trash", b"Sent")
STEP = 300.0
WEEK = 7 * DAY


class Crash(BaseException):
    """The process ends here."""


class World:
    """Both mailboxes, all sessions, and what goes wrong."""

    def __init__(self) -> None:
        theirs = [Message(b"Message-ID: <a@b>\r\nSubject: gmail-exporter test message\r\n\r\n") for _ in range(3)]
        self.boxes = {
            name: FakeMailbox(
                {folder: [replace(one) for one in theirs] for folder in (b"INBOX", b"Spam", b"Trash", b"Sent")}
            )
            for name in ("ops", "probe")
        }
        self.logins: dict[str, list[float]] = {"ops": [], "probe": []}
        self.sent: list[float] = []
        self.crashed: set[int] = set()
        """After how many messages the process has ended."""
        self.clock = Clock()

    def submit(self, message: bytes) -> None:
        """Deliver a message, and keep a copy for the sender."""
        self.sent.append(self.clock.now)
        header = message.replace(b"\r\n..", b"\r\n.").partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
        number = len(self.sent)
        folder = b"Spam" if number % 50 == 0 else b"INBOX"
        for box, where in ((self.boxes["probe"], folder), (self.boxes["ops"], b"Sent")):
            box.folders[where].append(Message(header, uid=100_000 + number))


class FakeSession:
    """A session with one of the mailboxes, or with the server that submits."""

    is_open = True
    capabilities = frozenset({b"IMAP4REV1", b"MOVE", b"UIDPLUS"})

    def __init__(self, world: World, target: Target) -> None:
        self.world = world
        self.target = target
        observed = Observed(login_attempted=True, capabilities=("SIZE 1000000",))
        self.outcome: Outcome = success(target, login=True, observed=observed)

    async def do(self, work: Work[T], seconds: float) -> T:
        """Do a piece of work."""
        if self.target.endpoint.protocol is Protocol.SMTP:
            return self._submit(work)
        number = len(self.world.sent)
        if number % 40 == 0 and number not in self.world.crashed and self.target.endpoint.name == "imap":
            self.world.crashed.add(number)
            raise Crash
        account = self.target.endpoint.account
        assert account
        return self.world.boxes[account.name].do(work)

    def _submit(self, work: Work[T]) -> T:
        answer: Any = None
        replies = iter([b"250 OK", b"250 OK", b"354 go ahead", b"250 OK"])
        while True:
            try:
                step = work.send(answer)
            except StopIteration as end:
                result: T = end.value
                return result
            answer = None
            if isinstance(step, Send) and step.data.endswith(b"\r\n.\r\n"):
                self.world.submit(step.data.removesuffix(b".\r\n"))
            elif isinstance(step, ReadLine):
                answer = next(replies)
            elif not isinstance(step, Send):
                answer = time.perf_counter()


class Calendar:
    """The time of the test, in place of the module."""

    def __init__(self, clock: Clock) -> None:
        self.time = clock
        self.perf_counter = time.perf_counter


async def test_a_week(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sends and logins are within their plans; nothing is left over but in spam; nobody else's message is touched."""
    world = World()
    clock = world.clock
    clock.now = 1_700_000_000.0

    @asynccontextmanager
    async def open_session(target: Target, *_: object) -> AsyncIterator[FakeSession]:
        account = target.endpoint.account
        assert account
        world.logins[account.name].append(clock.now)
        yield FakeSession(world, target)

    monkeypatch.setattr(module_of_logins, "open_session", open_session)
    monkeypatch.setattr(module_of_run, "time", Calendar(clock))
    secret = tmp_path / "secret"
    secret.write_text("secret-password", "utf-8")
    config = _config(secret)
    theirs = {name: _of_others(box) for name, box in world.boxes.items()}
    counts: Counter[Made] = Counter()
    crashes = 0
    end = clock.now + WEEK
    resolver = Resolver()
    while clock.now < end:
        with Ledger(Storage(tmp_path / "ledger.db"), steady(clock)) as ledger:
            schedule = _process(config, ledger, resolver, clock)
            crashes += await _crashes_within_an_hour(schedule, clock)
            for series in schedule:
                counts += series.counts
    await resolver.close()
    sent = world.sent
    assert 320 <= len(sent) <= 7 * 48 + 3  # the last process ends later
    assert crashes >= 7
    assert counts[Made.NOT_MADE] == 0
    assert _most_in_a_day(sent) <= PLANNED * 100
    for times in world.logins.values():
        assert _most_in_a_day(times) <= PLANNED * 200
    for name, box in world.boxes.items():
        assert _of_others(box) == theirs[name]
    # The last run may have been one that crashed; the next one would clear it away.
    assert len(_ours(world.boxes["probe"], b"INBOX")) <= 1
    assert len(_ours(world.boxes["probe"], b"Spam")) == len(world.sent) // 50
    assert len(_ours(world.boxes["ops"], b"Sent")) <= 49


def _process(config: Config, ledger: Ledger, resolver: Resolver, clock: Clock) -> DeliverySchedule:
    """What a process has: it knows what is in the ledger, and nothing else."""
    checker = Checker(Store(), resolver, ledger, {})
    checker.configure(config)

    async def observe(outcome: Outcome) -> Outcome:
        return outcome

    deliveries = Deliveries(Logins(checker.account_of, resolver, observe), Sends(ledger), ledger)
    deliveries.configure(config)
    schedule = DeliverySchedule(deliveries.run, clock)
    schedule.configure(config)
    return schedule


async def _crashes_within_an_hour(schedule: DeliverySchedule, clock: Clock) -> bool:
    """Let an hour pass; return whether the process has ended before that."""
    for _ in range(int(3600 / STEP)):
        clock.advance(STEP)
        await schedule.begin_what_is_due()
        for task in list(schedule._tasks.values()):
            try:
                await task
            except Crash:
                return True
    return False


def _config(secret: Path) -> Config:
    accounts = {one.name: replace(one, app_password=SecretRef(file=secret)) for one in (SENDER, RECIPIENT)}
    via, imap = replace(VIA, account=accounts["ops"]), replace(IMAP, account=accounts["probe"])
    copies = replace(IMAP, name="ops-imap", account=accounts["ops"])
    delivery = replace(
        DELIVERY, sender=accounts["ops"], via=via, recipient=accounts["probe"], read_at=(imap,), sent_at=copies
    )
    endpoints = {each.name: each for each in (via, imap, copies)}
    return Config(accounts=accounts, endpoints=endpoints, deliveries={delivery.name: delivery})


def _of_others(box: FakeMailbox) -> dict[bytes, list[Message]]:
    return {folder: [one for one in messages if b"<a@b>" in one.header] for folder, messages in box.folders.items()}


def _ours(box: FakeMailbox, folder: bytes) -> list[Message]:
    return [one for one in box.folders[folder] if b"<gmail-exporter." in one.header]


def _most_in_a_day(times: list[float]) -> int:
    """The most of these times in any 24 hours."""
    return max(sum(begin <= at < begin + DAY for at in times) for begin in times)
