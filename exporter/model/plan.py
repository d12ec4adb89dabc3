"""The day's plan of a mailbox: how often each of its endpoints may log in, so that the ceiling is never reached.

`max_logins_per_day` is a guard against faults, not a part of the plan. Where more logins are asked for in any 24 hours
than are planned, all intervals are stretched by the same factor. A target that would then log in less than once a day
does so once a day, or as rarely as it asks for; the others share what is left.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

DAY = 86400.0

PLANNED = 0.8
"""The part of a ceiling that is planned at most; the rest is for `/probe`, commands, restarts and faults."""

REQUESTED = 0.9
"""The part of a ceiling that the plan and what scrapes of `/probe` ask for have together at most."""

EARLY = 0.01
"""The part of an interval by which a login may be early: a probe that is due at its end may come a little before."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is planned of a day, for what recurs at intervals.

    Attributes:
        intervals: Seconds from each to its next that are asked for.
        most: How many are planned in 24 hours; each has one in any case, if it asks for that many.
        stretch: What the intervals are multiplied by: 1 where all fit, infinity where each is planned once a day at
            most.
    """

    intervals: tuple[float, ...] = ()
    most: float = math.inf
    stretch: float = 1.0

    @classmethod
    def of(cls, intervals: Iterable[float], most: float) -> Plan:
        """Return the plan of what asks for these intervals, in seconds; `most` are planned in 24 hours."""
        asked = tuple(intervals)
        return cls(
            asked, most, _stretch(sorted(DAY / min(seconds, DAY) for seconds in asked if seconds < math.inf), most)
        )

    @property
    def asked(self) -> float:
        """How many a day are asked for."""
        return sum(DAY / seconds for seconds in self.intervals)

    @property
    def planned(self) -> float:
        """How many a day there are by the plan."""
        return sum(DAY / self.interval(seconds) for seconds in self.intervals)

    @property
    def stretched(self) -> tuple[tuple[float, float], ...]:
        """The intervals that are longer by the plan than is asked for, as pairs of what is asked for and planned."""
        pairs = ((seconds, self.interval(seconds)) for seconds in sorted(set(self.intervals)))
        return tuple((asked, planned) for asked, planned in pairs if planned > asked)

    @property
    def is_tight(self) -> bool:
        """Whether 24 hours can have more than are planned, as the intervals are asked for.

        Of 23 hours there are two in 24, and so there are where a login is early; of a week, all may fall on one day.
        """
        return sum(math.ceil(DAY / (seconds * (1 - EARLY)) - 1e-9) for seconds in self.intervals) > self.most

    def interval(self, seconds: float) -> float:
        """Return the planned interval where `seconds` are asked for.

        A planned one is a whole part of a day, so that no 24 hours have more than are planned.
        """
        if not self.is_tight or seconds >= DAY:
            return seconds
        return DAY / max(1, math.floor(DAY / (seconds * self.stretch) + 1e-9))


def plans(
    scheduled: Iterable[float], requested: Iterable[float], ceiling: int, taken: float = 0.0
) -> tuple[Plan, Plan]:
    """Return the plan of what is due at these intervals, and that of what requests may ask for, which has what is left.

    `ceiling` is the most in 24 hours; so many are `taken` in any case.
    """
    plan = Plan.of(scheduled, PLANNED * ceiling - taken)
    return plan, Plan.of(requested, REQUESTED * ceiling - plan.planned - taken)


def _stretch(rates: list[float], most: float) -> float:
    """Return the least factor by which rates a day, at least 1 and ascending, are divided so that their sum is `most`.

    A rate is not divided below 1.
    """
    left, room = sum(rates), most
    if left <= room:
        return 1.0
    for rate in rates:
        if room > 0 and rate * room >= left:
            return left / room
        room -= 1
        left -= rate
    return math.inf
