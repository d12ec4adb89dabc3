"""Outcomes for people at a terminal. Times are in milliseconds unless a unit is given."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from rich.cells import cell_len
from rich.console import Console, Group, RenderableType
from rich.filesize import decimal
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from exporter.model.login import Denial
from exporter.model.outcome import Check, Observed, Outcome, Phase
from exporter.model.reason import Reason, fill
from exporter.model.release import Way
from exporter.model.remedy import party_of, remedy_of
from exporter.model.settings import Account
from exporter.monitor.store import Series
from exporter.views.domain import DomainView
from exporter.views.evidence import paths
from exporter.views.state import State
from exporter.views.times import span

_SHORT: Mapping[Phase, str] = {Phase.GREETING: "greet", Phase.CAPABILITY: "capab"}
"""Headings for a table of every phase in 80 columns."""

_SHORTEST_NAME = 8  # columns that a name keeps in a narrow terminal


def overview(all_series: Sequence[Series], width: int) -> RenderableType:
    """A row for each target, in `width` columns, with the time of every phase, in a second table where needed.

    Where that one does not fit either, in far less than 80 columns, the times of the phases are left out.
    """
    used = [phase for phase in Phase if any(series.last and phase in series.last.phases for series in all_series)]
    whole = _overview(all_series, used)
    if _width(whole) <= width:
        return whole
    times = _times(all_series, used)
    if _width(times) > width:
        times = _times(all_series, used, _SHORT)
    facts = _fit(_overview(all_series, ()), width)
    return Group(facts, Text(), times) if _width(_fit(times, width)) <= width else facts


def explanations(all_series: Iterable[Series]) -> Iterable[RenderableType]:
    """For each failure: its targets, the party at fault, the text of the server, and what to do.

    Targets that failed in the same way share one explanation.
    """
    alike: dict[tuple[object, ...], list[Outcome]] = {}
    for series in all_series:
        for outcome in series.failing:
            alike.setdefault((outcome.phase, outcome.reason, outcome.detail), []).append(outcome)
    for outcomes in alike.values():
        first = outcomes[0]
        yield Text()
        names = ", ".join(outcome.target.name for outcome in outcomes)
        yield f"{_mark(first)} [bold]{escape(names)}[/]  {escape(_where(outcomes))}"
        yield explain(first)


def explain(outcome: Outcome) -> Table:
    """The reason of a failure, whose fault it is and from which evidence, the text of the server, and what to do."""
    reason = f"[bold]{outcome.reason}[/] in {outcome.phase}"
    judgement = None if outcome.up else outcome.judgement
    facts = [escape(fact) for fact in judgement.facts] if judgement else []
    return _facts(
        ("reason", reason),
        ("fault", f"{outcome.blame_label}: {escape(str(judgement or outcome.blame.party))}"),
        ("detail", escape(outcome.detail)),
        *zip(("evidence", *[""] * len(facts)), facts, strict=False),
        *((item.label.lower(), escape(item.text)) for item in paths(outcome)),
        ("remedy", escape(outcome.next_step)),
    )


def explain_credential(reason: Reason, detail: str, account: Account) -> Table:
    """As `explain`, for a credential that could not be obtained before a probe."""
    return _facts(
        ("reason", f"[bold]{reason}[/]"),
        ("fault", f"{fill(reason.blame.label, party_of(reason, '', account))}: {reason.blame.party}"),
        ("detail", escape(detail)),
        ("remedy", escape(remedy_of(reason, "", account))),
    )


def interceptions(all_series: Iterable[Series]) -> Iterable[RenderableType]:
    """For each issuer in whose name something answers in the server's place: where, and what to do."""
    by_issuer: dict[str, list[str]] = {}
    for series in all_series:
        if series.last and (issuer := series.last.intercepted_by):
            by_issuer.setdefault(issuer, []).append(series.target.name)
    for issuer, names in by_issuer.items():
        yield Text()
        yield f"[yellow]![/] [bold]{escape(', '.join(names))}[/]  TLS is intercepted"
        yield _facts(
            ("issuer", escape(issuer)),
            ("meaning", "Only this host trusts its root: a proxy or an antivirus program answers, and can read along."),
            ("remedy", "Find what answers; if it is meant to, name its authority in tls.ca_file."),
        )


