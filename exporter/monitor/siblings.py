"""The state of other endpoints while one fails: those of its host, its account, its provider, and other providers."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable

from exporter.model.evidence import Siblings, Tally
from exporter.model.outcome import Outcome, Target
from exporter.model.reason import provider_name
from exporter.monitor.store import Store
from exporter.verdict.facts import ip_version_of

AGE = 1.0
"""Seconds for which they are counted once, however many endpoints fail."""

_Key = tuple[int | None, str]
"""A version of IP, None for either, and a name."""


class _Count:
    """The last probes of all endpoints, counted."""

    def __init__(self, store: Store) -> None:
        self.hosts: defaultdict[_Key, Tally] = defaultdict(Tally)
        self.accounts: defaultdict[_Key, Tally] = defaultdict(Tally)
        self.providers: defaultdict[_Key, Tally] = defaultdict(Tally)
        # Those with everything in common are counted first: at a thousand endpoints the rest takes 10 ms.
        alike = Counter(map(_common, filter(None, (series.last for series in store))))
        for (version, host, account, is_up), number in alike.items():
            tally = Tally(number, 0) if is_up else Tally(0, number)
            for of in (4, 6, None) if version is None else (version, None):
                self.hosts[of, host] += tally
                self.providers[of, provider_name(host)] += tally
                if account:
                    self.accounts[of, account] += tally


def _common(outcome: Outcome) -> tuple[int | None, str, str | None, bool]:
    """Return the version of IP, the host, the account, and whether it is up."""
    endpoint = outcome.target.endpoint
    return ip_version_of(outcome), endpoint.host, endpoint.account.name if endpoint.account else None, outcome.up


class Census:
    """Counts the endpoints of a store by what they have in common. `clock` gives seconds."""

    def __init__(self, store: Store, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._clock = clock
        self._count: _Count | None = None
        self._counted_at = 0.0

    def siblings(self, outcome: Outcome) -> Siblings:
        """Return how many of the others are up and down by their last probes, while this one fails."""
        now = self._clock()
        if self._count is None or now - self._counted_at > AGE:
            self._count, self._counted_at = _Count(self._store), now
        count, endpoint, version = self._count, outcome.target.endpoint, ip_version_of(outcome)
        name, host = provider_name(endpoint.host), count.hosts[version, endpoint.host]
        own = self._own(outcome.target, version)
        others = {
            each: tally - own if each == name else tally
            for (of, each), tally in count.providers.items()
            if of == version and each
        }
        others.setdefault(name, Tally())
        return Siblings(
            host=host - own,
            account=count.accounts[version, endpoint.account.name] - own if endpoint.account else Tally(),
            provider=count.providers[version, name] - host,
            providers=sum((Tally(1, 0) if tally.up else Tally(0, 1) for tally in others.values()), Tally()),
        )

    def _own(self, target: Target, version: int | None) -> Tally:
        """What is counted of the endpoint itself, whose last probe is older than its failure."""
        last = self._store[target.key].last if self._store.holds(target) else None
        is_counted = last is not None and (version is None or ip_version_of(last) in (version, None))
        return _tally(last) if last is not None and is_counted else Tally()


def _tally(outcome: Outcome) -> Tally:
    return Tally(1, 0) if outcome.up else Tally(0, 1)
