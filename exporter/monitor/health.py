"""Which probes are overdue, and whether the event loop is blocked: for `/-/healthy`, pages, a metric and systemd."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from exporter.monitor.store import Series, Store

OVERDUE = 5.0
"""Seconds past its interval and its timeout after which a probe is overdue."""

BLOCKED = 5.0
"""Seconds without a tick of the schedule after which the event loop counts as blocked."""

MAX_NAMES = 10
"""Overdue endpoints that are named; the others are only counted."""


def is_overdue(series: Series) -> bool:
    """Whether the next probe of a target should have been completed by now."""
    endpoint = series.target.endpoint
    return series.clock() - series.completed_at > endpoint.interval + endpoint.longest + OVERDUE


@dataclass(frozen=True, slots=True)
class Health:
    """The health of this process. `silence` gives the seconds since the schedule last ran in the event loop."""

    store: Store
    silence: Callable[[], float]

    def overdue(self) -> list[str]:
        """Return the names of the endpoints whose probe is overdue."""
        return sorted(series.target.endpoint.name for series in self.store if is_overdue(series))

    def problems(self) -> list[str]:
        """Return what is wrong, one sentence each; an empty list where nothing is."""
        found = []
        if overdue := self.overdue():
            names = ", ".join(overdue[:MAX_NAMES]) + (", …" if len(overdue) > MAX_NAMES else "")
            found.append(f"overdue probes: {len(overdue)} ({names})")
        if (silence := self.silence()) > BLOCKED:
            found.append(f"the event loop has been held up for {silence:.0f} s")
        return found