def held_accounts(all_series: Iterable[Series], storage: Path | None, way: Way) -> Iterable[RenderableType]:
    """For each account that its budget holds back: why, until when, and how to release it.

    `storage` is the file of the budgets. Without it they end with this process: then only the reason is given why a
    login was not made.
    """
    by_account: dict[str, list[Series]] = {}
    for series in all_series:
        if series.suspended and series.target.endpoint.account:
            by_account.setdefault(series.target.endpoint.account.name, []).append(series)
    for account, held in by_account.items():
        if storage or any(series.last and not series.last.login_reached for series in held):
            names = ", ".join(dict.fromkeys(series.target.endpoint.name for series in held))
            yield Text()
            yield f"[yellow]![/] [bold]account {escape(account)}[/]  logins are held back at {escape(names)}"
            yield _hold(account, held[0], storage, way)


def _hold(account: str, series: Series, storage: Path | None, way: Way) -> Table:
    last = series.last
    held_by = last.held_by if last else None
    due = _until(last.next_login_at) if last and last.next_login_at is not None else ""
    why = escape(series.held)
    can_release = storage is not None and held_by is Denial.HOLD and not due
    remedy = "Fix what was refused: a new secret is tried at once."
    if due:
        remedy = "Wait: logins are resumed without any action."
    elif held_by is Denial.STORAGE:
        remedy = f"Let this user write {escape(str(storage))}: logins are resumed without any other action."
    elif can_release:
        remedy += " To have the same one tried again:"
    rows = [("reason", f"{why}: the next login is due in {due}" if due else why), ("remedy", remedy)]
    if can_release:
        rows.append(("", f"[bold]{escape(way.of(account))}[/]"))
    return _facts(*rows)


def domain(view: DomainView, width: int) -> Iterable[RenderableType]:
    """A mail domain, in `width` columns: its exchanges with what senders object to, and what is wrong with it."""
    mark = {State.UP: "[green]✔[/]", State.DOWN: "[red]✘[/]"}.get(view.state, "[yellow]![/]")
    yield Text()
    yield f"{mark} [bold]{escape(view.domain.name)}[/]  {escape(view.sentence)}"
    if view.exchanges:
        said = {True: "[green]yes[/]", False: "[red]no[/]", None: "-"}
        table = _table("exchange", ">preference", "", "in policy", "DANE", "with TLS")
        for row in view.exchanges:
            taken = "[yellow]refused[/]" if row.objection else "taken"
            cells = [said[row.covered], said[row.dane], taken if row.state is State.UP else "-"]
            table.add_row(escape(row.host), str(row.preference), row.state.label.lower(), *cells)
        yield _fit(table, width)
    refused = [row for row in view.exchanges if row.objection and row.state is State.UP]
    yield _facts(
        *(("refused", escape(f"{row.host}, by senders that demand TLS: {row.objection}")) for row in refused),
        *((name, escape(text)) for name, text in view.policies),
    )
    for finding in view.findings:
        yield Text()
        yield f"[yellow]![/] [bold]{escape(finding.host or view.domain.name)}[/]  {escape(finding.summary)}"
        yield _facts(
            ("reason", f"[bold]{finding.reason}[/]"),
            ("fault", f"{fill(finding.blame.label)}: {finding.party}"),
            ("detail", escape(finding.detail)),
            ("remedy", escape(finding.remedy)),
        )


def login(series: Series) -> str:
    """The result of the login, or why there was none."""
    outcome = series.last
    if outcome is None or series.target.endpoint.account is None:
        return "-"
    if (passed := outcome.checks.get(Check.LOGIN)) is not None:
        if outcome.checks.get(Check.FOLDERS, True):
            return "[green]ok[/]" if passed else "[red]failed[/]"
        return "[green]ok[/], [red]folders failed[/]"
    if outcome.held_by is Denial.HOLD:
        return "[red]held[/]"
    if outcome.held_by is Denial.STORAGE:
        return "[red]storage[/]"
    if outcome.held_by or series.denials:
        due = f"due in {_until(outcome.next_login_at)}"
        return f"[red]{outcome.held_by}[/], {due}" if outcome.held_by else due
    return "not reached"


def _until(at: float | None) -> str:
    return span((time.time() if at is None else at) - time.time())


def folders(outcomes: Iterable[Outcome]) -> Iterable[RenderableType]:
    """A table of the folders with their messages and sizes, as far as the server tells them; and the quotas."""
    table = _table("endpoint", "folder", "", ">messages", ">unseen", ">size")
    quotas = []
    for outcome in outcomes:
        name = escape(outcome.target.endpoint.name)
        for folder in outcome.observed.folders:
            visibility = "[green]visible[/]" if folder.visible else "[red]hidden from mail clients[/]"
            size = "-" if folder.octets is None else decimal(folder.octets)
            table.add_row(name, folder.role, visibility, _count(folder.messages), _count(folder.unseen), size)
        quotas += _quota(name, outcome.observed)
    if table.rows:
        yield Text()
        yield table
    if quotas:
        yield Text()
        yield from quotas


