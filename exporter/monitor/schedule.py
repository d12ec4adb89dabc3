"""When each target is probed. The only file that knows APScheduler.

Every target has its due times: its interval, and a fixed offset in it from a hash of its name, counted from the Unix
epoch. So a thousand targets do not start together, and a restart does not change when they are due.

Of all targets APScheduler runs one job: once in a `WINDOW` it arms timers of the event loop for what is due next. A job
for each target would cost a third of what the probe itself does. What recurs in minutes is a job of its own (`recur`).

The wall clock can be set, and it goes on while the host is suspended; timers go by the monotonic clock. Where the two
move apart, all due times are computed again: no probe waits longer than it would have, and none is made up for.
"""

from __future__ import annotations

import asyncio
import hashlib
import heapq
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count

import structlog
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.base import BaseTrigger

from exporter.model.outcome import Target, TargetKey
from exporter.monitor.instruments import ExporterMetrics

SOON = 1.5
"""Seconds in which the first probes are made, where they are few."""

SOON_AFTER_STEP = 1.0
"""Seconds in which they are made after it was noticed that the clock was set, or this host suspended."""

FEW = 20
"""Targets below which the first probes are made soon, rather than at their due times."""

GRACE = 1.0
"""Seconds that running probes get when the schedule stops."""

WINDOW = 1.0
"""Seconds between two runs of the job that arms timers; each run arms those of the next two windows."""

TIMER_DELAY = 0.001
"""Seconds added to every timer: event loops round to milliseconds, so that a timer may fire early."""

TICK = 0.5
"""Seconds between two checks of the event loop's lag and of the clock."""

CLOCK_STEP = 1.0
"""Seconds by which the wall clock must have been set for the due times to be computed again."""

RECENT = 10.0
"""Seconds for which a block of the event loop is still reported after its end: during it, no request is answered."""

_ARM = "arm timers"  # the id of the job

log = structlog.get_logger("schedule")


@dataclass(frozen=True, slots=True)
class Clock:
    """The clocks that a schedule reads, in seconds. Its timers are those of the running event loop."""

    wall: Callable[[], float] = time.time
    """Unix time, which can be set."""
    monotonic: Callable[[], float] = time.monotonic


@dataclass(frozen=True, slots=True)
class DueTimes:
    """The times `offset + n * interval` since the Unix epoch, in milliseconds.

    Whole milliseconds, so that rounding cannot give an earlier time, which would be due again at once, forever.
    """

    interval: int
    offset: int

    @classmethod
    def of(cls, target: Target) -> DueTimes:
        """Return the due times of a target: the same on every host and in every run."""
        return cls.every(target.endpoint.interval, *target.key)

    @classmethod
    def every(cls, seconds: float, *name: str) -> DueTimes:
        """Return the due times of what recurs under a name."""
        interval = max(1, round(seconds * 1000))
        digest = hashlib.sha256("/".join(name).encode()).digest()
        return cls(interval, int.from_bytes(digest[:8]) % interval)

    @property
    def fraction(self) -> float:
        """The offset as a part of the interval, from 0 to below 1."""
        return self.offset / self.interval

    def next_after(self, now: float) -> float:
        """Return the first due time after `now`, rounded to milliseconds; both in Unix seconds."""
        return (self.offset + (self._number(now) + 1) * self.interval) / 1000

    def count(self, since: float, until: float) -> int:
        """Return how many times lie after `since`, up to and including `until`."""
        return self._number(until) - self._number(since)

    def _number(self, now: float) -> int:
        """The number `n` of the last time that is not after `now`."""
        return (round(now * 1000) - self.offset) // self.interval


