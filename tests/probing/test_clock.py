"""The clock of a probe's phases."""

from __future__ import annotations

import time

import pytest

from exporter.model.outcome import Phase
from exporter.probing.clock import PhaseClock


def test_phases() -> None:
    """A phase lasts until its last octet arrived; one that is entered twice has the sum."""
    clock = PhaseClock()
    clock.enter(Phase.CONNECT)
    clock.leave()
    clock.enter(Phase.CAPABILITY)
    arrived = time.perf_counter()
    clock.leave(arrived)
    first = clock.phases[Phase.CAPABILITY]
    clock.enter(Phase.CAPABILITY)
    assert clock.phase is Phase.CAPABILITY
    clock.leave()
    clock.leave()  # only once
    assert list(clock.phases) == [Phase.CONNECT, Phase.CAPABILITY]
    assert clock.phases[Phase.CAPABILITY] > first >= 0


def test_greeting_begins_with_the_connection() -> None:
    """The server speaks first: its time runs from the end of the connect."""
    clock = PhaseClock()
    clock.enter(Phase.CONNECT)
    connected = time.perf_counter() + 1
    clock.leave(connected)
    clock.enter(Phase.GREETING)
    clock.leave(connected + 2)
    assert clock.phases[Phase.GREETING] == pytest.approx(2)


def test_octets_before_the_phase() -> None:
    """Octets that came before a phase began do not end it in the past."""
    clock = PhaseClock()
    before = time.perf_counter() - 10
    clock.enter(Phase.CAPABILITY)
    clock.leave(before)
    assert 0 <= clock.phases[Phase.CAPABILITY] < 10


def test_begin_again() -> None:
    """A phase that begins again lasts from there; the time lost is returned."""
    clock = PhaseClock()
    clock.enter(Phase.CONNECT)
    again = time.perf_counter() + 3
    assert clock.begin_again(again) == pytest.approx(3, abs=0.5)
    clock.leave(again + 1)
    assert clock.phases[Phase.CONNECT] == pytest.approx(1)
