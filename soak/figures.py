"""What was seen → figures with a bound each, and whether it was met. Pure functions."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from bench.result import Figure, quantile

HEALTHY = "healthy"
"""The names of healthy endpoints begin with it."""

WARM_UP = 0.2
"""Share of the time after which memory has to be flat."""

MAX_LATENCY = 0.1
"""Seconds within which 99 of 100 scrapes are answered."""

MAX_MEMORY = 200 << 20
MAX_GROWTH = 10 << 20
"""Octets by which the memory may be larger in the last quarter of the time than in the one after the warm-up."""

LEFT = 5
"""Descriptors, threads and tasks more than at the beginning: of the connection that asks, and of a probe under way."""

_DOWN = re.compile(rf'^gmail_up\{{endpoint="({HEALTHY}[^"]*)"[^}}]*\}} 0(?:\.0)?$', re.MULTILINE)
_FAILED = re.compile(
    rf'^gmail_probes_total\{{endpoint="({HEALTHY}[^"]*)"[^}}]*result="failure"[^}}]*\}} (\S+)$', re.MULTILINE
)
_FAULT = re.compile(r"Traceback|exc_info|event=\"?fault|never retrieved|was destroyed|Exception ignored", re.IGNORECASE)


@dataclass
class Seen:
    """What was seen during the whole time. Times are seconds since the beginning."""

    began: float = 0.0
    """When that was, by `time.perf_counter`."""
    seconds: float = 0.0
    scrapes: list[tuple[float, float]] = field(default_factory=list)
    """When each scrape began, and how long it took."""
    not_answered: int = 0
    unhealthy: list[str] = field(default_factory=list)
    """What `/-/healthy` said where it was not healthy."""
    down: set[str] = field(default_factory=set)
    """Healthy endpoints that were down in a scrape."""
    failures: float = 0.0
    """Probes of healthy endpoints that failed."""
    memory: list[tuple[float, int]] = field(default_factory=list)
    held: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """What was held before hostilities began, and after they had ended, by kind."""
    logins: Mapping[str, int] = field(default_factory=dict)
    """Logins by user."""
    allowed_logins: float = 0.0
    """Logins of a user that the interval allows in this time."""
    exit_code: int = 0
    exit_seconds: float = 0.0
    log: str = ""

    def take(self, metrics: str) -> None:
        """Take what one scrape says of the healthy endpoints."""
        self.down.update(_DOWN.findall(metrics))
        self.failures = max(self.failures, sum(float(value) for _, value in _FAILED.findall(metrics)))


def figures(seen: Seen) -> list[Figure]:
    """Return every figure with its bound."""
    peak = max((octets for _, octets in seen.memory), default=0)
    made = [
        _most("healthy endpoints that were down", len(seen.down), "", 0),
        _most("failed probes of healthy endpoints", seen.failures, "", 0),
        _most("scrapes that were not answered", seen.not_answered, "", 0),
        _most("scrapes, p99", _p99(seen.scrapes) * 1e3, "ms", MAX_LATENCY * 1e3),
        _most("times that /-/healthy was not healthy", len(seen.unhealthy), "", 0),
        _most(
            "memory, at its peak",
            peak / 2**20,
            "MiB",
            MAX_MEMORY >> 20,
        ),
        _most("memory, growth after the warm-up", growth(seen.memory, seen.seconds) / 2**20, "MiB", MAX_GROWTH >> 20),
    ]
    made += [_most(f"{kind}, more at the end", after - before, "", LEFT) for kind, (before, after) in seen.held.items()]
    made += [
        _most("logins of one user", max(seen.logins.values(), default=0), "", seen.allowed_logins),
        _most("tracebacks and faults in the log", len(_FAULT.findall(seen.log)), "", 0),
        _most("exit code", abs(seen.exit_code), "", 0),
        _most("end after SIGTERM", seen.exit_seconds, "s", 5),
    ]
    return made


def _most(name: str, value: float, unit: str, most: float) -> Figure:
    return Figure(name, value, unit, f"≤ {most:g}{' ' if unit else ''}{unit}", value <= most)


def _p99(scrapes: Sequence[tuple[float, float]]) -> float:
    return quantile([took for _, took in scrapes], 0.99) if scrapes else math.inf


def growth(memory: Iterable[tuple[float, int]], seconds: float) -> float:
    """Return by how many octets the memory of the last quarter exceeds that of the first one after the warm-up."""
    begin = WARM_UP * seconds
    quarter = (seconds - begin) / 4
    early = [octets for at, octets in memory if begin <= at < begin + quarter]
    late = [octets for at, octets in memory if at >= seconds - quarter]
    return quantile(late, 0.5) - quantile(early, 0.5) if early and late else math.inf
