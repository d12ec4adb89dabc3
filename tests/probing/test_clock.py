"""The phases of a session, by times that the test gives."""

from __future__ import annotations

import time

import pytest

from exporter.model.outcome import Phase
from exporter.probing.clock import PhaseClock


def test_from_the_question_to_the_answer() -> None:
    """A phase begins when its first octets are sent, not when it is entered, and ends when the last one arrived."""
    clock = PhaseClock()
    now = time.perf_counter() + 100
    clock.enter(Phase.CAPABILITY)
    clock.ask(now)
    clock.ask(now + 1)  # a further command of the same phase
    clock.leave(now + 3)
    assert clock.phases == {Phase.CAPABILITY: pytest.approx(3)}


def test_unasked() -> None:
    """A greeting comes without a question: the phase begins when the server may send it."""
    clock = PhaseClock()
    now = time.perf_counter()
    clock.enter(Phase.GREETING, now - 5)
    clock.ask(now)
    clock.leave(now - 1)
    assert clock.phases == {Phase.GREETING: pytest.approx(4)}


def test_twice() -> None:
    """A phase that is entered twice is the sum, in the place of the first."""
    clock = PhaseClock()
    now = time.perf_counter() + 100
    for phase, seconds in ((Phase.CAPABILITY, 2.0), (Phase.LOGIN, 3.0), (Phase.CAPABILITY, 4.0)):
        clock.enter(phase, now)
        clock.leave(now + seconds)
    assert list(clock.phases) == [Phase.CAPABILITY, Phase.LOGIN]
    assert list(clock.phases.values()) == pytest.approx([6, 3])
    assert clock.phase is Phase.CAPABILITY


def test_now() -> None:
    """Without an answer, or with one of before the phase, it ends now; to leave it twice changes nothing."""
    clock = PhaseClock()
    clock.enter(Phase.LOGIN)
    clock.leave(1.0)
    first = clock.phases[Phase.LOGIN]
    assert 0 <= first < 1
    clock.leave()
    assert clock.phases[Phase.LOGIN] == first


def test_begin_again() -> None:
    """What was lost before an address connected is not a part of the phase."""
    clock = PhaseClock()
    now = time.perf_counter()
    clock.enter(Phase.CONNECT, now)
    assert clock.begin_again(now + 2) == pytest.approx(2)
    clock.leave(now + 3)
    assert clock.phases == {Phase.CONNECT: pytest.approx(1)}


def test_octets_before_the_phase() -> None:
    """Octets that came before a phase began do not end it in the past."""
    clock = PhaseClock()
    before = time.perf_counter() - 10
    clock.enter(Phase.CAPABILITY)
    clock.leave(before)
    assert 0 <= clock.phases[Phase.CAPABILITY] < 10
