"""When deliveries are made, and what is logged of them."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from structlog.testing import capture_logs

from exporter.model.delivery import DeliveryFailure, DeliveryResult, NotMade, Stage
from exporter.model.login import Denial
from exporter.model.reason import Blame, Reason
from exporter.model.settings import Config, Delivery
from exporter.monitor.delivery_schedule import EVERY, DeliverySchedule
from tests.deliveries.results import DELIVERY, IMAP, POP3, RECIPIENT, SENDER, VIA, delivered, missing, not_made
from tests.examples import Clock

CONFIG = Config(
    accounts={one.name: one for one in (SENDER, RECIPIENT)},
    endpoints={one.name: one for one in (VIA, IMAP, POP3)},
    deliveries={DELIVERY.name: DELIVERY},
)
DAY = 86400


class Maker:
    """Makes deliveries with results that a test chooses."""

    def __init__(self, *results: DeliveryResult) -> None:
        self.results = list(results)
        self.made = 0
        self.wait: asyncio.Event | None = None

    async def __call__(self, delivery: Delivery) -> DeliveryResult:
        self.made += 1
        if self.wait:
            await self.wait.wait()
        return self.results.pop(0) if self.results else delivered(delivery=delivery)


async def pass_time(schedule: DeliverySchedule, clock: Clock, seconds: float) -> None:
    """Let so many seconds pass, in which the schedule looks as often as it does."""
    end = clock.now + seconds
    while clock.now < end:
        clock.advance(EVERY)
        await schedule.begin_what_is_due()
        await asyncio.sleep(0)


async def test_a_day_with_restarts() -> None:
    """A delivery each half an hour is made 48 times a day, however often the process starts again."""
    clock, maker = Clock(), Maker()
    for _ in range(24):
        schedule = DeliverySchedule(maker, clock)
        schedule.configure(CONFIG)
        await pass_time(schedule, clock, 3600)
        await schedule.close()
    assert 46 <= maker.made <= 48


async def test_a_refusal_that_is_waited_for() -> None:
    """A run that waits for a refused message says that none arrives, and that is told once."""
    refused = DeliveryFailure(Stage.SUBMIT, Reason.SERVER_BUSY, Blame.PROVIDER, "MAIL: 450 later")
    why = NotMade("ops", Denial.BACKOFF.meaning, Denial.BACKOFF, is_refused=True)
    waiting, failed = replace(not_made(), not_made=why), missing(failures=(refused,))
    schedule = DeliverySchedule(Maker(failed, waiting, waiting, failed))
    schedule.configure(CONFIG)
    with capture_logs() as logs:
        assert [(await schedule.run(DELIVERY.name)).up for _ in range(5)] == [False] * 4 + [True]
    assert [line["event"] for line in logs] == ["delivery failed", "delivery not made", "delivered"]


async def test_never_twice_at_once() -> None:
    """One that takes longer than its interval is not begun again, and that is told."""
    clock, maker = Clock(), Maker()
    maker.wait = asyncio.Event()
    schedule = DeliverySchedule(maker, clock)
    schedule.configure(CONFIG)
    with capture_logs() as logs:
        await pass_time(schedule, clock, 3 * 1800)
    assert maker.made == 1
    assert [line["event"] for line in logs] == ["a delivery is still under way where the next one is due"] * 2
    await schedule.close()
    assert [series.last for series in schedule] == [None]


async def test_the_clock_is_set() -> None:
    """Set back by a day, a delivery comes within its interval; set forward, it comes once."""
    clock, maker = Clock(), Maker()
    clock.now = 10.0 * DAY
    schedule = DeliverySchedule(maker, clock)
    schedule.configure(CONFIG)
    await pass_time(schedule, clock, 1800)
    assert maker.made == 1
    clock.advance(-DAY)
    await pass_time(schedule, clock, 1810)
    assert maker.made == 2
    clock.advance(100 * DAY)
    await pass_time(schedule, clock, 10)
    assert maker.made == 3


async def test_reload() -> None:
    """What did not change keeps its series; a result of what has changed in the meantime is dropped."""
    clock, maker = Clock(), Maker()
    schedule = DeliverySchedule(maker, clock)
    schedule.configure(CONFIG)
    await schedule.run(DELIVERY.name)
    (before,) = schedule
    schedule.configure(CONFIG)
    assert list(schedule) == [before]
    maker.wait = asyncio.Event()
    running = asyncio.create_task(schedule.run(DELIVERY.name))
    await asyncio.sleep(0)
    shorter = replace(DELIVERY, timeout=60.0)
    schedule.configure(replace(CONFIG, deliveries={DELIVERY.name: shorter}))
    maker.wait.set()
    await running
    assert [list(series.results) for series in schedule] == [[delivered(delivery=shorter)]]
    schedule.configure(Config())
    assert list(schedule) == []


async def test_another_plan() -> None:
    """Where others take their share of the day, a delivery comes less often, and is otherwise as it was."""
    clock, maker = Clock(), Maker()
    schedule = DeliverySchedule(maker, clock)
    schedule.configure(CONFIG)
    await pass_time(schedule, clock, 1800)
    (before,) = schedule
    others = {f"d{number}": replace(DELIVERY, name=f"d{number}") for number in range(4)}
    schedule.configure(replace(CONFIG, deliveries={DELIVERY.name: DELIVERY, **others}))
    assert next(iter(schedule)) is before
    assert before.interval > 1800
    assert before.last == delivered()
    made = before.counts.total()
    await pass_time(schedule, clock, before.interval)
    assert before.counts.total() == made + 1


async def test_log() -> None:
    """What changes is told once: a failure with its remedy, why none was made, and that mail arrives again."""
    schedule = DeliverySchedule(
        Maker(delivered(), delivered(), missing(), missing(), not_made(), not_made(), delivered())
    )
    schedule.configure(CONFIG)
    with capture_logs() as logs:
        for _ in range(7):
            await schedule.run(DELIVERY.name)
    assert [line["event"] for line in logs] == ["delivered", "delivery failed", "delivery not made", "delivered"]
    assert (logs[1]["stage"], logs[1]["reason"], logs[1]["blame"]) == ("transfer", "message_missing", "provider")
    assert "has not delivered it" in logs[1]["remedy"]
    assert logs[2]["account"] == "ops"


async def test_a_fault() -> None:
    """A fault of a delivery is told, and the next one is made."""
    clock = Clock()

    async def make(_delivery: Delivery) -> DeliveryResult:
        raise RuntimeError("a fault")

    schedule = DeliverySchedule(make, clock)
    schedule.configure(CONFIG)
    with capture_logs() as logs:
        await pass_time(schedule, clock, 2 * 1800)
        await asyncio.sleep(0)
    assert [line["event"] for line in logs] == ["fault in a delivery"] * 2


async def test_stretched() -> None:
    """Where a day has no room for all, that is told, and it is the plan that counts."""
    schedule = DeliverySchedule(Maker())
    tight = replace(SENDER, max_sends_per_day=10)
    via = replace(VIA, account=tight)
    one = replace(DELIVERY, sender=tight, via=via)
    with capture_logs() as logs:
        schedule.configure(
            replace(
                CONFIG,
                accounts={"ops": tight, "probe": RECIPIENT},
                endpoints={"submission": via, "imap": IMAP, "pop3": POP3},
                deliveries={one.name: one},
            )
        )
    assert [series.interval for series in schedule] == [DAY / 8]
    assert [line["event"] for line in logs] == ["a delivery is made less often than its interval says"]
