"""The day's plan: what is stretched, and by how much."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.model.plan import DAY, EARLY, Plan

QUARTER = 900.0
HOUR = 3600.0


@pytest.mark.parametrize(
    ("intervals", "most", "planned"),
    [
        ([], 160, []),
        ([QUARTER], 160, [QUARTER]),
        ([QUARTER] * 2, 160, [DAY / 80] * 2),
        ([QUARTER] * 4, 160, [DAY / 40] * 4),
        ([QUARTER] * 20, 160, [DAY / 8] * 20),
        ([QUARTER] * 4, 800, [QUARTER] * 4),
        ([QUARTER, HOUR], 80, [DAY / 64, DAY / 16]),  # in proportion
        ([DAY / 80, DAY / 80], 160, [DAY / 80] * 2),  # fits exactly
        ([DAY] * 3, 2.4, [DAY] * 3),  # one a day in any case
        ([QUARTER] * 3, 2.4, [DAY] * 3),
        ([QUARTER] * 3, -1.0, [DAY] * 3),
        # Those that would log in less than once a day do so once, and the first has what is left.
        ([QUARTER] + [DAY] * 100, 160, [DAY / 60] + [DAY] * 100),
        ([QUARTER] + [DAY / 2] * 100, 160, [DAY / 51] + [DAY] * 100),  # 2 divided by 1.85
        ([QUARTER] + [2 * DAY] * 100, 150, [DAY / 50] + [2 * DAY] * 100),  # all of them may fall on one day
        ([DAY * 23 / 24] * 4, 6, [DAY] * 4),  # two in 24 hours
    ],
)
def test_interval(intervals: list[float], most: float, planned: list[float]) -> None:
    """All are stretched by one factor, to a whole part of a day; what is at least a day is not."""
    plan = Plan.of(intervals, most)
    assert [plan.interval(seconds) for seconds in intervals] == pytest.approx(planned)
    assert plan.asked == pytest.approx(sum(DAY / seconds for seconds in intervals))
    assert plan.planned == pytest.approx(sum(DAY / seconds for seconds in planned))


def test_stretched() -> None:
    """What is longer than asked for is told, each interval once, the shortest first."""
    assert Plan.of([HOUR, QUARTER, QUARTER, 2 * DAY], 80).stretched == ((QUARTER, DAY / 35), (HOUR, DAY / 8))
    assert Plan.of([QUARTER], 160).stretched == ()
    assert Plan.of([DAY / 80] * 2, 160).stretched == ()


def test_is_tight() -> None:
    """Where logins that are a little early would be more than are planned."""
    assert not Plan().is_tight
    assert not Plan.of([DAY / 98], 100).is_tight
    assert Plan.of([DAY / 99.5], 100).is_tight
    assert Plan.of([QUARTER] * 2, 100).is_tight


@given(st.lists(st.floats(1, 40 * DAY), max_size=30), st.floats(1, 10_000))
def test_any_plan(intervals: list[float], most: float) -> None:
    """A day has no more logins than are planned, and no interval is shorter than asked for."""
    plan = Plan.of(intervals, most)
    planned = [plan.interval(seconds) for seconds in intervals]
    assert all(longer >= seconds * (1 - 1e-6) for seconds, longer in zip(intervals, planned, strict=True))
    early = 1 if plan.is_tight else 1 - EARLY
    assert sum(DAY / (seconds * early) for seconds in planned) <= max(most, len(intervals)) + 1e-6
    if plan.is_tight and math.isfinite(plan.stretch):  # and not many fewer: each has lost less than one
        assert plan.planned > min(plan.asked, most) - len(intervals) - 1e-6
    order = sorted(range(len(intervals)), key=intervals.__getitem__)
    assert [planned[number] for number in order] == sorted(planned)
