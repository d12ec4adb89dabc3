"""What is drawn, in numbers."""

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
    """A probe that took so long, all of it in one phase."""
    return HistoryEntry(at, MappingProxyType({Phase.CONNECT: seconds}), phase, reason)


def heights(path: str) -> list[int]:
    """How high the bars of a path are."""
    return [int(height) for height in re.findall(r"v(\d+)", path)]


@given(st.dictionaries(st.sampled_from(Phase), st.floats(0, 1000), max_size=9))
def test_a_bar_has_no_gaps(phases: dict[Phase, float]) -> None:
    """Its segments follow each other and fill it, whatever their times; a probe of no time at all has no width."""
    segments = chart.bar(phases)
    assert [segment.phase for segment in segments] == list(phases)
    for before, after in itertools.pairwise(segments):
        assert before.x + before.width == after.x
    if sum(phases.values()):
        assert segments[-1].x + segments[-1].width == chart.BAR_WIDTH


def test_a_strip_ends_at_the_right() -> None:
    """The newest probe is at its end, also where there are few."""
    drawn = chart.strip([entry(0.1)], [])
    assert drawn.up.startswith(f"M{(HISTORY - 1) * chart.STRIP_STEP} ")
    assert chart.strip([], []) == ("", "", "", [])


def test_a_failure_is_higher_than_any_success() -> None:
    """Latency is the height of a success, up to a bound; a failure has all of it, a failed login a cap."""
    down, login = (Phase.CONNECT, Reason.REFUSED), (Phase.LOGIN, Reason.ACCOUNT_DISABLED)
    drawn = chart.strip([*map(entry, (0.1, 0.1, 9.0)), entry(0.1, *down), entry(0.1, *login)], [])
    assert heights(drawn.up) == [8, 8, chart.LATENCY_TOP]
    assert heights(drawn.down) == [chart.STRIP_HEIGHT]
    assert heights(drawn.login) == [3, 8]


def test_kept_failures_can_be_looked_at() -> None:
    """A mark for each that is kept whole, and none for the others."""
    kept = failure()
    drawn = chart.strip(
        [entry(1, Phase.CONNECT, Reason.REFUSED, at) for at in (kept.started_at, kept.started_at - 30)], [kept]
    )
    assert [mark.started_at for mark in drawn.marks] == [kept.started_at]


def test_levels_are_letters() -> None:
    """One for each probe, for the lines of many endpoints."""
    assert chart.levels([entry(0.001), entry(0.1), entry(0.1), entry(9)]) == "addh"
    assert chart.levels([entry(1, Phase.LOGIN, Reason.ACCOUNT_DISABLED)]) == "H"
    assert chart.levels([entry(1, Phase.CONNECT, Reason.TIMEOUT)]) == "x"
    assert chart.levels([]) == ""


def test_a_time_out_does_not_flatten_the_rest() -> None:
    """The scale is that of the successes; what failed is marked."""
    drawn = chart.latency([entry(0.08), entry(10, Phase.CONNECT, Reason.TIMEOUT, at=60.0)])
    assert drawn.longest == 80
    assert [tick.value for tick in drawn.up] == [0, 20, 40, 60, 80]
    assert [mark.started_at for mark in drawn.failures] == [60.0]
    assert drawn.across[-1].value == 60.0


@pytest.mark.parametrize("entries", [[], [entry(0.0)], [entry(3, Phase.CONNECT, Reason.TIMEOUT)]])
def test_there_is_always_a_scale(entries: list[HistoryEntry]) -> None:
    """With nothing, with no time at all, with nothing but failures."""
    assert chart.latency(entries).longest > 0


@given(st.floats(0, 1e6))
def test_a_scale_is_round_and_long_enough(longest: float) -> None:
    """A few steps, the last of them not below what is shown."""
    step, end = chart._scale(longest)
    assert end >= longest * 0.99
    assert 1 <= round(end / step) <= 5


def test_packed_phases_keep_their_places() -> None:
    """One for each phase there is, empty where it was not reached."""
    fields = chart.packed(success()).split(",")
    assert len(fields) == len(Phase)
    assert fields[:5] == ["1", "10", "20", "30", "10"]
    assert (fields[list(Phase).index(Phase.LOGIN)], fields[-1]) == ("", "10")
