"""When each target is probed. The only file that knows APScheduler.

Every target has a rhythm: its interval, and a fixed offset in it from a hash of its name, counted from the Unix epoch.
So a thousand targets do not start together, and a restart keeps the beat.

APScheduler runs one job, whatever the number of targets: once in a `WINDOW` it deals out the beats that lie ahead, as
timers of the event loop. A job for each target would cost a third of what the probe itself does.
"""

from __future__ import annotations

import asyncio
import hashlib
import heapq
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count

import structlog
from apscheduler.schedulers.asyncio import AsyncIOScheduler

from exporter.model.outcome import Target
from exporter.monitor.instruments import ExporterMetrics
from exporter.monitor.store import Key

SOON = 1.5
"""Seconds in which the first probes are made, where they are few."""

FEW = 20
"""Targets below which the first probes are made soon, rather than in the rhythm."""

GRACE = 1.0
"""Seconds that running probes get when the schedule stops."""

WINDOW = 1.0
"""Seconds between two deals of the beats that lie ahead; each deals out those of the next two windows."""

LATER = 0.001
"""Seconds by which timers are set late: event loops count in milliseconds from when their turn began, and are early."""

TICK = 0.5
"""Seconds between two looks at the event loop's lag and at the clock."""

CLOCK_STEP = 1.0
"""Seconds by which the wall clock must have been set for the rhythms to be found anew."""

RECENT = 10.0
"""Seconds for which it is told that the event loop was held up: while it was, nobody could be told."""

OVERDUE = 5.0
"""Seconds past its interval and its deadline after which a probe counts as stalled."""

log = structlog.get_logger("schedule")


@dataclass(frozen=True, slots=True)
class Rhythm:
    """The times `offset + n * interval` since the Unix epoch, in whole milliseconds.

    Whole, so that a time that went through a float or a datetime is still the same time: one that came back a little
    earlier would be due again at once, for ever.
    """

    interval: int
    offset: int

    @classmethod
    def of(cls, target: Target) -> Rhythm:
        """The rhythm of a target: the same on every host and in every run."""
        interval = max(1, round(target.endpoint.interval * 1000))
        digest = hashlib.sha256("/".join(target.key).encode()).digest()
        return cls(interval, int.from_bytes(digest[:8]) % interval)

    def next_after(self, now: float) -> float:
        """Return the first time later than `now`, by half a millisecond at least; both in Unix seconds."""
        return (self.offset + (self._beat(now) + 1) * self.interval) / 1000

    def beats(self, since: float, until: float) -> int:
        """Return how many times lie after `since`, up to and including `until`."""
        return self._beat(until) - self._beat(since)

    def _beat(self, now: float) -> int:
        """The number of the last time that is not after `now`."""
        return (round(now * 1000) - self.offset) // self.interval


@dataclass(slots=True)
class _Slot:
    """What the schedule knows of one target."""

    target: Target
    rhythm: Rhythm
    due: float
    """Unix seconds of the next run."""
    not_before: float
    """Unix seconds before which no beat counts, because the first probe came early."""
    done_at: float
    """`time.monotonic()` of the last probe's end; of the configuration before the first."""
    task: asyncio.Task[None] | None = None
    timer: asyncio.TimerHandle | None = None


