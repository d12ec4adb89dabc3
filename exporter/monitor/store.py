"""What was seen of each target: the latest outcomes, running totals, and a bounded history that keeps failures."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from exporter.accounts.budget import Denial, Standing
from exporter.model.outcome import Check, Outcome, Phase, Target
from exporter.model.reason import Reason
from exporter.model.settings import IpFamily
from exporter.monitor.history import History

FAILURES = 10
"""Failed outcomes of a target that are kept whole, however long ago they were."""

BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Upper bounds, in seconds, of the histogram of probe durations."""

Key = tuple[str, IpFamily]


@dataclass(slots=True)
class Series:
    """What was seen of one target since it was first configured."""

    target: Target
    version: int = 0
    """How many outcomes were added."""
    standing: Standing | None = None
    """Where the target stands with the login budget of its account."""
    denials: Counter[Denial] = field(default_factory=Counter)
    """Logins that the budget did not allow."""
    since: float | None = None
    """When the present failures, or their absence, began, in Unix seconds; None before the first probe."""
    last: Outcome | None = None
    last_login: Outcome | None = None
    """The last outcome that had a login in it, attempted or impossible."""
    last_success: Outcome | None = None
    successes: int = 0
    failures: Counter[tuple[Phase, Reason]] = field(default_factory=Counter)
    logins: Counter[bool] = field(default_factory=Counter)
    """Logins attempted, by whether they succeeded."""
    buckets: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS) + 1))
    """Durations of successful probes, each bucket by itself, the last without an upper bound."""
    duration_sum: float = 0.0
    history: History = field(default_factory=History)
    kept_failures: deque[Outcome] = field(default_factory=lambda: deque(maxlen=FAILURES))

    def add(self, outcome: Outcome, standing: Standing | None = None, denied: Denial | None = None) -> None:
        """Take in one more outcome, and what the login budget said."""
        before = self.failures_now
        self.version += 1
        self.standing = standing
        if denied:
            self.denials[denied] += 1
        self.last = outcome
        if outcome.login_reached:
            self.last_login = outcome
        if outcome.observed.login_attempted:
            self.logins[outcome.checks.get(Check.LOGIN, False)] += 1
        if outcome.ok:
            self.last_success = outcome
            self.successes += 1
            self.buckets[bisect_left(BUCKETS, outcome.duration)] += 1
            self.duration_sum += outcome.duration
        else:
            self.failures[outcome.phase, outcome.reason] += 1
            self.kept_failures.append(outcome)
        self.history.append(outcome)
        if self.since is None or self.failures_now != before:
            self.since = outcome.ended_at

    @property
    def failures_now(self) -> frozenset[tuple[Phase, Reason]]:
        """What fails at the moment, of the last probe and the last login."""
        return frozenset((outcome.phase, outcome.reason) for outcome in self.failing)

    @property
    def suspended(self) -> bool:
        """Whether logins are held back to protect the account."""
        return self.standing is not None and self.standing.held_by is not None

    @property
    def failing(self) -> Iterator[Outcome]:
        """The last probe and the last login, as far as they failed, each failure once."""
        if self.last and not self.last.ok:
            yield self.last
        if self.last_login and not self.last_login.ok:
            same = self.last and (self.last.phase, self.last.reason) == (self.last_login.phase, self.last_login.reason)
            if not same:
                yield self.last_login


class Store:
    """The series of every target that is configured."""

    def __init__(self) -> None:
        self._series: dict[Key, Series] = {}

    def __iter__(self) -> Iterator[Series]:
        return iter(self._series.values())

    def __len__(self) -> int:
        return len(self._series)

    def __getitem__(self, key: Key) -> Series:
        return self._series[key]

    def configure(self, targets: Iterable[Target]) -> None:
        """Hold exactly these targets: what did not change keeps everything, what changed begins anew."""
        self._series = {
            target.key: kept if (kept := self._series.get(target.key)) and kept.target == target else Series(target)
            for target in targets
        }

    def holds(self, target: Target) -> bool:
        """Whether the target is configured, exactly as it is."""
        series = self._series.get(target.key)
        return series is not None and series.target == target

    def add(self, outcome: Outcome, standing: Standing | None = None, denied: Denial | None = None) -> None:
        """Take in an outcome, unless its target is no longer configured."""
        if self.holds(outcome.target):
            self._series[outcome.target.key].add(outcome, standing, denied)
