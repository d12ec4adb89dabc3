"""The results of each delivery: the last one, and the totals."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, deque
from dataclasses import dataclass, field
from enum import StrEnum

from exporter.model.delivery import DeliveryResult
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


@dataclass(slots=True)
class DeliverySeries:
    """What is known of a delivery since it was configured."""

    delivery: Delivery
    interval: float
    """Seconds from one run to the next, as planned."""
    next_at: float = 0.0
    """When the next run is due, in Unix seconds; 0 before that is known."""
    results: deque[DeliveryResult] = field(default_factory=lambda: deque(maxlen=KEPT))
    """The last results, the oldest first."""
    counts: Counter[Made] = field(default_factory=Counter)
    buckets: list[int] = field(default_factory=lambda: [0] * (len(DURATION_BUCKETS) + 1))
    """Messages by how long they took, not cumulative; the last bucket has no upper bound."""
    duration_sum: float = 0.0

    @property
    def last(self) -> DeliveryResult | None:
        """The last result."""
        return self.results[-1] if self.results else None

    @property
    def last_made(self) -> DeliveryResult | None:
        """The last result of a delivery that was made."""
        return next((result for result in reversed(self.results) if not result.not_made), None)

    def add(self, result: DeliveryResult) -> None:
        """Add one more result."""
        self.results.append(result)
        made = Made.NOT_MADE if result.not_made else Made.SUCCESS if result.up else Made.FAILURE
        self.counts[made] += 1
        if result.duration is not None:
            self.buckets[bisect_left(DURATION_BUCKETS, result.duration)] += 1
            self.duration_sum += result.duration
