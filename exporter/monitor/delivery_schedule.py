"""When deliveries are due, and what becomes of their results: series and log lines."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from typing import Any

import structlog

from exporter.model.delivery import DeliveryResult
from exporter.model.delivery_plan import intervals
from exporter.model.settings import Config, Delivery
from exporter.monitor.delivery_series import DeliverySeries
from exporter.monitor.schedule import DueTimes

EVERY = 5.0
"""Seconds between two looks at what is due."""

log = structlog.get_logger("delivery")


@dataclass(slots=True)
class DeliverySchedule:
    """Makes each delivery when it is due, never twice at once, and keeps its series. `clock` gives Unix seconds.

    A delivery has its due times, counted from the Unix epoch, as a target has: a restart makes none more.
    """

    make: Callable[[Delivery], Coroutine[Any, Any, DeliveryResult]]
    clock: Callable[[], float] = time.time
    _series: dict[str, DeliverySeries] = field(default_factory=dict)
    _tasks: dict[str, asyncio.Task[None]] = field(default_factory=dict)

    def __iter__(self) -> Iterator[DeliverySeries]:
        return iter(self._series.values())

    def configure(self, config: Config) -> None:
        """Make exactly these deliveries. What did not change keeps its series; the others go on with their results."""
        planned = intervals(config)
        before, self._series = self._series, {}
        for name, delivery in config.deliveries.items():
            kept = before.get(name) or DeliverySeries(delivery)
            if kept.delivery != delivery:
                changed = DeliverySeries(delivery)
                changed.follow(kept)
                kept = changed
            if kept.interval != planned[name]:
                kept.interval, kept.next_at = planned[name], 0.0
                if kept.interval > delivery.interval:
                    _tell_stretch(kept)
            self._series[name] = kept

    async def begin_what_is_due(self) -> None:
        """Begin each delivery that is due and not under way."""
        now = self.clock()
        for series in self:
            times = DueTimes.every(series.interval, "delivery", series.delivery.name)
            if not 0 < series.next_at - now <= series.interval:
                is_due = 0 < series.next_at <= now  # else it is new, or the clock was set back
                series.next_at = times.next_after(now)
                if is_due:
                    self._begin(series)

    async def run(self, name: str) -> DeliveryResult:
        """Make a delivery now, and return its result.

        Raises:
            KeyError: there is no such delivery.
        """
        series = self._series[name]
        result = series.with_refusal(await self.make(series.delivery))
        if self._series.get(name) is series:
            _tell(series, result)
            series.add(result)
        return result

    async def close(self) -> None:
        """Cancel the deliveries that are under way; their messages are cleared away by the next run."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _begin(self, series: DeliverySeries) -> None:
        name = series.delivery.name
        if name in self._tasks:
            log.warning("a delivery is still under way where the next one is due", delivery=name)
            return
        self._tasks[name] = task = asyncio.create_task(self._run(name), name=f"delivery {name}")
        task.add_done_callback(lambda _: self._tasks.pop(name, None))

    async def _run(self, name: str) -> None:
        try:
            await self.run(name)
        except Exception:  # the schedule goes on after any fault of a delivery
            log.exception("fault in a delivery", delivery=name)


def _tell(series: DeliverySeries, result: DeliveryResult) -> None:
    """Log what has changed since the last run."""
    before, name = series.last, result.delivery.name
    if result.not_made:
        if before is None or before.not_made != result.not_made:
            log.warning("delivery not made", delivery=name, account=result.not_made.account, why=result.not_made.text)
        return
    known = {(one.stage, one.reason) for one in before.failures} if before else set()
    for failure in result.failures:
        if (failure.stage, failure.reason) not in known:
            log.error(
                "delivery failed",
                delivery=name,
                stage=failure.stage.value,
                reason=failure.reason.value,
                blame=failure.blame.value,
                detail=failure.detail,
                remedy=result.remedy(failure),
            )
    if result.ok and (before is None or not before.ok):
        log.info("delivered", delivery=name, seconds=round(result.duration or 0.0, 3), folder=str(result.folder))


def _tell_stretch(series: DeliverySeries) -> None:
    log.info(
        "a delivery is made less often than its interval says",
        delivery=series.delivery.name,
        interval_seconds=series.delivery.interval,
        planned_seconds=round(series.interval, 1),
    )
