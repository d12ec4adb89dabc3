"""Whether probes are being completed on time: what `/-/healthy` answers, and a watchdog goes by."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

SILENT = 5.0
"""Seconds without a turn of the event loop's own clock after which it counts as held up."""

SHOWN = 10
"""Names of overdue endpoints that are told."""


@dataclass(frozen=True, slots=True)
class Health:
    """The judgement on a schedule, from what that says of itself."""

    stalled: Callable[[], list[str]]
    silence: Callable[[], float]

    def problems(self) -> list[str]:
        """Return what is wrong, a sentence each; nothing where all is well."""
        found = []
        if stalled := self.stalled():
            names = ", ".join(stalled[:SHOWN]) + (", …" if len(stalled) > SHOWN else "")
            found.append(f"overdue probes: {len(stalled)} ({names})")
        if (silence := self.silence()) > SILENT:
            found.append(f"the event loop has been held up for {silence:.0f} s")
        return found
