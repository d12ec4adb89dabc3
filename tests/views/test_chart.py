"""The geometry of the charts."""

from __future__ import annotations

import itertools
import re
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.model.outcome import Phase
from exporter.model.reason import Reason
from exporter.monitor.history import HISTORY, HistoryEntry
from exporter.views import chart
from tests.examples import failure, success


def entry(seconds: float, phase: Phase = Phase.LOGOUT, reason: Reason = Reason.OK, at: float = 0.0) -> HistoryEntry:
    """A history entry of so many seconds, all in one phase."""
    return HistoryEntry(at, MappingProxyType({Phase.CONNECT: seconds}), phase, reason)


def heights(path: str) -> list[int]:
    """The heights of the bars of a path."""
    return [int(height) for height in re.findall(r"v(\d+)", path)]


@given(st.dictionaries(st.sampled_from(Phase), st.floats(0, 1000), max_size=9))
def test_bar(phases: dict[Phase, float]) -> None:
    """The segments of a bar follow each other without a gap, and fill it unless all times are 0."""
    segments = chart.bar(phases)
    assert [segment.phase for segment in segments] == list(phases)
    for before, after in itertools.pairwise(segments):
        assert before.x + before.width == after.x
    if sum(phases.values()):
        assert segments[-1].x + segments[-1].width == chart.BAR_WIDTH


def test_strip_is_right_aligned() -> None:
    """The newest probe is at the right end, also where there are few."""
    drawn = chart.strip([entry(0.1)], [])
    assert drawn.up.startswith(f"M{(HISTORY - 1) * chart.STRIP_STEP} ")
    assert chart.strip([], []) == ("", "", "", [])


def test_heights_of_a_strip() -> None:
    """A success is as high as its latency, up to a bound; a failure has the full height, a failed login a cap."""
    down, login = (Phase.CONNECT, Reason.REFUSED), (Phase.LOGIN, Reason.ACCOUNT_DISABLED)
    drawn = chart.strip([*map(entry, (0.1, 0.1, 9.0)), entry(0.1, *down), entry(0.1, *login)], [])
    assert heights(drawn.up) == [8, 8, chart.LATENCY_TOP]
    assert heights(drawn.down) == [chart.STRIP_HEIGHT]
    assert heights(drawn.login) == [3, 8]


def test_marks_of_a_strip() -> None:
    """There is a mark for each failure that is kept whole, and no other."""
    kept = failure()
    drawn = chart.strip(
        [entry(1, Phase.CONNECT, Reason.REFUSED, at) for at in (kept.started_at, kept.started_at - 30)], [kept]
    )
    assert [mark.entry.started_at for mark in drawn.marks] == [kept.started_at]


def test_levels() -> None:
    """Each probe is one letter."""
    assert chart.levels([entry(0.001), entry(0.1), entry(0.1), entry(9)]) == "addh"
    assert chart.levels([entry(1, Phase.LOGIN, Reason.ACCOUNT_DISABLED)]) == "H"
    assert chart.levels([entry(1, Phase.CONNECT, Reason.TIMEOUT)]) == "x"
    assert chart.levels([]) == ""


def test_scale_with_a_failure() -> None:
    """The scale is that of the successes, and failures have a mark."""
    drawn = chart.latency([entry(0.08), entry(10, Phase.CONNECT, Reason.TIMEOUT, at=60.0)])
    assert drawn.top == 80
    assert [tick.value for tick in drawn.y_ticks] == [0, 20, 40, 60, 80]
    assert [mark.entry.started_at for mark in drawn.failures] == [60.0]
    assert drawn.x_ticks[-1].value == 60.0


@pytest.mark.parametrize("entries", [[], [entry(0.0)], [entry(3, Phase.CONNECT, Reason.TIMEOUT)]])
def test_scale_without_successes(entries: list[HistoryEntry]) -> None:
    """There is a scale without entries, with no time at all, and with failures alone."""
    assert chart.latency(entries).top > 0


@given(st.floats(0, 1e6))
def test_scale(longest: float) -> None:
    """A scale has one to five steps, and ends at or above the longest value."""
    step, end = chart._scale(longest)
    assert end >= longest * 0.99
    assert 1 <= round(end / step) <= 5


def test_packed() -> None:
    """There is a field for every phase, empty where it was not reached."""
    fields = chart.packed(success()).split(",")
    assert len(fields) == len(Phase)
    assert fields[:5] == ["1", "10", "20", "30", "10"]
    assert (fields[list(Phase).index(Phase.LOGIN)], fields[-1]) == ("", "10")
