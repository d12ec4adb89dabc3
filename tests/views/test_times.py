"""Times and durations as people read them."""

from __future__ import annotations

import math

import pytest

from exporter.views import times


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-1, "0 s"), (0, "0 s"), (119, "119 s"), (120, "2 min"), (7199, "120 min"), (7200, "2 h"), (200_000, "2 d")],
)
def test_span(seconds: float, text: str) -> None:
    """A span is in the largest unit of which it has at least two."""
    assert times.span(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0.0 ms"), (0.00049, "0.5 ms"), (0.0127, "13 ms"), (1.2345, "1,234 ms"), (10.04, "10.0 s")],
)
def test_milliseconds(seconds: float, text: str) -> None:
    """A duration is in milliseconds, from 10 s on in seconds."""
    assert times.milliseconds(seconds) == text


def test_times() -> None:
    """A time is in UTC, rounded to the second."""
    assert times.iso(1_700_000_000.7) == "2023-11-14T22:13:21Z"
    assert times.utc(1_700_000_000) == "2023-11-14 22:13:20 UTC"
    assert times.utc(253402300799) == "9999-12-31 23:59:59 UTC"
    assert times.iso(-62135596800) == "0001-01-01T00:00:00Z"
    assert (times.short(1_700_000_000), times.clock(1_700_000_000)) == ("11-14 22:13", "22:13")


@pytest.mark.parametrize("unix", [1e12, 1e300, math.inf, -1e12, -1e300, -math.inf, math.nan])
def test_no_time_is_too_late(unix: float) -> None:
    """What a calendar does not have is its first or its last second, and no error."""
    end = "9999-12-31 23:59:59 UTC" if unix > 0 else "0001-01-01 00:00:00 UTC"
    assert times.utc(unix) == end
    for write in (times.iso, times.short, times.clock):
        assert write(unix)
