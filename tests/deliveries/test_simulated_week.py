"""A week in seconds: a delivery each half an hour, a restart every hour, crashes between submission and clearing away.

The sessions are with mailboxes in memory that know what a server knows; the budgets are in a real file, by a clock that
the test sets. Of what is sent, every 50th message is taken for spam, and every 40th run ends with its process.

Then a day and a half with more endpoints and deliveries, or fewer: all of them share the logins of their mailboxes.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import pytest

from exporter.accounts import sends as module_of_sends
from exporter.accounts.ledger import Ledger
from exporter.accounts.ledger_file import Grant
from exporter.accounts.sends import Sends
from exporter.accounts.storage import Storage
from exporter.deliveries import logins as module_of_logins
from exporter.deliveries import run as module_of_run
from exporter.deliveries.logins import Logins
from exporter.deliveries.run import Deliveries
from exporter.model.delivery_plan import intervals
from exporter.model.login import Denial
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
from tests.deliveries.results import DELIVERY, IMAP, POP3, RECIPIENT, SENDER, VIA
from tests.examples import Clock, success
from tests.probing.fake_mailbox import FakeMailbox, Message

T = TypeVar("T")
FOLDERS = (b"INBOX", b"Spam", b"Trash", b"Sent")
STEP = 300.0
RESTART = 7 * 3600.0
WEEK = 7 * DAY


class Crash(BaseException):
    """The process ends here."""


class World:
    """Both mailboxes, all sessions, and what goes wrong, unless it `is_kind`."""

    def __init__(self, *, is_kind: bool = False) -> None:
        self.is_kind = is_kind
        theirs = [Message(b"Message-ID: <a@b>\r\nSubject: gmail-exporter test message\r\n\r\n") for _ in range(3)]
        self.boxes = {
            name: FakeMailbox(
                {folder: [replace(one) for one in theirs] for folder in (b"INBOX", b"Spam", b"Trash", b"Sent")}
            )
            for name in ("ops", "probe")
        }
        self.logins: dict[str, list[float]] = {"ops": [], "probe": []}
        self.at_endpoints: Counter[str] = Counter()
        self.sent: list[float] = []
        self.crashed: set[int] = set()
        """After how many messages the process has ended."""
        self.clock = Clock()
        self.clock.now = 1_700_000_000.0

    @asynccontextmanager
    async def open_session(self, target: Target, *_: object) -> AsyncIterator[FakeSession]:
        """Log in."""
        self.log_in(target)
        yield FakeSession(self, target)

    def log_in(self, target: Target) -> None:
        """Count a login."""
        assert target.endpoint.account
        self.logins[target.endpoint.account.name].append(self.clock.now)
        self.at_endpoints[target.endpoint.name] += 1

    def crash_now_and_then(self, endpoint: str) -> None:
        """End the process where a message was just sent, and was not looked for."""
        number = len(self.sent)
        if number % 40 == 0 and number not in self.crashed and endpoint == "imap" and not self.is_kind:
            self.crashed.add(number)
            raise Crash

    def submit(self, message: bytes) -> None:
        """Deliver a message, and keep a copy for the sender."""
        self.sent.append(self.clock.now)
        header = message.replace(b"\r\n..", b"\r\n.").partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
        number = len(self.sent)
        folder = b"Spam" if number % 50 == 0 and not self.is_kind else b"INBOX"
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
        if self.target.endpoint.protocol is Protocol.POP3:
            work.close()
            return True, frozenset()  # type: ignore[return-value]
        self.world.crash_now_and_then(self.target.endpoint.name)
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


@pytest.fixture
def storage() -> Iterator[Storage]:
    """A file in memory: that it is on a disk when a power cut comes is no concern of these tests."""
    memory = Path("/dev/shm")
    with TemporaryDirectory(dir=memory if memory.is_dir() else None) as directory:
        yield Storage(Path(directory) / "ledger.db")


@pytest.fixture
async def resolver() -> AsyncIterator[Resolver]:
    """A resolver that is not asked."""
    resolver = Resolver()
    yield resolver
    await resolver.close()


def use(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let deliveries happen in this world, at its time."""
    monkeypatch.setattr(module_of_logins, "open_session", world.open_session)
    monkeypatch.setattr(module_of_run, "time", Calendar(world.clock))
    for module in (module_of_logins, module_of_sends):
        monkeypatch.setattr(module, "BETWEEN_TRIES", 0.001)


