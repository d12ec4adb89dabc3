"""Outcomes for people at a terminal."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from exporter.outcome import Check, Outcome, Phase
from exporter.store import Series

DAY = 86400.0

_WIDE = 118  # columns that a table with a column for each phase needs


def table(all_series: Sequence[Series], width: int) -> RenderableType:
    """A row for each target that was checked, and an explanation for each that failed."""
    used = [phase for phase in Phase if any(series.last and phase in series.last.phases for series in all_series)]
    wide = width >= _WIDE
    shown = Table(box=None, pad_edge=False, header_style="bold", collapse_padding=True, padding=(0, 2, 0, 0))
    shown.add_column("endpoint", no_wrap=True)
    shown.add_column("", no_wrap=True)
    for phase in used if wide else ():
        shown.add_column(phase.value, justify="right", no_wrap=True)
    shown.add_column("total", justify="right", no_wrap=True)
    for heading in ("tls", "expires", "login"):
        shown.add_column(heading, no_wrap=True)
    for series in all_series:
        if outcome := series.last:
            phases = [_milliseconds(outcome.phases.get(phase)) for phase in used] if wide else []
            total = _milliseconds(outcome.duration)
            shown.add_row(_name(outcome), _verdict(outcome), *phases, total, *_tls(outcome), login(series))
    return Group(shown, *_explanations(all_series))


def explain(outcome: Outcome) -> Table:
    """Why a probe failed, whose fault that is, what the server said and what to do."""
    shown = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    shown.add_column(no_wrap=True)
    shown.add_column(overflow="fold")
    shown.add_row("  reason", f"[bold]{outcome.reason}[/] in {outcome.phase}")
    shown.add_row("  fault", f"{outcome.blame}")
    shown.add_row("  detail", escape(outcome.detail))
    shown.add_row("  remedy", escape(outcome.reason.remedy))
    return shown


def login(series: Series) -> str:
    """What came of the login, or why there was none."""
    outcome, standing = series.last, series.standing
    if outcome is None or series.target.endpoint.account is None:
        return "-"
    if (passed := outcome.checks.get(Check.LOGIN)) is not None:
        return "[green]ok[/]" if passed else "[red]failed[/]"
    if standing and standing.held_by:
        return f"[red]held back ({standing.held_by})[/]"
    if series.denials and standing:
        return f"due in {_span(standing.next_login_at - time.time())}"
    return "not reached"


def moment(at: float) -> str:
    """A time, in UTC."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _explanations(all_series: Iterable[Series]) -> Iterable[RenderableType]:
    for series in all_series:
        for outcome in series.failing:
            yield Text()
            yield Text.from_markup(f"[red]✘[/] [bold]{escape(_name(outcome))}[/] {escape(_address(outcome))}")
            yield explain(outcome)


def _name(outcome: Outcome) -> str:
    family = outcome.target.ip_family
    several = outcome.target.endpoint.ip_family is not family
    return f"{outcome.target.endpoint.name} ({family})" if several else outcome.target.endpoint.name


def _address(outcome: Outcome) -> str:
    endpoint = outcome.target.endpoint
    return f"{endpoint.host}:{endpoint.port}"


def _verdict(outcome: Outcome) -> str:
    if outcome.ok:
        return "[green]✔ up[/]"
    return "[yellow]✘ up[/]" if outcome.up else "[red]✘ down[/]"


def _tls(outcome: Outcome) -> tuple[str, str]:
    facts = outcome.observed.tls
    if facts is None:
        return "-", "-"
    days = (facts.not_after - time.time()) / DAY
    return facts.version, f"[red]{days:.0f} d ago[/]".replace("-", "") if days < 0 else f"in {days:.0f} d"


def _milliseconds(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds * 1000:.1f} ms"


def _span(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
