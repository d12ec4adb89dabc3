"""The health of the process."""

from __future__ import annotations

from exporter.monitor.health import BLOCKED, OVERDUE, Health, is_overdue
from exporter.monitor.store import Series, Store
from tests.examples import Clock, success, target


def problems(*overdue: str, silence: float = 0.0) -> list[str]:
    """The problems where the probes of these endpoints are overdue."""
    clock = Clock()
    store = Store(clock)
    store.configure([target(name) for name in overdue])
    clock.now += 3600
    return Health(store, lambda: silence).problems()


def test_no_problem() -> None:
    """There is no problem while nothing is overdue and the event loop runs."""
    assert problems(silence=BLOCKED) == []


def test_overdue_probes_are_named() -> None:
    """The first ten overdue endpoints are named, and all are counted."""
    assert problems("imap") == ["overdue probes: 1 (imap)"]
    assert problems(*"abcdefghijkl") == ["overdue probes: 12 (a, b, c, d, e, f, g, h, i, j, …)"]


def test_blocked_event_loop() -> None:
    """A blocked event loop is reported beside the overdue probes."""
    assert problems("imap", silence=61.4) == ["overdue probes: 1 (imap)", "the event loop has been held up for 61 s"]


def test_is_overdue() -> None:
    """Interval and timeout count from the last completed probe, or from the configuration of the target."""
    clock = Clock()
    series = Series(target(interval=30, timeout=10), clock)
    clock.now += 40 + OVERDUE
    assert not is_overdue(series)
    clock.now += 0.1
    assert is_overdue(series)
    series.add(success(series.target))
    assert not is_overdue(series)
    clock.now += 40 + OVERDUE + 0.1
    assert is_overdue(series)
