"""How long each phase of a probe takes."""

from __future__ import annotations

import time

from exporter.model.outcome import Phase


class PhaseClock:
    """Seconds of each phase; those of a phase that is entered twice are added up."""

    def __init__(self) -> None:
        self.phase = Phase.RESOLVE
        self.phases: dict[Phase, float] = {}
        self._running = False
        self._entered = self._left = time.perf_counter()

    def enter(self, phase: Phase) -> None:
        """Begin a phase now."""
        # The server sends first: its time runs from the end of the connect, not from when this task continued.
        self._entered = self._left if phase is Phase.GREETING else time.perf_counter()
        self.phase = phase
        self.phases.setdefault(phase, 0.0)
        self._running = True

    def begin_again(self, at: float) -> float:
        """Let the phase begin at `at`, and return the seconds that it had taken before."""
        lost = at - self._entered
        self._entered = at
        return lost

    def leave(self, at: float = 0.0) -> None:
        """End the phase. `at` is when its last octet arrived; 0 means now."""
        if self._running:
            self._left = at if at >= self._entered else time.perf_counter()
            self.phases[self.phase] += self._left - self._entered
            self._running = False