class Each(BaseTrigger):  # type: ignore[misc]  # APScheduler has no types
    """So many seconds after the time of the last run, whatever the clock said before.

    APScheduler's own trigger gives every time at which a run was missed, each an object: millions where the clock is
    set from 1970, in which a device without a battery starts, to today.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def get_next_fire_time(self, _previous: datetime | None, now: datetime) -> datetime:
        """Return the next time, always after `now`."""
        return now + timedelta(seconds=self._seconds)


@dataclass(slots=True)
class _Entry:
    """What the schedule knows of one target."""

    target: Target
    times: DueTimes
    due: float
    """Unix seconds of the next run."""
    not_before: float
    """Unix seconds before which no due time counts, because the first probe was early."""
    task: asyncio.Task[None] | None = None
    timer: asyncio.TimerHandle | None = None


@dataclass(slots=True)
class Schedule:
    """Calls `check` for each target at its due times, never twice at once for the same target."""

    check: Callable[[Target], Awaitable[object]]
    metrics: ExporterMetrics
    clock: Clock = field(default_factory=Clock)
    _entries: dict[TargetKey, _Entry] = field(default_factory=dict)
    _unarmed: list[tuple[float, int, _Entry]] = field(default_factory=list)
    """A heap of the entries without a timer, by when they are due. Invalid entries are dropped at its top."""
    _serial: Iterator[int] = field(default_factory=count)
    _armed_until: float = 0.0
    """Unix seconds up to which entries have timers."""
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _stopped: bool = False
    _ticker: asyncio.TimerHandle | None = None
    _ticked_at: float = field(init=False)
    _skew: float = field(init=False)
    """The wall clock minus the monotonic clock."""
    _blocked: tuple[float, float] = (float("-inf"), 0.0)
    """When the last block of the event loop that was longer than a tick ended, in monotonic seconds, and its length."""
    _scheduler: AsyncIOScheduler = field(
        # A stall must delay runs, not drop them silently: what is missed is counted here.
        default_factory=lambda: AsyncIOScheduler(
            timezone=UTC, job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 1}
        )
    )

    def __post_init__(self) -> None:
        self._ticked_at = self.clock.monotonic()
        self._skew = self.clock.wall() - self._ticked_at

    def start(self) -> None:
        """Start probing, in the running event loop."""
        self._scheduler.add_job(self._arm_timers, Each(WINDOW), id=_ARM, next_run_time=self._now())
        self._scheduler.start()
        self._ticker = asyncio.get_running_loop().call_later(TICK, self._tick)

    def recur(self, name: str, seconds: float, work: Callable[[], Awaitable[object]]) -> None:
        """Run `work` when the schedule starts, and then each so many seconds; never twice at once.

        Where the clock was set, or this host was suspended, it also runs then.
        """
        self._scheduler.add_job(self._run_job, Each(seconds), (name, work), id=name, next_run_time=self._now())

    def configure(self, targets: Iterable[Target]) -> None:
        """Probe exactly these targets. What did not change keeps its due time and its running probe."""
        if self._stopped:
            return  # a reload was still running when the schedule stopped
        wanted = {target.key: target for target in targets}
        running = {}
        for key in [key for key, entry in self._entries.items() if wanted.get(key) != entry.target]:
            entry = self._entries.pop(key)
            _disarm(entry)
            running[key] = entry.task
        few = len(wanted) < FEW
        for key, target in wanted.items():
            if key not in self._entries:
                self._entries[key] = self._add(target, soon=few)
                self._entries[key].task = running.get(key)  # the probe of the old configuration: two never run at once

    async def probe(self, key: TargetKey) -> None:
        """Probe a target now, besides its due times, and return when that is done.

        If a probe of it is running already, wait for that one.

        Raises:
            KeyError: there is no such target.
        """
        entry = self._entries[key]
        task = entry.task
        if task is None or task.done():
            task = self._launch(entry)
        await asyncio.wait({task})

    async def stop(self) -> None:
        """Start no more probes, give the running ones `GRACE` seconds, cancel the rest, and wait for their end."""
        self._scheduler.shutdown(wait=False)
        self.configure(())
        self._stopped = True
        if self._ticker:
            self._ticker.cancel()
        if self._tasks:
            _, running = await asyncio.wait(self._tasks, timeout=GRACE)
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    def seconds_since_tick(self) -> float:
        """Return the seconds since the event loop last ran a tick of this schedule; usually below `TICK`.

        Where a block of the loop has ended within `RECENT` seconds, return its length if that is more.
        """
        now = self.clock.monotonic()
        ended_at, seconds = self._blocked
        return max(now - self._ticked_at, seconds if now - ended_at < RECENT else 0.0)

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self.clock.wall(), UTC)

    def _add(self, target: Target, *, soon: bool) -> _Entry:
        times, now = DueTimes.of(target), self.clock.wall()
        due, not_before = times.next_after(now), 0.0
        if soon and (early := now + times.fraction * SOON) < due:
            # The next due time is left out where it follows too soon after the early probe.
            due, not_before = early, early + target.endpoint.interval / 2
        entry = _Entry(target, times, due, not_before)
        self._arm(entry)
        return entry

    def _arm(self, entry: _Entry) -> None:
        """Give the entry a timer, or leave it to the next run of the job."""
        if entry.due < self._armed_until:
            _disarm(entry)
            delay = max(0.0, entry.due - self.clock.wall() + TIMER_DELAY)
            entry.timer = asyncio.get_running_loop().call_later(delay, self._begin, entry)
        else:
            heapq.heappush(self._unarmed, (entry.due, next(self._serial), entry))

    async def _arm_timers(self) -> None:
        """Arm a timer for all that is due in the next two windows: they are on time even if the next run is late."""
        self._armed_until = self.clock.wall() + 2 * WINDOW
        while self._unarmed and self._unarmed[0][0] < self._armed_until:
            due, _, entry = heapq.heappop(self._unarmed)
            if entry.due == due and self._entries.get(entry.target.key) is entry:
                self._arm(entry)

    def _begin(self, entry: _Entry) -> None:
        """Start the probe that is due, or count it as missed while the last one is still running."""
        if self._notice_step():
            return  # it has another due time now
        now = self.clock.wall()
        missed = max(0, entry.times.count(max(entry.due, entry.not_before), now))
        if entry.task and not entry.task.done():
            missed += 1
        else:
            self._launch(entry, entry.due)
        if missed:
            self.metrics.probes_missed.inc(missed)
        # Where a timer is early even so, the same due time must not come again.
        entry.due = entry.times.next_after(max(now, entry.due, entry.not_before))
        self._arm(entry)

    def _launch(self, entry: _Entry, due: float | None = None) -> asyncio.Task[None]:
        entry.task = task = asyncio.create_task(self._run(entry, due), name=f"probe {entry.target.endpoint.name}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _run(self, entry: _Entry, due: float | None) -> None:
        if due is not None:  # a probe on request is never late
            self.metrics.schedule_lag.observe(max(0.0, self.clock.wall() - due))
        with self.metrics.probes_in_flight.track_inprogress():
            try:
                await self.check(entry.target)
            except Exception:  # the schedule goes on after any fault of a check
                log.exception("fault in a check", endpoint=entry.target.endpoint.name)

    async def _run_job(self, name: str, work: Callable[[], Awaitable[object]]) -> None:
        try:
            await work()
        except asyncio.CancelledError:
            if not self._stopped:  # else that is its end, which APScheduler would log as a fault
                raise
        except Exception:  # no fault in a job may end it for good
            log.exception("fault in a job", job=name)

    def _tick(self) -> None:
        """Measure the event loop's lag, and compute the due times again when the wall clock was set."""
        self._ticker = asyncio.get_running_loop().call_later(TICK, self._tick)
        now = self.clock.monotonic()
        lag = max(0.0, now - self._ticked_at - TICK)
        self._ticked_at = now
        self.metrics.event_loop_lag.observe(lag)
        if lag > TICK:
            self._blocked = now, lag
        self._notice_step()

    def _notice_step(self) -> bool:
        """Compute the due times again if the wall clock was set, or the host suspended; return whether it was."""
        now = self.clock.monotonic()
        step = self.clock.wall() - now - self._skew
        if abs(step) <= CLOCK_STEP:
            return False
        self._skew += step
        log.warning(
            "the clock was set" if step < 0 else "the clock was set, or this host suspended",
            step_seconds=round(step, 3),
        )
        self._recompute_due_times(step)
        return True

    def _recompute_due_times(self, step: float) -> None:
        """Compute all due times again; no probe is later than it would have been without the step.

        Few targets are probed soon: what is known of them may be hours old.
        """
        now = self.clock.wall()
        self._unarmed.clear()
        self._armed_until = now
        few = len(self._entries) < FEW
        for entry in self._entries.values():
            _disarm(entry)
            due = min(entry.due + step, entry.times.next_after(now))
            if few:
                due = min(due, now + entry.times.fraction * SOON_AFTER_STEP)
            entry.due, entry.not_before = max(due, now), 0.0
            self._arm(entry)
        for job in self._scheduler.get_jobs():
            job.modify(next_run_time=self._now())


def _disarm(entry: _Entry) -> None:
    if entry.timer:
        entry.timer.cancel()
        entry.timer = None
