"""What was seen is judged: each bound is met, and is not."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import pytest

from exporter.exposition.text import Format
from exporter.monitor.store import Series
from soak.figures import MAX_MEMORY, Seen, figures, growth
from tests.examples import exposition_of, failure, scraped, success, target

MIB = 1 << 20


def right() -> Seen:
    """A run in which every bound is met."""
    return Seen(
        seconds=100.0,
        scrapes=[(float(at), 0.05) for at in range(100)],
        memory=[(float(at), 100 * MIB) for at in range(100)],
        held={"descriptors": (20, 22), "tasks": (4, 4)},
        logins={"a": 3},
        allowed_logins=4,
        exit_seconds=0.5,
        log="level=info event=started\n",
    )


def not_met(seen: Seen) -> list[str]:
    """The names of the figures whose bound is not met."""
    return [figure.name for figure in figures(seen) if not figure.met]


def test_right() -> None:
    """Nothing is wrong with that run."""
    assert not_met(right()) == []
    assert {figure.name for figure in figures(right())} >= {"scrapes, p99", "tasks, more at the end"}


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (lambda seen: replace(seen, down={"healthy-1"}), "healthy endpoints that were down"),
        (lambda seen: replace(seen, failures=1.0), "failed probes of healthy endpoints"),
        (lambda seen: replace(seen, not_answered=1), "scrapes that were not answered"),
        (lambda seen: replace(seen, scrapes=[(0.0, 0.2)] * 2 + [(0.0, 0.01)] * 98), "scrapes, p99"),
        (lambda seen: replace(seen, scrapes=[]), "scrapes, p99"),
        (lambda seen: replace(seen, unhealthy=["x"]), "times that /-/healthy was not healthy"),
        (lambda seen: replace(seen, memory=[*seen.memory, (50.0, MAX_MEMORY + MIB)]), "memory, at its peak"),
        (
            lambda seen: replace(seen, memory=[(float(at), (100 + at // 5) * MIB) for at in range(100)]),
            "memory, growth after the warm-up",
        ),
        (lambda seen: replace(seen, held={"descriptors": (20, 26)}), "descriptors, more at the end"),
        (lambda seen: replace(seen, held={"threads": (5, math.inf)}), "threads, more at the end"),
        (lambda seen: replace(seen, logins={"a": 1, "b": 5}), "logins of one user"),
        (
            lambda seen: replace(seen, log='exception="Traceback (most recent call last)"'),
            "tracebacks and faults in the log",
        ),
        (lambda seen: replace(seen, log='event="fault in a probe"'), "tracebacks and faults in the log"),
        (lambda seen: replace(seen, exit_code=-9), "exit code"),
        (lambda seen: replace(seen, exit_seconds=6.0), "end after SIGTERM"),
    ],
)
def test_not_met(change: Callable[[Seen], Seen], name: str) -> None:
    """Each bound is the only one that is not met."""
    assert not_met(change(right())) == [name]


def test_growth() -> None:
    """Memory that grows before the warm-up is over, or comes back, does not count; without figures it is infinite."""
    early = [(float(at), (min(20, at)) * MIB) for at in range(100)]
    assert growth(early, 100) == 0
    peak = [(float(at), (50 if 40 < at < 60 else 20) * MIB) for at in range(100)]
    assert growth(peak, 100) == 0
    assert growth([(float(at), at * MIB) for at in range(100)], 100) == pytest.approx(60 * MIB, rel=0.05)
    assert growth([], 100) == math.inf


@pytest.mark.parametrize("fmt", Format)
def test_scrapes_are_read(fmt: Format) -> None:
    """Healthy endpoints that are down, and their failures, are found in real metrics; hostile ones do not count."""
    series = [Series(target(name)) for name in ("healthy-1", "healthy-2", "hostile-1")]
    series[0].add(success(series[0].target))
    for broken in series[1:]:
        broken.add(failure(broken.target))
    seen = Seen()
    seen.take(scraped(exposition_of(*series), fmt).decode())
    assert (seen.down, seen.failures) == ({"healthy-2"}, 1)
