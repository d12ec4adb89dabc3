"""The series of each target: its latest Outcomes, its totals, and the history of its probes."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from exporter.model.login import Denial
from exporter.model.outcome import Check, Outcome, Phase, Target, TargetKey
from exporter.model.reason import Reason
from exporter.monitor.history import History
from exporter.monitor.kept import Kept, Memory

DURATION_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Upper bounds, in seconds, of the histogram of probe durations."""


@dataclass(slots=True)
class Series:
    """The Outcomes and totals of one target since it was configured."""

    target: Target
    clock: Callable[[], float] = time.monotonic
    completed_at: float = field(init=False)
    """When the last probe was completed, by `clock`; before the first one, when the target was configured."""
    version: int = 0
    """The number of Outcomes added."""
    denials: Counter[Denial] = field(default_factory=Counter)
    """Logins that the budget did not allow."""
    since: float | None = None
    """When the present failures began, or else the present success, in Unix seconds; None before the first probe."""
    successes: int = 0
    failures: Counter[tuple[Phase, Reason]] = field(default_factory=Counter)
    logins: Counter[bool] = field(default_factory=Counter)
    """Logins attempted, by whether they succeeded."""
    buckets: list[int] = field(default_factory=lambda: [0] * (len(DURATION_BUCKETS) + 1))
    """Successful probes by duration, not cumulative; the last bucket has no upper bound."""
    duration_sum: float = 0.0
    history: History = field(default_factory=History)
    kept: Kept = field(default_factory=Kept)

    def __post_init__(self) -> None:
        self.completed_at = self.clock()

    def add(self, outcome: Outcome) -> bool:
        """Add one more Outcome; return whether what fails has changed, which is true of the first one."""
        before = self._failures
        self.completed_at = self.clock()
        self.version += 1
        if outcome.login and outcome.login.denied:
            self.denials[outcome.login.denied] += 1
        self.kept.add(outcome)
        if outcome.observed.login_attempted:
            self.logins[outcome.checks.get(Check.LOGIN, False)] += 1
        if outcome.ok:
            self.successes += 1
            self.buckets[bisect_left(DURATION_BUCKETS, outcome.duration)] += 1
            self.duration_sum += outcome.duration
        else:
            self.failures[outcome.phase, outcome.reason] += 1
        self.history.append(outcome)
        changed = self.since is None or self._failures != before
        if changed:
            self.since = outcome.ended_at
        return changed

    @property
    def last(self) -> Outcome | None:
        """The Outcome of the last probe."""
        return self.kept.last

    @property
    def last_login(self) -> Outcome | None:
        """The last Outcome with a login, even if it could not be sent."""
        return self.kept.last_login

    @property
    def last_success(self) -> Outcome | None:
        """The last Outcome that succeeded."""
        return self.kept.last_success

    @property
    def kept_failures(self) -> Sequence[Outcome]:
        """The last failed Outcomes, the oldest first."""
        return self.kept.failures

    @property
    def _failures(self) -> frozenset[tuple[Phase, Reason]]:
        return frozenset((outcome.phase, outcome.reason) for outcome in self.failing)

    @property
    def suspended(self) -> bool:
        """Whether logins are held back to protect the account."""
        return self.last is not None and self.last.held_by is not None

    @property
    def failing(self) -> Iterator[Outcome]:
        """The last probe and the last login where they failed, each failure once."""
        if self.last and not self.last.ok:
            yield self.last
        if self.last_login and not self.last_login.ok:
            same = self.last and (self.last.phase, self.last.reason) == (self.last_login.phase, self.last_login.reason)
            if not same:
                yield self.last_login


class Store:
    """The series of every configured target. `clock` gives monotonic seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._memory = Memory()
        self._series: dict[TargetKey, Series] = {}

    def __iter__(self) -> Iterator[Series]:
        return iter(self._series.values())

    def __len__(self) -> int:
        return len(self._series)

    def __contains__(self, key: TargetKey) -> bool:
        return key in self._series

    def __getitem__(self, key: TargetKey) -> Series:
        return self._series[key]

    def of_endpoint(self, name: str) -> list[Series]:
        """Return the series of an endpoint: one, or one for each address family; none where it is not configured."""
        return [series for series in self if series.target.endpoint.name == name]

    def configure(self, targets: Iterable[Target]) -> None:
        """Keep exactly these targets. One that did not change keeps its series; one that changed gets a new series."""
        self._series = {
            target.key: self._series[target.key] if self.holds(target) else self._new(target) for target in targets
        }
        self._memory.divide(series.kept for series in self)

    def holds(self, target: Target) -> bool:
        """Whether exactly this target is configured."""
        series = self._series.get(target.key)
        return series is not None and series.target == target

    def _new(self, target: Target) -> Series:
        return Series(target, self._clock, kept=Kept.of(target, self._memory))
