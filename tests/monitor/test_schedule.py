"""The schedule, on the real APScheduler and in virtual time."""

from __future__ import annotations

import asyncio
import time
import tracemalloc
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from exporter.model.outcome import Target
from exporter.model.settings import IpFamily
from exporter.monitor.instruments import ExporterMetrics
from exporter.monitor.schedule import FEW, GRACE, RECENT, SOON, TICK, Clock, DueTimes, Schedule
from tests.examples import target
from tests.monitor.virtual import VirtualLoop

Check = Callable[[Target], Awaitable[None]]


class Recorder:
    """A check that notes when it was called, in Unix seconds, and takes as long as the test wants."""

    def __init__(self, takes: float = 0.0) -> None:
        self.takes = takes
        self.calls: list[tuple[str, float]] = []
        self.running: Counter[str] = Counter()
        self.most_at_once = 0
        self.cancelled: list[str] = []

    async def __call__(self, of: Target) -> None:
        name = of.endpoint.name
        self.calls.append((name, running_loop().wall()))
        self.running[name] += 1
        self.most_at_once = max(self.most_at_once, self.running[name])
        try:
            await asyncio.sleep(self.takes)
        except asyncio.CancelledError:
            self.cancelled.append(name)
            raise
        finally:
            self.running[name] -= 1

    def of(self, name: str) -> list[float]:
        """When this endpoint was checked."""
        return [at for called, at in self.calls if called == name]


def running_loop() -> VirtualLoop:
    """The loop of the test, with its clock."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    return loop


@pytest.fixture
async def loop(monkeypatch: pytest.MonkeyPatch) -> VirtualLoop:
    """The loop of the test; APScheduler reads its wall clock too, which cannot be given to it as an argument."""
    virtual = running_loop()

    class Now(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return datetime.fromtimestamp(virtual.wall(), tz)

    monkeypatch.setattr("apscheduler.schedulers.base.datetime", Now)
    return virtual


Start = Callable[..., Schedule]


@pytest.fixture
async def start(loop: VirtualLoop) -> AsyncIterator[Start]:
    """Start a schedule that the test ends with."""
    started: list[Schedule] = []

    def begin(check: Check, *targets: Target) -> Schedule:
        schedule = Schedule(check, ExporterMetrics(), Clock(loop.wall, loop.time))
        schedule.start()
        schedule.configure(targets)
        started.append(schedule)
        return schedule

    yield begin
    for schedule in started:
        if not schedule._stopped:
            await schedule.stop()


def value(schedule: Schedule, name: str) -> float:
    """A sample of the exporter's own metrics."""
    return schedule.metrics.registry.get_sample_value(f"gmail_exporter_{name}") or 0.0


def late(of: Target, at: float) -> float:
    """Seconds since the last due time of the target."""
    times = DueTimes.of(of)
    return (at - times.offset / 1000) % (times.interval / 1000)


@given(
    st.integers(1, 86_400_000),
    st.floats(0, 1, exclude_max=True),
    st.datetimes(datetime(1970, 1, 2), datetime(2100, 1, 1), timezones=st.just(UTC)),
)
def test_the_next_time_is_in_the_future_and_within_one_interval(interval: int, fraction: float, now: datetime) -> None:
    """From any time, and from the very time that was next before."""
    times, at = DueTimes(interval, int(fraction * interval)), now.timestamp()
    for _ in range(3):
        following = times.next_after(at)
        assert at < following <= at + (interval + 0.5) / 1000
        at = following


def test_due_times_between_two_times_are_counted() -> None:
    """Those after the first time, up to and including the second."""
    times = DueTimes(30_000, 10_000)
    assert times.count(10, 39.9) == 0
    assert times.count(10, 40) == 1
    assert times.count(10, 131) == 4


def test_due_times_are_the_same_in_every_run() -> None:
    """The offset comes from the name alone, so that a restart does not change it."""
    assert DueTimes.of(target("imap")) == DueTimes(30_000, 1_582)
    assert DueTimes.of(target("imap")) == DueTimes.of(target("imap", timeout=5))
    assert DueTimes.of(target("imap", IpFamily.IPV4)) != DueTimes.of(target("imap", IpFamily.IPV6))


