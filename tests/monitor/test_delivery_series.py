"""The totals of a delivery."""

from __future__ import annotations

from exporter.model.delivery import Stage
from exporter.monitor.delivery_series import DURATION_BUCKETS, KEPT, DeliverySeries, Made
from tests.deliveries.results import DELIVERY, STAGES, delivered, missing, not_made


def test_totals() -> None:
    """Results are counted by how they ended, and messages by how long they took."""
    series = DeliverySeries(DELIVERY, 1800.0)
    assert (series.last, series.last_made) == (None, None)
    for result in (delivered(), missing(), not_made(), delivered(stages={**STAGES, Stage.TRANSFER: 9999.0})):
        series.add(result)
    assert series.counts == {Made.SUCCESS: 2, Made.FAILURE: 1, Made.NOT_MADE: 1}
    assert series.buckets[DURATION_BUCKETS.index(2.5)] == 1
    assert series.buckets[-1] == 1
    assert series.duration_sum == 10001.5
    series.add(not_made())
    assert series.last == not_made()
    assert series.last_made is not None
    assert series.last_made.duration == 9999.0


def test_memory() -> None:
    """The last results are kept."""
    series = DeliverySeries(DELIVERY, 1800.0)
    for number in range(KEPT + 5):
        series.add(delivered(started_at=float(number)))
    assert len(series.results) == KEPT
    assert series.results[0].started_at == 5