@dataclass(slots=True)
class Schedule:
    """Calls `check` for each target in its rhythm, never twice at once for the same target."""

    check: Callable[[Target], Awaitable[object]]
    metrics: ExporterMetrics
    _slots: dict[Key, _Slot] = field(default_factory=dict)
    _ahead: list[tuple[float, int, _Slot]] = field(default_factory=list)
    """A heap of what was not dealt out yet, by when it is due; what is not up to date any more is left out then."""
    _serial: Iterator[int] = field(default_factory=count)
    _dealt_until: float = 0.0
    """Unix seconds up to which beats have timers."""
    _loop: asyncio.AbstractEventLoop | None = None
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _stopped: bool = False
    _ticker: asyncio.Task[None] | None = None
    _ticked_at: float = field(default_factory=time.monotonic)
    _held_up: tuple[float, float] = (-RECENT, 0.0)
    """`time.monotonic()` of the end of the last hold-up beyond a tick, and its seconds."""
    _scheduler: AsyncIOScheduler = field(
        # A stall must delay runs, not drop them silently: what is missed is counted here.
        default_factory=lambda: AsyncIOScheduler(
            timezone=UTC, job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 1}
        )
    )

    def start(self) -> None:
        """Begin; the running event loop is the one that probes."""
        self._loop = asyncio.get_running_loop()
        self._scheduler.add_job(self._deal, "interval", seconds=WINDOW, id=_DEAL, next_run_time=datetime.now(UTC))
        self._scheduler.start()
        self._ticker = asyncio.create_task(self._tick(), name="tick")

    def configure(self, targets: Iterable[Target]) -> None:
        """Probe exactly these targets. What did not change keeps its rhythm and its running probe."""
        if self._stopped:
            return  # by a reload that was under way
        wanted = {target.key: target for target in targets}
        running = {}
        for key in [key for key, slot in self._slots.items() if wanted.get(key) != slot.target]:
            slot = self._slots.pop(key)
            _disarm(slot)
            running[key] = slot.task
        few = len(wanted) < FEW
        for key, target in wanted.items():
            if key not in self._slots:
                self._slots[key] = self._add(target, soon=few)
                self._slots[key].task = running.get(key)  # of the old configuration, and never two at once

    async def probe(self, key: Key) -> None:
        """Probe a target now, out of its rhythm, and return when that is done.

        Where it is being probed already, that is the probe: never two at once.

        Raises:
            KeyError: there is no such target.
        """
        slot = self._slots[key]
        if slot.task is None or slot.task.done():
            self._launch(slot)
        if slot.task:
            await asyncio.wait({slot.task})

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

    def stalled(self) -> list[str]:
        """Return the names of endpoints whose probe is overdue."""
        now = time.monotonic()
        return sorted(
            slot.target.endpoint.name
            for slot in self._slots.values()
            if now - slot.done_at > slot.target.endpoint.interval + slot.target.endpoint.timeout + OVERDUE
        )

    def silence(self) -> float:
        """Return the seconds since the event loop last ran this schedule's own clock; usually below `TICK`.

        Or those for which it was held up, where that has ended only now.
        """
        now = time.monotonic()
        ended_at, seconds = self._held_up
        return max(now - self._ticked_at, seconds if now - ended_at < RECENT else 0.0)

    def _add(self, target: Target, *, soon: bool) -> _Slot:
        rhythm, now = Rhythm.of(target), time.time()
        due, not_before = rhythm.next_after(now), 0.0
        if soon and (early := now + SOON * rhythm.offset / rhythm.interval) < due:
            # What follows too closely upon the early probe is left out.
            due, not_before = early, early + target.endpoint.interval / 2
        slot = _Slot(target, rhythm, due, not_before, done_at=time.monotonic())
        self._plan(slot)
        return slot

    def _plan(self, slot: _Slot) -> None:
        """See to it that the slot's probe begins when it is due."""
        if self._loop and slot.due < self._dealt_until:
            _disarm(slot)
            slot.timer = self._loop.call_later(max(0.0, slot.due - time.time() + LATER), self._begin, slot)
        else:
            heapq.heappush(self._ahead, (slot.due, next(self._serial), slot))

    async def _deal(self) -> None:
        """Give a timer to each beat of the next two windows: also where the next deal comes late, they are on time."""
        self._dealt_until = time.time() + 2 * WINDOW
        while self._ahead and self._ahead[0][0] < self._dealt_until:
            due, _, slot = heapq.heappop(self._ahead)
            if slot.due == due and self._slots.get(slot.target.key) is slot:
                self._plan(slot)

    def _begin(self, slot: _Slot) -> None:
        """Start a probe, in a task that this schedule can wait for."""
        now = time.time()
        missed = max(0, slot.rhythm.beats(max(slot.due, slot.not_before), now))  # below 0 where the clock was set back
        if slot.task and not slot.task.done():
            missed += 1
        else:
            self._launch(slot, slot.due)
        if missed:
            self.metrics.probes_missed.inc(missed)
        # Where a timer is early even so, the same beat must not come again.
        slot.due = slot.rhythm.next_after(max(now, slot.due, slot.not_before))
        self._plan(slot)

    def _launch(self, slot: _Slot, due: float | None = None) -> None:
        slot.task = asyncio.create_task(self._run(slot, due), name=f"probe {slot.target.endpoint.name}")
        self._tasks.add(slot.task)
        slot.task.add_done_callback(self._tasks.discard)

    async def _run(self, slot: _Slot, due: float | None) -> None:
        if due is not None:  # a probe that somebody asked for is never late
            self.metrics.schedule_lag.observe(max(0.0, time.time() - due))
        with self.metrics.probes_in_flight.track_inprogress():
            try:
                await self.check(slot.target)
                slot.done_at = time.monotonic()  # not after a fault: nothing was found out, and that must show
            except Exception:  # the schedule outlives any fault of a check
                log.exception("fault in a check", endpoint=slot.target.endpoint.name)

    async def _tick(self) -> None:
        """Measure the event loop's lag, and find the rhythms anew when the wall clock was set."""
        skew = time.time() - time.monotonic()
        while True:
            asleep = time.perf_counter()
            await asyncio.sleep(TICK)
            self._ticked_at = time.monotonic()
            lag = max(0.0, time.perf_counter() - asleep - TICK)
            self.metrics.event_loop_lag.observe(lag)
            if lag > TICK:
                self._held_up = self._ticked_at, lag
            step = time.time() - time.monotonic() - skew
            if abs(step) > CLOCK_STEP:
                skew += step
                log.warning("the clock was set", step_seconds=round(step, 3))
                self._find_rhythms_anew()

    def _find_rhythms_anew(self) -> None:
        """Without this, a clock that was set back would stop all probes until it has caught up."""
        now = time.time()
        self._ahead.clear()
        self._dealt_until = now
        for slot in self._slots.values():
            _disarm(slot)
            slot.due, slot.not_before = slot.rhythm.next_after(now), 0.0
            self._plan(slot)
        self._scheduler.modify_job(_DEAL, next_run_time=datetime.fromtimestamp(now, UTC))


_DEAL = "deal"


def _disarm(slot: _Slot) -> None:
    if slot.timer:
        slot.timer.cancel()
        slot.timer = None