async def test_a_week(tmp_path: Path, storage: Storage, resolver: Resolver, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sends and logins are within their plans; nothing is left over but in spam; nobody else's message is touched."""
    world = World()
    clock = world.clock
    use(world, monkeypatch)
    config = _config(tmp_path)
    theirs = {name: _of_others(box) for name, box in world.boxes.items()}
    counts: Counter[Made] = Counter()
    crashes = 0
    end = clock.now + WEEK
    while clock.now < end:
        with Ledger(storage, steady(clock)) as ledger:
            _, schedule = await _process(config, ledger, resolver, clock)
            crashes += await _crashes_within_an_hour(schedule, clock)
            for series in schedule:
                counts += series.counts
    sent = world.sent
    assert 320 <= len(sent) <= 7 * 48 + 3  # the last process ends later
    assert crashes >= 7
    assert counts[Made.NOT_MADE] == 0
    assert _most_in_a_day(sent) <= PLANNED * 100
    for times in world.logins.values():
        assert _most_in_a_day(times) <= PLANNED * 200
    # What is there now is cleared away by the next run, and the copies of the day once a day has passed.
    assert len(_ours(world.boxes["ops"], b"Sent")) <= 49
    clock.advance(DAY)
    with Ledger(storage, steady(clock)) as ledger:
        _, schedule = await _process(config, ledger, resolver, clock)
        world.is_kind = True
        await _crashes_within_an_hour(schedule, clock)
        (series,) = schedule
        assert series.counts == {Made.SUCCESS: 2}
    assert _ours(world.boxes["probe"], b"INBOX") == []
    assert len(_ours(world.boxes["probe"], b"Spam")) == (len(sent) - 2) // 50
    assert len(_ours(world.boxes["ops"], b"Sent")) == 1  # of the second one, until the next day
    for name, box in world.boxes.items():
        assert _of_others(box) == theirs[name]


@pytest.mark.parametrize(("endpoints", "deliveries"), [(1, 1), (1, 5), (4, 1), (4, 3), (20, 0), (20, 5)])
async def test_a_day_and_a_half(
    endpoints: int,
    deliveries: int,
    tmp_path: Path,
    storage: Storage,
    resolver: Resolver,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """However many endpoints and deliveries there are: none is held back, and all are within the plans."""
    world = World(is_kind=True)
    clock = world.clock
    use(world, monkeypatch)
    config = _config(tmp_path, endpoints, deliveries)
    planned = intervals(config)
    made: Counter[str] = Counter()
    end = clock.now + 1.5 * DAY
    while clock.now < end:
        with Ledger(storage, steady(clock)) as ledger:
            checker, schedule = await _process(config, ledger, resolver, clock)
            began = clock.now
            while clock.now - began < RESTART and clock.now < end:
                await _crashes_within(STEP, schedule, clock)
                for endpoint in config.login_endpoints:
                    await _probe(checker, Target.of(endpoint)[0], world)
            for series in schedule:
                assert series.counts[Made.NOT_MADE] == series.counts[Made.FAILURE] == 0
                made[series.delivery.name] += series.counts[Made.SUCCESS]
    assert _most_in_a_day(world.sent) <= PLANNED * 100
    for times in world.logins.values():
        assert _most_in_a_day(times) <= PLANNED * 200
    assert made.keys() == planned.keys()
    for name, interval in planned.items():
        assert made[name] == pytest.approx(1.5 * DAY / interval, abs=1)
    for endpoint in config.login_endpoints:
        assert world.at_endpoints[endpoint.name] >= 1


async def _probe(checker: Checker, target: Target, world: World) -> None:
    """Probe an endpoint: log in, if that is due."""
    budget = checker.budget_of(target)
    assert budget
    assert budget.status(target).held_by is None
    if budget.denial(target) is not None:
        return
    granted = await budget.ask(target, ("secret-password",))
    if not isinstance(granted, Grant):
        assert granted is Denial.INTERVAL  # the budget was not read yet after a restart
        return
    await budget.report(granted, success(target, login=True))
    world.log_in(target)


async def _process(
    config: Config, ledger: Ledger, resolver: Resolver, clock: Clock
) -> tuple[Checker, DeliverySchedule]:
    """What a process has: it knows what is in the ledger, and nothing else."""
    checker = Checker(Store(), resolver, ledger, {})
    checker.configure(config)

    async def observe(outcome: Outcome) -> Outcome:
        return outcome

    deliveries = Deliveries(Logins(checker.account_of, resolver, observe), Sends(ledger), ledger)
    deliveries.configure(config)
    schedule = DeliverySchedule(deliveries.run, clock)
    schedule.configure(config)
    await schedule.begin_what_is_due()  # it learns when that is
    return checker, schedule


async def _crashes_within_an_hour(schedule: DeliverySchedule, clock: Clock) -> bool:
    return await _crashes_within(3600, schedule, clock)


async def _crashes_within(seconds: float, schedule: DeliverySchedule, clock: Clock) -> bool:
    """Let time pass; return whether the process has ended before that."""
    for _ in range(int(seconds / STEP)):
        clock.advance(STEP)
        await schedule.begin_what_is_due()
        for task in list(schedule._tasks.values()):
            try:
                await task
            except Crash:
                return True
    return False


def _config(directory: Path, endpoints: int = 1, deliveries: int = 1) -> Config:
    """So many endpoints of the recipient, and deliveries that it reads at the first one, or at two."""
    secret = SecretRef(file=directory / "secret")
    (directory / "secret").write_text("secret-password", "utf-8")
    accounts = {one.name: replace(one, app_password=secret) for one in (SENDER, RECIPIENT)}
    via, copies = (replace(each, account=accounts["ops"]) for each in (VIA, replace(IMAP, name="ops-imap")))
    reads = [replace(IMAP, account=accounts["probe"])]
    reads += [
        replace(POP3, name=f"pop{number}", host=f"pop{number}.gmail.com", account=accounts["probe"])
        for number in range(1, endpoints)
    ]
    common: dict[str, Any] = {"sender": accounts["ops"], "via": via, "recipient": accounts["probe"], "sent_at": copies}
    made = [replace(DELIVERY, name=f"d{number}", read_at=tuple(reads[:2]), **common) for number in range(deliveries)]
    return Config(
        accounts=accounts,
        endpoints={each.name: each for each in (via, copies, *reads)},
        deliveries={each.name: each for each in made},
    )


def _of_others(box: FakeMailbox) -> dict[bytes, list[Message]]:
    return {folder: [one for one in messages if b"<a@b>" in one.header] for folder, messages in box.folders.items()}


def _ours(box: FakeMailbox, folder: bytes) -> list[Message]:
    return [one for one in box.folders[folder] if b"<gmail-exporter." in one.header]


def _most_in_a_day(times: list[float]) -> int:
    """The most of these times in any 24 hours."""
    return max((sum(begin <= at < begin + DAY for at in times) for begin in times), default=0)
