"""The history of a target."""

from __future__ import annotations

import math
import struct
from dataclasses import replace
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.model.outcome import Outcome, Phase
from exporter.model.reason import Reason
from exporter.monitor.history import HISTORY, LAYOUT, RECORD_OCTETS, History, converted
from exporter.views import chart
from tests.examples import failure, success

SECONDS = st.floats(0, 1e6, width=32)


def history_of(*outcomes: Outcome) -> History:
    """A history of these Outcomes."""
    history = History()
    for outcome in outcomes:
        history.append(outcome)
    return history


@given(
    st.dictionaries(st.sampled_from(Phase), SECONDS), st.sampled_from(Phase), st.sampled_from(Reason), st.floats(0, 4e9)
)
def test_entry(phases: dict[Phase, float], phase: Phase, reason: Reason, at: float) -> None:
    """An entry has every phase, reason and time of its Outcome; a phase that was not reached is absent."""
    outcome = replace(success(), phases=MappingProxyType(phases), phase=phase, reason=reason, started_at=at)
    (entry,) = history_of(outcome)
    assert entry.duration == pytest.approx(outcome.duration)
    assert entry == (at, phases, phase, reason)


@pytest.mark.parametrize("count", [0, 1, HISTORY - 1, HISTORY, HISTORY + 1, 2 * HISTORY, 2 * HISTORY + 7])
def test_eviction(count: int) -> None:
    """The newest entries are kept, from the oldest to the newest."""
    history = history_of(*(replace(failure(), started_at=float(number)) for number in range(count)))
    assert [entry.started_at for entry in history] == list(range(max(0, count - HISTORY), count))
    assert len(history) == min(count, HISTORY)


@pytest.mark.parametrize("count", [0, 1, HISTORY - 1, HISTORY, HISTORY + 7, 2 * HISTORY + 7])
@pytest.mark.parametrize("newest", [0, 1, 30, HISTORY])
def test_records(count: int, newest: int) -> None:
    """The newest ones make the same history again, which goes on as any other."""
    history = history_of(*(replace(failure(), started_at=float(number)) for number in range(count)))
    again = History(history.records(newest))
    assert list(again) == list(history)[max(0, len(history) - newest) :]
    again.append(success())
    assert list(again)[-1].started_at == success().started_at
    assert len(again) == min(HISTORY, min(count, newest) + 1)


def test_too_many_records() -> None:
    """The last ones count."""
    records = history_of(*(replace(failure(), started_at=float(number)) for number in range(HISTORY))).records()
    assert [entry.started_at for entry in History(records + records)] == list(range(HISTORY))


@given(st.binary(max_size=10 * RECORD_OCTETS))
def test_any_octets(octets: bytes) -> None:
    """They are refused, or make a history that can be shown: every number is one."""
    try:
        history = History(converted(octets, LAYOUT, until=1e10))
    except struct.error:
        assert len(octets) % RECORD_OCTETS
        return
    for entry in history:
        assert 0 <= entry.started_at <= 1e10
        assert all(0 <= seconds < math.inf for seconds in entry.phases.values())
    chart.latency(list(history))
    chart.strip(history, ())
