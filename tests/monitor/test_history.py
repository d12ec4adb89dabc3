"""The last probes of a target."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.model.outcome import Outcome, Phase
from exporter.model.reason import Reason
from exporter.monitor.history import HISTORY, History
from tests.examples import failure, success

SECONDS = st.floats(0, 1e6, width=32)


def remembered(*outcomes: Outcome) -> History:
    """A history of these outcomes."""
    history = History()
    for outcome in outcomes:
        history.append(outcome)
    return history


@given(
    st.dictionaries(st.sampled_from(Phase), SECONDS), st.sampled_from(Phase), st.sampled_from(Reason), st.floats(0, 4e9)
)
def test_what_is_packed_comes_back(phases: dict[Phase, float], phase: Phase, reason: Reason, at: float) -> None:
    """Every phase and reason, and a phase that was not reached stays absent."""
    outcome = replace(success(), phases=MappingProxyType(phases), phase=phase, reason=reason, started_at=at)
    (glimpse,) = remembered(outcome)
    assert glimpse.duration == pytest.approx(outcome.duration)
    assert glimpse == (at, phases, phase, reason)


@pytest.mark.parametrize("count", [0, 1, HISTORY - 1, HISTORY, HISTORY + 1, 2 * HISTORY, 2 * HISTORY + 7])
def test_the_newest_stay_in_order(count: int) -> None:
    """As many as there is room for, the oldest first."""
    history = remembered(*(replace(failure(), started_at=float(number)) for number in range(count)))
    assert [glimpse.started_at for glimpse in history] == list(range(max(0, count - HISTORY), count))
    assert len(history) == min(count, HISTORY)
