"""The judgement on the schedule."""

from __future__ import annotations

from exporter.monitor.health import SILENT, Health


def judge(*stalled: str, silence: float = 0.0) -> list[str]:
    """What is wrong with such a schedule."""
    return Health(lambda: list(stalled), lambda: silence).problems()


def test_all_is_well() -> None:
    """Nothing overdue, and a loop that has its turns."""
    assert judge(silence=SILENT) == []


def test_overdue_probes_are_named() -> None:
    """The first of them, where there are many."""
    assert judge("imap") == ["overdue probes: 1 (imap)"]
    assert judge(*"abcdefghijkl") == ["overdue probes: 12 (a, b, c, d, e, f, g, h, i, j, …)"]


def test_a_blocked_loop_is_noticed() -> None:
    """However its probes stand."""
    assert judge("imap", silence=61.4) == ["overdue probes: 1 (imap)", "the event loop has been held up for 61 s"]