def test_a_thousand_endpoints_do_not_start_together() -> None:
    """In an interval of 30 s, no second has more than twice its share of a thousand endpoints."""
    seconds = Counter(DueTimes.of(target(f"tenant-{number}")).offset // 1000 for number in range(1000))
    assert len(seconds) == 30
    assert max(seconds.values()) < 2 * 1000 / 30


async def test_few_endpoints_are_probed_soon(start: Start, loop: VirtualLoop) -> None:
    """After the start of the exporter nobody need wait for the interval to see something."""
    check = Recorder()
    begun = loop.wall()
    start(check, *(target(f"e{number}", interval=3600) for number in range(5)))
    await asyncio.sleep(SOON + 0.1)
    assert sorted(name for name, _ in check.calls) == [f"e{number}" for number in range(5)]
    assert all(at - begun < SOON + 0.01 for _, at in check.calls)


async def test_many_endpoints_are_first_probed_at_their_due_times(start: Start) -> None:
    """Each within one interval, at its own offset."""
    check = Recorder()
    targets = [target(f"e{number}", interval=1.0) for number in range(FEW + 20)]
    start(check, *targets)
    await asyncio.sleep(1.1)
    for of in targets:
        assert late(of, check.of(of.endpoint.name)[0]) < 0.01


async def test_probes_follow_each_other_in_the_interval(start: Start) -> None:
    """Again and again, without drift: each late by its own delay, not by the sum of all."""
    check = Recorder()
    of = target(interval=0.2)
    schedule = start(check, of)
    await asyncio.sleep(20.1)
    times = check.of("imap")
    assert 100 <= len(times) <= 102
    assert all(late(of, at) < 0.01 for at in times[1:])
    assert value(schedule, "schedule_lag_seconds_count") == len(times)
    assert value(schedule, "schedule_lag_seconds_sum") < 0.01 * len(times)


async def test_never_two_probes_of_one_endpoint_at_once(start: Start) -> None:
    """Where a probe is still running the next one is missed, and counted."""
    check = Recorder(takes=0.5)
    schedule = start(check, target(interval=0.2))
    await asyncio.sleep(1.5)
    assert check.most_at_once == 1
    assert value(schedule, "probes_missed_total") >= 2


async def test_a_blocked_loop_misses_runs_and_counts_them(start: Start, loop: VirtualLoop) -> None:
    """For all runs that were due while the loop was blocked one is made, and the others are counted."""
    check = Recorder()
    schedule = start(check, target(interval=0.2))
    await asyncio.sleep(0.5)
    before = len(check.calls)
    loop.now += 1.0
    await asyncio.sleep(0.01)
    assert len(check.calls) - before == 1
    assert value(schedule, "probes_missed_total") == 4


async def test_the_lag_of_the_event_loop_is_measured(start: Start, loop: VirtualLoop) -> None:
    """A loop that was blocked shows in the histogram."""
    schedule = start(Recorder())
    loop.now += TICK + 0.3
    await asyncio.sleep(0.1)
    assert value(schedule, "event_loop_lag_seconds_sum") == pytest.approx(0.3)


async def test_a_fault_in_a_check_does_not_end_the_schedule(start: Start) -> None:
    """It is logged with its traceback, and the next probe comes."""
    calls = 0

    async def check(_: Target) -> None:
        nonlocal calls
        calls += 1
        raise ValueError("a bug")

    with capture_logs() as logs:
        start(check, target(interval=0.2))
        await asyncio.sleep(1.0)
    assert calls >= 3
    assert {entry["event"] for entry in logs} == {"fault in a check"}


async def test_a_due_time_too_soon_after_an_early_probe_is_left_out(start: Start) -> None:
    """The next one counts only where half an interval has passed since the first probe. None is missed."""
    check = Recorder(takes=0.9)
    targets = [target(f"e{number}", interval=2.0) for number in range(15)]
    schedule = start(check, *targets)
    await asyncio.sleep(4.5)
    for of in targets:
        first, second = check.of(of.endpoint.name)[:2]
        assert second - first > 0.99
    assert value(schedule, "probes_missed_total") == 0


async def test_a_changed_target_waits_for_its_own_old_probe(start: Start) -> None:
    """Never two probes of an endpoint at once, not even over a reload."""
    check = Recorder(takes=0.8)
    schedule = start(check, target("same", interval=3600))
    while not check.calls:
        await asyncio.sleep(0.05)
    schedule.configure([target("same", interval=0.2)])
    await asyncio.sleep(0.6)
    assert len(check.calls) == 1
    await asyncio.sleep(0.8)
    assert len(check.calls) >= 2
    assert check.most_at_once == 1


async def test_probes_in_flight_are_counted(start: Start) -> None:
    """A gauge that is 0 again when they end."""
    schedule = start(Recorder(takes=0.4), target(interval=3600))
    while not value(schedule, "probes_in_flight"):
        await asyncio.sleep(0.05)
    await asyncio.sleep(0.4)
    assert value(schedule, "probes_in_flight") == 0


async def test_stopping_waits_then_cancels_and_leaves_nothing(start: Start, loop: VirtualLoop) -> None:
    """A probe that ends within a second ends by itself; one that does not is cancelled."""
    tasks = asyncio.all_tasks()
    quick, hanging = target("quick", interval=3600), target("hanging", interval=3600)
    check = Recorder(takes=0.9 * GRACE)
    hanging_check = Recorder(takes=60)

    async def either(of: Target) -> None:
        await (check if of == quick else hanging_check)(of)

    schedule = start(either, quick, hanging)
    while not (check.calls and hanging_check.calls):
        await asyncio.sleep(0.01)
    stopped_at = loop.time()
    await schedule.stop()
    assert loop.time() - stopped_at == pytest.approx(GRACE)
    assert check.cancelled == []
    assert hanging_check.cancelled == ["hanging"]
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == tasks


async def test_a_reload_leaves_unchanged_targets_alone(start: Start, loop: VirtualLoop) -> None:
    """Removed ones are probed no more, new ones are, and the rest keep their due times and their running probe."""
    check = Recorder()
    same, removed = target("same", interval=0.3), target("removed", interval=0.3)
    schedule = start(check, same, removed)
    await asyncio.sleep(1.0)
    begun = loop.wall()
    schedule.configure([target("same", interval=0.3), target("added", interval=0.3)])
    await asyncio.sleep(1.2)
    assert not [at for at in check.of("removed") if at > begun]
    assert check.of("added")
    assert all(late(same, at) < 0.01 for at in check.of("same")[1:])


async def test_a_clock_that_is_set_back_does_not_stop_the_probes(start: Start, loop: VirtualLoop) -> None:
    """The due times are computed again; without that, all probes would wait until the clock has caught up."""
    check = Recorder()
    with capture_logs() as logs:
        schedule = start(check, target(interval=0.3))
        await asyncio.sleep(0.7)
        loop.epoch -= 3600
        await asyncio.sleep(TICK + 0.1)
        before = len(check.calls)
        await asyncio.sleep(1.0)
    assert [(entry["event"], entry["step_seconds"]) for entry in logs] == [("the clock was set", -3600)]
    assert len(check.calls) - before >= 3
    assert value(schedule, "probes_missed_total") <= 3


YEARS = 365.25 * 86400

STEPS = {
    "60 days forward": 60 * 86400.0,
    "from 1970 to today": 56 * YEARS,
    "to 1970": -53.8 * YEARS,
    "an hour forward": 3600.0,
    "an hour back": -3600.0,
    "a little more than is tolerated": 1.1,
}


@pytest.mark.parametrize("step", STEPS.values(), ids=STEPS)
async def test_probes_go_on_when_the_clock_is_set(start: Start, loop: VirtualLoop, step: float) -> None:
    """Few endpoints are probed within two seconds, nothing is made up for, and hardly any time or memory is taken."""
    check = Recorder()
    targets = [target(f"e{number}", interval=interval) for number, interval in enumerate([0.2, 1, 30, 300, 3600])]
    with capture_logs() as logs:
        schedule = start(check, *targets)
        await asyncio.sleep(10.3)
        before = len(check.calls)
        loop.epoch += step
        set_at, began = loop.time(), time.process_time()
        tracemalloc.start()
        while {name for name, _ in check.calls[before:]} != {of.endpoint.name for of in targets}:
            await asyncio.sleep(0.05)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert loop.time() - set_at < 2
        assert time.process_time() - began < 1
        assert peak < 1 << 20
        await asyncio.sleep(30)
    assert [entry["step_seconds"] for entry in logs] == [step]
    assert value(schedule, "probes_missed_total") == 0
    assert len(check.of("e0")) <= 5 * 45
    assert len(check.of("e4")) <= 3
    assert len(schedule._unarmed) <= len(targets)


@pytest.mark.parametrize("step", STEPS.values(), ids=STEPS)
async def test_many_endpoints_keep_their_pace_when_the_clock_is_set(
    start: Start, loop: VirtualLoop, step: float
) -> None:
    """None waits longer than its interval for its next probe, and they do not start together."""
    check = Recorder()
    at: dict[str, float] = {}

    async def noted(of: Target) -> None:
        await check(of)
        gaps[of.endpoint.name] = max(gaps.get(of.endpoint.name, 0), loop.time() - at.get(of.endpoint.name, 0))
        at[of.endpoint.name] = loop.time()

    gaps: dict[str, float] = {}
    targets = [target(f"e{number}", interval=30) for number in range(300)]
    with capture_logs():
        schedule = start(noted, *targets)
        await asyncio.sleep(47)
        before = len(check.calls)
        loop.epoch += step
        await asyncio.sleep(1)
        assert 3 <= len(check.calls) - before <= 50
        await asyncio.sleep(70)
    assert max(gaps.values()) < 30 + TICK
    assert value(schedule, "probes_missed_total") == 0
    assert len(schedule._unarmed) <= len(targets)


async def test_a_clock_that_is_set_again_and_again(start: Start, loop: VirtualLoop) -> None:
    """Each time makes two probes at most: one soon, and the next due time may follow."""
    check = Recorder()
    with capture_logs():
        start(check, target(interval=30))
        await asyncio.sleep(40)
        before = len(check.calls)
        for number in range(300):
            loop.epoch += 5 if number % 2 else -5
            await asyncio.sleep(1)
    assert 10 <= len(check.calls) - before <= 2 * 300


async def test_a_probe_that_is_due_before_the_step_is_noticed(start: Start, loop: VirtualLoop) -> None:
    """It notices the step itself: the runs that the clock has skipped are not counted as missed."""
    check = Recorder()
    with capture_logs() as logs:
        schedule = start(check, target(interval=0.1))
        await asyncio.sleep(3 * TICK + 0.01)  # a tick has just been
        loop.epoch += 60 * 86400
        await asyncio.sleep(0.2)
    assert len(logs) == 1
    assert value(schedule, "probes_missed_total") == 0
    assert value(schedule, "schedule_lag_seconds_sum") < 1


async def test_a_clock_that_is_set_leaves_no_early_probe_to_wait_for(start: Start, loop: VirtualLoop) -> None:
    """Which due time is too soon after the first probe was computed by the old time."""
    schedule = start(Recorder(), target(interval=3600))
    (entry,) = schedule._entries.values()
    assert entry.not_before > loop.wall()
    with capture_logs():
        loop.epoch -= 3600
        await asyncio.sleep(TICK + 0.1)
    assert entry.not_before == 0


async def test_a_reload_of_what_is_stopping_begins_nothing(start: Start) -> None:
    """Nothing that it would start could be waited for."""
    schedule = start(Recorder())
    await schedule.stop()
    schedule.configure([target()])
    with pytest.raises(KeyError):
        await schedule.probe(target().key)


async def test_a_loop_that_was_blocked_is_reported_for_a_while(start: Start, loop: VirtualLoop) -> None:
    """While it was, nobody could ask; and then it is forgotten."""
    schedule = start(Recorder())
    await asyncio.sleep(0.1)
    assert schedule.seconds_since_tick() == pytest.approx(0.1)
    loop.now += 4.0
    assert schedule.seconds_since_tick() == pytest.approx(4.1)
    await asyncio.sleep(RECENT - 0.1)
    assert schedule.seconds_since_tick() == pytest.approx(4.1 - TICK)
    await asyncio.sleep(0.2)
    assert schedule.seconds_since_tick() <= TICK


def rare() -> list[Target]:
    """A target that is not due for days, and so many others that none is probed soon."""
    return [target("rare", interval=1e6), *(target(f"other-{number}", interval=1e6) for number in range(FEW))]


async def test_a_probe_on_request_comes_at_once(start: Start) -> None:
    """Besides its due times, which stay as they are; the request waits for its end. An unknown target is an error."""
    recorder = Recorder(takes=0.05)
    of, *others = rare()
    schedule = start(recorder, of, *others)
    due = schedule._entries[of.key].due
    await schedule.probe(of.key)
    assert len(recorder.of("rare")) == 1
    assert recorder.running["rare"] == 0
    assert schedule._entries[of.key].due == due
    with pytest.raises(KeyError):
        await schedule.probe(("nobody", IpFamily.ANY))


async def test_a_probe_on_request_is_the_one_that_is_under_way(start: Start) -> None:
    """Never two at once for a target: neither of several requests, nor beside the schedule's own."""
    recorder = Recorder(takes=0.2)
    of, *others = rare()
    schedule = start(recorder, of, *others)
    await asyncio.gather(*(schedule.probe(of.key) for _ in range(3)))
    assert len(recorder.of("rare")) == 1
    asking = asyncio.create_task(schedule.probe(of.key))
    await asyncio.sleep(0.05)
    schedule._begin(schedule._entries[of.key])  # it becomes due meanwhile
    await asking
    assert len(recorder.of("rare")) == 2
    assert recorder.most_at_once == 1
    assert value(schedule, "probes_missed_total") == 1


async def test_a_request_survives_a_fault_of_the_check(start: Start) -> None:
    """It ends like any other, and so does the probe."""

    async def fail(_: Target) -> None:
        raise RuntimeError("a fault")

    of, *others = rare()
    with capture_logs() as logs:
        await start(fail, of, *others).probe(of.key)
    assert [line["event"] for line in logs] == ["fault in a check"]


async def test_a_request_ends_with_the_schedule(start: Start) -> None:
    """What waits for a probe is not left waiting."""
    recorder = Recorder(takes=60)
    of, *others = rare()
    schedule = start(recorder, of, *others)
    asking = asyncio.create_task(schedule.probe(of.key))
    await asyncio.sleep(0.05)
    await schedule.stop()
    await asyncio.wait_for(asking, 5)
    assert recorder.cancelled == ["rare"]


async def test_a_job_recurs(start: Start, loop: VirtualLoop) -> None:
    """It runs at once, then each so many seconds, never twice at once; a fault does not end it."""
    ran: list[float] = []

    async def work() -> None:
        ran.append(loop.time())
        if len(ran) == 2:
            raise ValueError("a bug")
        await asyncio.sleep(90 if len(ran) == 3 else 1)

    began = loop.time()
    with capture_logs() as logs:
        start(Recorder()).recur("controls", 60, work)
        await asyncio.sleep(330)
    assert [at - began for at in ran] == pytest.approx([0, 60, 120, 240, 300], abs=0.1)
    assert [(entry["event"], entry["job"]) for entry in logs] == [("fault in a job", "controls")]


@pytest.mark.parametrize("step", STEPS.values(), ids=STEPS)
async def test_a_job_goes_on_when_the_clock_is_set(start: Start, loop: VirtualLoop, step: float) -> None:
    """It runs soon, at most twice, and then as before."""
    ran: list[float] = []

    async def work() -> None:
        ran.append(loop.time())

    with capture_logs():
        start(Recorder()).recur("controls", 60, work)
        await asyncio.sleep(90)
        loop.epoch += step
        await asyncio.sleep(150)
    times = [at - ran[0] for at in ran]
    soon = [at for at in times if 89 < at < 92]
    assert 1 <= len(soon) <= 2
    assert [at for at in times if at not in soon] == pytest.approx([0, 60, 150.5, 210.5], abs=1.1)


async def test_a_job_ends_with_the_schedule(start: Start, loop: VirtualLoop) -> None:
    """One that is running is cancelled, and none begins."""
    ended: list[str] = []

    async def work() -> None:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise

    schedule = start(Recorder())
    schedule.recur("controls", 60, work)
    await asyncio.sleep(1)
    await schedule.stop()
    await asyncio.sleep(120)
    assert ended == ["cancelled"]
