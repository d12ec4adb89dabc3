"""The series of each target: its latest Outcomes, its totals, and the history of its probes."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from exporter.model.login import Denial
from exporter.model.outcome import Check, Outcome, Phase, Target, TargetKey
from exporter.model.reason import Reason
from exporter.monitor.history import History
from exporter.monitor.kept import Kept, Memory

DURATION_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Upper bounds, in seconds, of the histogram of probe durations."""


class Condition(StrEnum):
    """What the last probes say of a target."""

    DOWN = "down"
    LOGIN = "login"
    """Up, but a login or a folder fails, or logins are held back to protect the account."""
    UP = "up"


class Past(NamedTuple):
    """What an earlier process knew of a target."""

    condition: Condition
    since: float
    """When it began, in Unix seconds."""
    records: bytes
    """The history of its probes."""
    failures: Sequence[Outcome]
    is_recent: bool
    """Whether the last probe is not so long ago that the condition may have changed and changed back since."""


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
    """When the present condition began, in Unix seconds; None before the first probe."""
    _began: float = 0.0
    """The same by `clock`."""
    successes: int = 0
    failures: Counter[tuple[Phase, Reason]] = field(default_factory=Counter)
    logins: Counter[bool] = field(default_factory=Counter)
    """Logins attempted, by whether they succeeded."""
    login_failures: int | None = None
    """Logins in a row that failed, also in the step after them, or could not be sent; None before the first one."""
    buckets: list[int] = field(default_factory=lambda: [0] * (len(DURATION_BUCKETS) + 1))
    """Successful probes by duration, not cumulative; the last bucket has no upper bound."""
    duration_sum: float = 0.0
    retransmits: int | None = None
    """Segments that the kernel sent again; None where it does not tell."""
    history: History = field(default_factory=History)
    kept: Kept = field(default_factory=Kept)
    past: Past | None = None
    """What an earlier process knew."""
    _is_first: bool = False
    """Whether the present condition is the first one that this process has seen."""

    def __post_init__(self) -> None:
        self.completed_at = self.clock()

    def add(self, outcome: Outcome) -> bool:
        """Add one more Outcome; return whether what fails has changed, which is true of the first one."""
        before, condition = self._failures, self.condition
        self.completed_at = self.clock()
        self.version += 1
        if outcome.login and outcome.login.denied:
            self.denials[outcome.login.denied] += 1
        if outcome.observed.retransmits is not None:
            self.retransmits = (self.retransmits or 0) + outcome.observed.retransmits
        self.kept.add(outcome)
        if outcome.observed.login_attempted:
            self.logins[outcome.checks.get(Check.LOGIN, False)] += 1
        if outcome.login_reached:
            succeeded = outcome.ok or outcome.reason is Reason.FOLDER_HIDDEN
            self.login_failures = 0 if succeeded else (self.login_failures or 0) + 1
        if outcome.ok:
            self.successes += 1
            self.buckets[bisect_left(DURATION_BUCKETS, outcome.duration)] += 1
            self.duration_sum += outcome.duration
        else:
            self.failures[outcome.phase, outcome.reason] += 1
        self.history.append(outcome)
        if self.condition is not condition:
            self.since, self._began = outcome.ended_at, self.completed_at
            self._is_first = condition is None
            self._go_on()
        return condition is None or self._failures != before

    def restore(self, past: Past) -> None:
        """Add what an earlier process knew. It changes no total and no metric, and is no result of a probe."""
        self.past = past
        self.history = History(past.records + self.history.records())
        self.kept.restore(past.failures)
        self._go_on()
        self.version += 1

    def _go_on(self) -> None:
        """Where the first condition here is the last one of an earlier process, it began there."""
        if self._is_first and self.past and self.past.is_recent and self.past.condition is self.condition:
            if self.since is not None:
                self._began -= max(0.0, self.since - self.past.since)
            self.since = self.past.since

    @property
    def lasted(self) -> float | None:
        """Seconds from the beginning of the present condition, however the host's clock was set; None before one."""
        return None if self.since is None else self.clock() - self._began

    @property
    def condition(self) -> Condition | None:
        """What the last probe and the last login say; None before the first probe."""
        if self.last is None:
            return None
        if not self.last.up:
            return Condition.DOWN
        return Condition.LOGIN if self.suspended or any(True for _ in self.failing) else Condition.UP

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
    def held(self) -> str:
        """Why logins are held back to protect the account, for people; empty where they are not."""
        return self.last.login.why if self.last and self.last.login else ""

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

    def of_endpoint(self, name: str, host: str = "") -> list[Series]:
        """Return the series of an endpoint, or of one host of it; none where it is not configured.

        It has one, or one for each address family; a domain has those of each of its exchanges.
        """
        found = [series for series in self if series.target.endpoint.name == name]
        return [series for series in found if series.target.endpoint.host == host] if host else found

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
