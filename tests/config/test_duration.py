"""Durations as Prometheus reads and writes them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.config.duration import format_duration, parse_duration

# The table of prometheus/common, model/time_test.go, and the edges around it.
GOOD = [
    ("0", 0.0, "0s"),
    ("0w", 0.0, "0s"),
    ("0s", 0.0, "0s"),
    ("324ms", 0.324, "324ms"),
    ("500ms", 0.5, "500ms"),
    ("3s", 3.0, "3s"),
    ("30s", 30.0, "30s"),
    ("5m", 300.0, "5m"),
    ("1h", 3600.0, "1h"),
    ("1h30m", 5400.0, "1h30m"),
    ("90m", 5400.0, "1h30m"),
    ("4d", 345600.0, "4d"),
    ("4d1h", 349200.0, "4d1h"),
    ("14d", 1209600.0, "2w"),
    ("3w", 1814400.0, "3w"),
    ("3w2d1h", 1990800.0, "23d1h"),
    ("10y", 315360000.0, "10y"),
    ("1y1w1d1h1m1s1ms", 32230861.001, "373d1h1m1s1ms"),
    ("0000000000000000000000001s", 1.0, "1s"),
]


@pytest.mark.parametrize(("text", "seconds", "shortest"), GOOD)
def test_good(text: str, seconds: float, shortest: str) -> None:
    """A duration is read as its seconds, and written as Prometheus writes it."""
    assert parse_duration(text) == seconds
    assert format_duration(seconds) == shortest


@pytest.mark.parametrize(
    "text",
    ["", "1", "1 s", " 1s", "1s ", "1s\n", "30s1h", "1s1s", "1.5h", "-1s", "+1s", "1S", "ms", "1µs", "\u0661s", "0x1s"],
)
def test_bad_grammar(text: str) -> None:
    """A text that Prometheus would refuse is refused."""
    with pytest.raises(ValueError, match=r"^not a duration$"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["293y", "9" * 19 + "ms", "9" * 20 + "s", "9" * 100_000 + "y"])
def test_out_of_range(text: str) -> None:
    """A duration that does not fit into Prometheus' 64 bits is refused, however many digits it has."""
    with pytest.raises(ValueError, match=r"^a duration out of range$"):
        parse_duration(text)


@pytest.mark.parametrize("seconds", [-1.0, float("nan")])
def test_format_refuses(seconds: float) -> None:
    """A negative duration, or one that is not a number, has no text."""
    with pytest.raises(ValueError, match=r"^a duration is never negative$"):
        format_duration(seconds)


@given(st.integers(min_value=0, max_value=9_000_000_000_000))
def test_round_trip(milliseconds: int) -> None:
    """Every duration in milliseconds is the same after writing and reading."""
    assert parse_duration(format_duration(milliseconds / 1000)) == milliseconds / 1000
