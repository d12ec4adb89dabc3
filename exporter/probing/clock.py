"""Measures the phases of a session. Times are those of `time.perf_counter`."""

from __future__ import annotations

import time

from exporter.model.outcome import Phase


class PhaseClock:
    """Seconds of each phase, in order; those of a phase that is entered twice are added up.

    A phase is the server's time: it lasts from the moment at which what asks the server was handed to the kernel until
    the last octet of the answer arrived. What this program does before and after is in no phase.
    """

    def __init__(self) -> None:
        self.phase = Phase.RESOLVE
        """The last phase that was entered."""
        self.phases: dict[Phase, float] = {}
        self._running = False
        self._asked = True
        self._entered = time.perf_counter()

    def enter(self, phase: Phase, at: float = 0.0) -> None:
        """Begin a phase, at `at`; 0 means now, or when the first octets of the phase are sent."""
        self._entered, self._asked = (at, True) if at else (time.perf_counter(), False)
        self.phase = phase
        self.phases.setdefault(phase, 0.0)
        self._running = True

    def ask(self, at: float) -> None:
        """Note that octets were handed to the kernel at `at`: if nothing was sent before, the phase begins there."""
        if not self._asked:
            self._asked = True
            self._entered = max(at, self._entered)

    def begin_again(self, at: float) -> float:
        """Let the phase begin at `at`, and return the seconds that it had taken before."""
        lost = at - self._entered
        self._entered = at
        return lost

    def leave(self, at: float = 0.0) -> None:
        """End the phase. `at` is when its last octet arrived; 0, or a time before the phase, means now."""
        if self._running:
            left = at if at >= self._entered else time.perf_counter()
            self.phases[self.phase] += left - self._entered
            self._running = False