def dialogue(outcome: Outcome) -> Iterable[RenderableType]:
    """The dialogue of a probe, with the time since the probe began."""
    address = f" [{outcome.observed.address}]" if outcome.observed.address else ""
    yield f"[bold]{escape(outcome.target.name)}[/]  {escape(outcome.target.address + address)}"
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(justify="right", no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for line in outcome.dialogue:
        table.add_row(
            f"  {line.at * 1000:.0f} ms", line.speaker, Text(line.text, "cyan" if line.speaker == "C" else "")
        )
    yield table if outcome.dialogue else f"  (nothing was said: it ended in {outcome.phase})"
    yield Text()


def _overview(all_series: Iterable[Series], phases: Sequence[Phase]) -> Table:
    with_login = any(series.target.endpoint.account for series in all_series)
    headings = ["endpoint", "", *(f">{phase}" for phase in phases), ">total", "security", "expires"]
    table = _table(*headings, *(["login"] if with_login else []))
    for series in all_series:
        if outcome := series.last:
            mark = f"{_mark(outcome, held=series.suspended)} {'up' if outcome.up else 'down'}"
            cells = [mark, *_phase_times(outcome, phases), f"{_milliseconds(outcome.duration)} ms", *_tls(outcome)]
            table.add_row(escape(outcome.target.name), *cells, *([login(series)] if with_login else []))
    return table


def _times(all_series: Iterable[Series], phases: Sequence[Phase], headings: Mapping[Phase, str] | None = None) -> Table:
    table = _table("times in ms", *(f">{(headings or {}).get(phase, phase)}" for phase in phases))
    table.padding = (0, 1 if headings else 2, 0, 0)
    for series in all_series:
        if outcome := series.last:
            table.add_row(escape(outcome.target.name), *_phase_times(outcome, phases))
    return table


def _table(*headings: str) -> Table:
    """A table with these headings; the columns of those that begin with ">" are aligned to the right."""
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for heading in headings:
        table.add_column(heading.lstrip(">"), justify="right" if heading.startswith(">") else "left", no_wrap=True)
    return table


def _facts(*rows: tuple[str, str]) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows:
        if value:
            table.add_row(f"  {name}", value)
    return table


def _width(table: Table) -> int:
    return Console(width=10_000, emoji=False).measure(table).maximum


def _fit(table: Table, width: int) -> Table:
    """Shorten the names in the first column of a table that is too wide."""
    names = table.columns[0]
    longest = max((cell_len(str(cell)) for cell in [names.header, *names.cells]), default=0)
    if (excess := _width(table) - width) > 0:
        names.max_width = max(longest - excess, _SHORTEST_NAME)
    return table


def _where(outcomes: Sequence[Outcome]) -> str:
    """The address of all of them, where it is the same."""
    addresses = {outcome.target.address for outcome in outcomes}
    return addresses.pop() if len(addresses) == 1 else ""


def _mark(outcome: Outcome, *, held: bool = False) -> str:
    if outcome.ok and not held:
        return "[green]✔[/]"
    return "[yellow]![/]" if outcome.up else "[red]✘[/]"


def _tls(outcome: Outcome) -> tuple[str, str]:
    """The TLS version, and when the certificate expires."""
    facts = outcome.observed.tls
    if facts is None:
        return "-", "-"
    if facts.expires_at is None:
        return facts.version, "-"
    left = facts.expires_at - time.time()
    return facts.version, f"in {span(left)}" if left > 0 else f"[red]{span(-left)} ago[/]"


def _phase_times(outcome: Outcome, phases: Iterable[Phase]) -> list[str]:
    return [_milliseconds(outcome.phases[phase]) if phase in outcome.phases else "-" for phase in phases]


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.1f}"


def _count(number: int | None) -> str:
    return "-" if number is None else f"{number}"


def _quota(name: str, observed: Observed) -> list[str]:
    if (quota := observed.quota) is None:
        return []
    share = f" ({quota.used / quota.limit:.0%})" if quota.limit else ""
    return [f"{name}: {decimal(quota.used)} of {decimal(quota.limit)} used{share}"]
