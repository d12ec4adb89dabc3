"""The geometry of the charts as SVG paths: numbers only, no HTML."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from exporter.model.outcome import LOGIN_PHASES, Outcome, Phase
from exporter.model.reason import Reason
from exporter.monitor.history import HISTORY, HistoryEntry

BAR_WIDTH = 1000
"""Units of a stacked bar, over the whole of a probe."""

STRIP_STEP, STRIP_HEIGHT = 3, 24
"""Units of a strip: from one probe to the next, and its height."""

LATENCY_TOP = STRIP_HEIGHT - 5
"""Height of the slowest success in a strip: a failure is taller, so that it differs by more than its colour."""

CHART_WIDTH, CHART_HEIGHT = 800, 180
"""Units of the plot of a latency chart, without its axes."""

_CAP = 3  # height of the cap that marks a failed login
_LEVELS = "abcdefgh"


class Segment(NamedTuple):
    """One phase of a stacked bar: its position and width, and its seconds."""

    phase: Phase
    x: int
    width: int
    seconds: float


class Mark(NamedTuple):
    """A failed probe with a link: its position and its history entry."""

    x: int
    entry: HistoryEntry


class Strip(NamedTuple):
    """The last probes, the newest on the right: one path for each state."""

    up: str
    login: str
    down: str
    marks: Sequence[Mark]


def bar(phases: Mapping[Phase, float]) -> list[Segment]:
    """Return the phases of one probe side by side, each as wide as the time it took."""
    total = sum(phases.values())
    segments, before = [], 0.0
    for phase, seconds in phases.items():
        x = round(before / total * BAR_WIDTH) if total else 0
        before += seconds
        end = round(before / total * BAR_WIDTH) if total else 0
        segments.append(Segment(phase, x, end - x, seconds))
    return segments


def strip(entries: Iterable[HistoryEntry], kept: Iterable[Outcome]) -> Strip:
    """Return the last probes as bars: the height is the latency, 2.5 times the median at most; a failure fills it.

    `kept` are the failures that are kept whole: those that the strip shows get a mark.
    """
    shown = list(entries)
    full = _full_height(shown)
    kept_at = {outcome.started_at for outcome in kept}
    paths: dict[str, list[str]] = {"up": [], "login": [], "down": []}
    marks = []
    for number, entry in enumerate(shown):
        x = (HISTORY - len(shown) + number) * STRIP_STEP
        if entry.reason is not Reason.OK:
            if entry.started_at in kept_at:
                marks.append(Mark(x, entry))
            if entry.phase not in LOGIN_PHASES:
                paths["down"].append(_bar(x, STRIP_HEIGHT))
                continue
            # The bar of a success, with a cap above it.
            paths["login"].append(f"M{x} 0h2v{_CAP}h-2z{_bar(x, _height(entry, full))}")
            continue
        paths["up"].append(_bar(x, _height(entry, full)))
    return Strip("".join(paths["up"]), "".join(paths["login"]), "".join(paths["down"]), marks)


def levels(entries: Iterable[HistoryEntry]) -> str:
    """Return the last probes as one letter each, for the script of the page.

    From a to h by latency, A to H where only the login failed, x where the probe failed.
    """
    shown = list(entries)
    full = _full_height(shown)
    letters = []
    for entry in shown:
        if entry.reason is not Reason.OK and entry.phase not in LOGIN_PHASES:
            letters.append("x")
            continue
        letter = _LEVELS[min(len(_LEVELS) - 1, int(entry.duration / full * len(_LEVELS)))]
        letters.append(letter if entry.reason is Reason.OK else letter.upper())
    return "".join(letters)


def _full_height(entries: Sequence[HistoryEntry]) -> float:
    """The seconds that a bar of full height stands for."""
    durations = sorted(entry.duration for entry in entries if entry.reason is Reason.OK)
    return 2.5 * durations[len(durations) // 2] or 1.0 if durations else 1.0


def _height(entry: HistoryEntry, full: float) -> int:
    return max(2, min(LATENCY_TOP, round(entry.duration / full * LATENCY_TOP)))


def _bar(x: int, height: int) -> str:
    return f"M{x} {STRIP_HEIGHT - height}h2v{height}h-2z"


class Tick(NamedTuple):
    """A mark on an axis: its position, and its value (milliseconds, or Unix seconds)."""

    at: float
    value: float


class Chart(NamedTuple):
    """Latency by phase over the last probes."""

    areas: Mapping[Phase, str]
    """A path for each phase that was reached."""
    failures: Sequence[Mark]
    x_ticks: Sequence[Tick]
    y_ticks: Sequence[Tick]
    top: float
    """Milliseconds at the top."""


def latency(entries: Sequence[HistoryEntry]) -> Chart:
    """Return the phases of each probe stacked up, as one path for each phase.

    The scale is that of the successes: a timeout of 10 s would flatten all other bars.
    """
    durations = [1000 * entry.duration for entry in entries if entry.reason is Reason.OK]
    durations = durations or [1000 * entry.duration for entry in entries]
    step, top = _scale(max(durations, default=1.0))
    pieces: dict[Phase, list[str]] = {}
    failures = []
    width = CHART_WIDTH / HISTORY
    for number, entry in enumerate(entries):
        x, floor = (HISTORY - len(entries) + number) * width, float(CHART_HEIGHT)
        for phase, seconds in entry.phases.items():
            height = min(1000 * seconds / top * CHART_HEIGHT, floor)
            floor -= height
            pieces.setdefault(phase, []).append(f"M{x:g} {floor:.1f}h{width - 1:g}v{height:.1f}h-{width - 1:g}z")
        if entry.reason is not Reason.OK:
            failures.append(Mark(round(x), entry))
    areas = {phase: "".join(pieces[phase]) for phase in Phase if phase in pieces}
    values = [step * number for number in range(round(top / step) + 1)]
    y_ticks = [Tick(CHART_HEIGHT * (1 - value / top), value) for value in values]
    return Chart(areas, failures, _x_ticks(entries, width), y_ticks, top)


def _x_ticks(entries: Sequence[HistoryEntry], width: float) -> list[Tick]:
    """When the last probe began, and every 25th before it."""
    if not entries:
        return []
    offset = HISTORY - len(entries)
    chosen = range(len(entries) - 1, -1, -25)
    return [Tick((offset + number + 0.5) * width, entries[number].started_at) for number in reversed(chosen)]


def _scale(longest: float) -> tuple[float, float]:
    """A round step of an axis, and its end: the first multiple of the step that is not below `longest`."""
    rough = max(longest, 0.001) / 4
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= rough * 0.999)
    return step, step * math.ceil(longest / step - 0.001) or step


def packed(outcome: Outcome) -> str:
    """Return the milliseconds of every phase, in their order, for the script of the page."""
    return ",".join(f"{1000 * outcome.phases[phase]:.3g}" if phase in outcome.phases else "" for phase in Phase)
