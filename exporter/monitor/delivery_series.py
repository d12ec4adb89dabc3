"""The results of each delivery: the last one, and the totals."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import NamedTuple

from exporter.model.delivery import DeliveryResult, Stage
from exporter.model.settings import Delivery

DURATION_BUCKETS = (0.5, 1.0, 2.5, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0)
"""Upper bounds, in seconds, of the histogram of how long messages took."""

KEPT = 100
"""Results that are kept of each delivery."""


class Made(StrEnum):
    """How a run ended."""

    SUCCESS = "success"
    FAILURE = "failure"
    NOT_MADE = "not_made"


class DeliveryPast(NamedTuple):
    """What an earlier process knew of a delivery."""

    results: Sequence[DeliveryResult]
    """Its last results, the oldest first; at least one."""
    since: float | None
    """When mail began to arrive, not to arrive, or not to be sent, as in the last result; in Unix seconds."""
    is_recent: bool
    """Whether the last result is not so old that it tells nothing of the present."""


def way_of(delivery: Delivery) -> list[object]:
    """Return between whom a delivery is made, and by which servers: what makes results comparable. It is JSON."""
    servers = [
        [endpoint.protocol.value, endpoint.host, endpoint.port] for endpoint in (delivery.via, *delivery.read_at)
    ]
    return [delivery.sender.username, delivery.recipient.username, *servers]


@dataclass(slots=True)
class DeliverySeries:
    """What is known of a delivery."""

    delivery: Delivery
    interval: float = 0.0
    """Seconds from one run to the next, as planned; 0 before that is known."""
    next_at: float = 0.0
    """When the next run is due, in Unix seconds; 0 before that is known."""
    results: deque[DeliveryResult] = field(default_factory=lambda: deque(maxlen=KEPT))
    """The last results, the oldest first, those of an earlier process too."""
    last: DeliveryResult | None = None
    """The last result, if it tells of the present."""
    since: float | None = None
    """When mail began to arrive, not to arrive, or not to be sent, as in the last result; in Unix seconds."""
    counts: Counter[Made] = field(default_factory=Counter)
    """Runs of this process, by how they ended."""
    buckets: list[int] = field(default_factory=lambda: [0] * (len(DURATION_BUCKETS) + 1))
    """Messages by how long they took, not cumulative; the last bucket has no upper bound."""
    duration_sum: float = 0.0

    @property
    def version(self) -> int:
        """How often it has changed."""
        return self.counts.total()

    def add(self, result: DeliveryResult) -> None:
        """Add one more result."""
        if self.last is None or self.last.up is not result.up:
            self.since = result.ended_at
        self.last = result
        self.results.append(result)
        made = Made.NOT_MADE if result.not_made else Made.SUCCESS if result.up else Made.FAILURE
        self.counts[made] += 1
        if result.duration is not None:
            self.buckets[bisect_left(DURATION_BUCKETS, result.duration)] += 1
            self.duration_sum += result.duration

    def with_refusal(self, result: DeliveryResult) -> DeliveryResult:
        """Return a result; where it waits for the refusal of a message, with that: none arrives until one is taken."""
        known = next((each for each in reversed(self.results) if each.up is not None), None)
        if known is None or result.not_made is None or not result.not_made.is_refused:
            return result
        return replace(result, failures=tuple(one for one in known.failures if one.stage is Stage.SUBMIT))

    def follow(self, before: DeliverySeries) -> None:
        """Go on where a series ends whose delivery had other settings, if it was between the same mailboxes."""
        if before.results and way_of(before.delivery) == way_of(self.delivery):
            results = [replace(result, delivery=self.delivery) for result in before.results]
            self.restore(DeliveryPast(results, before.since, is_recent=before.last is not None))

    def restore(self, past: DeliveryPast) -> None:
        """Put what an earlier process knew before the results of this one. It changes no total."""
        here = list(self.results)
        self.results.clear()
        self.results.extend([*past.results, *here])
        if not past.is_recent:
            return
        before = past.results[-1]
        if self.last is None:
            self.last, self.since = before, past.since
        elif all(result.up is before.up for result in here):
            self.since = past.since
