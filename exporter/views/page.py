"""Series → the content of the pages: pure functions, no HTML."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, Self
from urllib.parse import urlencode

from exporter.model.certificate import TlsFacts
from exporter.model.login import Cause, Denial
from exporter.model.outcome import Check, Detail, Outcome, Phase, Target
from exporter.model.reason import GOOGLE, Reason, fill
from exporter.model.remedy import REMEDIES, evidence_at
from exporter.model.remedy_at_google import AT_GOOGLE
from exporter.model.settings import Protocol, Security
from exporter.monitor.store import Series
from exporter.views import chart
from exporter.views.state import State, account_problem, state_of
from exporter.views.times import span

EXPIRY_WARNING = 21 * 86400.0
"""Seconds before its expiry from which a certificate is shown as a warning."""


@dataclass(frozen=True, slots=True)
class Filter:
    """Which targets are shown, and how they are grouped, as in the query of the page's URL."""

    state: State | None = None
    protocol: Protocol | None = None
    text: str = ""
    group: str = ""
    page: int = 1
    """Of a long table, from 1 on."""

    @classmethod
    def of(cls, query: Mapping[str, str]) -> Self:
        """Read a query. Unknown values are ignored."""
        state, protocol, group = query.get("state", ""), query.get("protocol", ""), query.get("group", "")
        number = query.get("page", "")
        return cls(
            State(state) if state in list(State) else None,
            Protocol(protocol) if protocol in list(Protocol) else None,
            query.get("q", "").strip()[:100],
            group if group in ("account", "host", "none") else "",
            max(1, int(number)) if number.isascii() and number.isdecimal() and len(number) < 6 else 1,
        )

    @property
    def narrows(self) -> bool:
        """Whether it can leave out a target."""
        return replace(self, group="", page=1) != Filter()

    def of_page(self, number: int) -> str:
        """Return the query of another page of the same table."""
        given = {"state": self.state or "", "protocol": self.protocol or "", "q": self.text, "group": self.group}
        query = {name: str(value) for name, value in given.items() if value}
        return "?" + urlencode(query | ({"page": str(number)} if number > 1 else {}))

    def admits(self, series: Series, state: State) -> bool:
        """Whether the target is shown: each word of the text must be in its names or its failures."""
        if self.state not in (None, state) or self.protocol not in (None, series.target.endpoint.protocol):
            return False
        if not self.text:
            return True
        searched = _searched_text(series)
        return all(word in searched for word in self.text.casefold().split())


def _searched_text(series: Series) -> str:
    endpoint = series.target.endpoint
    words = [series.target.name, endpoint.host, str(endpoint.port), endpoint.protocol, *endpoint.labels.values()]
    if endpoint.account:
        words += [endpoint.account.name, endpoint.account.username]
    for outcome in series.failing:
        words += [outcome.reason, outcome.phase, outcome.blame, outcome.detail, outcome.summary]
    return " ".join(words).casefold()


def matching(reasons: Iterable[Reason], text: str) -> list[Reason]:
    """Return the reasons that have every word of the text in their name, summary or remedy, or in their blame."""
    words = text.casefold().split()
    searched = {
        reason: " ".join((reason, reason.summary, *remedies(reason).values(), reason.blame)).casefold()
        for reason in reasons
    }
    return [reason for reason, said in searched.items() if all(word in said for word in words)]


def remedies(reason: Reason) -> dict[str, str]:
    """Return what to do about a reason: in general, under "", and what is to be done at Google or in a phase, if known.

    The key says where that is.
    """
    said = {"": fill(REMEDIES[reason])}
    if reason in AT_GOOGLE:
        said["At Google"] = fill(AT_GOOGLE[reason], GOOGLE)
    for placeholder, texts in (
        ("{silence}", {phase: phase.silence for phase in Phase}),
        ("{ending}", {phase: phase.ending for phase in Phase}),
    ):
        if placeholder in REMEDIES[reason]:
            said |= {
                f"In {phase}": f"{fill(text, evidence=evidence_at(''))}."
                for phase, text in texts.items()
                if phase is not Phase.LOGOUT
            }
    return said


class Group(NamedTuple):
    """Targets that belong together, the worst first."""

    key: str
    title: str
    members: Sequence[tuple[Series, State]]


def groups(shown: Iterable[tuple[Series, State]], by: str) -> list[Group]:
    """Return targets by account, by host, or in one group; an empty `by` chooses what fits."""
    listed = list(shown)
    is_mixed = by == "none"
    by = by or _best_grouping(listed)
    found: dict[str, list[tuple[Series, State]]] = {}
    for series, state in listed:
        endpoint = series.target.endpoint
        if endpoint.domain and not is_mixed:
            # An exchange stands under its domain, however the others are grouped.
            found.setdefault(f"{_DOMAIN}{endpoint.domain}", []).append((series, state))
            continue
        if by == "account":
            key = endpoint.account.name if endpoint.account else ""
        else:
            key = endpoint.host if by == "host" else "all"
        found.setdefault(key, []).append((series, state))
    order = {state: number for number, state in enumerate(State)}
    made = []
    for key, members in found.items():
        members.sort(key=lambda member: order[member[1]])
        title = _title(by, key, members[0][0])
        made.append(Group(key if key.startswith(_DOMAIN) else f"{by}-{key}", title, members))
    return sorted(made, key=lambda group: order[group.members[0][1]])


class Pagination(NamedTuple):
    """Which targets of a long table are on a page: the numbers of the first and the last, from 1 on."""

    number: int
    pages: int
    first: int
    last: int


def paginate(grouped: Sequence[Group], number: int, size: int) -> tuple[list[Group], Pagination]:
    """Return the groups with the targets of one page, `size` at most; a number that is too high is the last page."""
    total = sum(len(group.members) for group in grouped)
    pages = max(1, -(-total // size))
    number = min(number, pages)
    start, end = (number - 1) * size, min(number * size, total)
    on_page, before = [], 0
    for group in grouped:
        members = group.members[max(0, start - before) : max(0, end - before)]
        before += len(group.members)
        if members:
            on_page.append(group._replace(members=members))
    return on_page, Pagination(number, pages, start + 1, end)


def _best_grouping(listed: Sequence[tuple[Series, State]]) -> str:
    listed = [member for member in listed if not member[0].target.endpoint.domain]
    if any(series.target.endpoint.account for series, _ in listed):
        return "account"
    hosts = {series.target.endpoint.host for series, _ in listed}
    if not listed:
        return "host"
    return "host" if len(hosts) > 1 and 3 * len(hosts) <= len(listed) else "none"


_DOMAIN = "domain-of-"


def _title(by: str, key: str, first: Series) -> str:
    if key.startswith(_DOMAIN):
        return f"{first.target.endpoint.domain} · mail exchanges"
    if by == "none":
        return ""
    if by == "host":
        return key
    account = first.target.endpoint.account
    return f"{key} · {account.username}" if account else "Without an account"


class Expiry(NamedTuple):
    """When a certificate, or the chain if that is earlier, expires; `alarm` where that is soon, or in the past."""

    at: float
    text: str
    alarm: bool


class Login(NamedTuple):
    """The result of the last login, and when the next one is due."""

    text: str
    state: State
    next_at: float | None
    held: str
    """Why logins are held back; empty where they are not."""
    result: str
    """The result of the last login, also where the next one is held back."""
    can_release: bool
    """Whether an operator can end that."""
    cause: Cause | None
    """The refusal that it follows, where that is why, and known."""
    has_trial: bool
    """Whether an operator has permitted one login, which is still to be made."""
    next_release_at: float | None
    """When an operator may do so again; None where that is possible now."""


@dataclass(frozen=True, slots=True)
class StatusRow:
    """One target as the status page shows it."""

    series: Series
    name: str
    href: str
    anchor: str
    address: str
    connection: str
    state: State
    account_problem: str
    since: float | None
    next_probe_at: float | None
    """About when the next probe begins, in Unix seconds; None before the first probe."""
    failures: Sequence[Outcome]
    expiry: Expiry | None
    login: Login | None

    @property
    def last(self) -> Outcome | None:
        """The last probe."""
        return self.series.last

    @property
    def bar(self) -> Sequence[chart.Segment]:
        """The phases of the last probe."""
        return chart.bar(self.series.last.phases) if self.series.last else ()

    @property
    def strip(self) -> chart.Strip:
        """The last probes."""
        return chart.strip(self.series.history, self.series.kept_failures)

    @property
    def levels(self) -> str:
        """The last probes, a letter each."""
        return chart.levels(self.series.history)

    @property
    def history(self) -> str:
        """The last probes as a text."""
        total = len(self.series.history)
        failed = sum(entry.reason != "ok" for entry in self.series.history)
        if not total:
            return "probes: none yet"
        return f"{total} probes, {failed or 'none'} failed" if total > 1 else f"probe: {'failed' if failed else 'ok'}"


def row(series: Series, now: float, state: State | None = None) -> StatusRow:
    """Return what the status page shows of a target at `now` in Unix seconds."""
    state = state or state_of(series)
    target = series.target
    return StatusRow(
        series=series,
        name=target.name,
        href=href_of(target),
        anchor="-".join(target.key),
        address=target.address,
        connection=connection_of(target),
        state=state,
        account_problem=account_problem(series) if state is State.LOGIN else "",
        since=series.last.ended_at if state is State.OVERDUE and series.last else series.since,
        next_probe_at=series.last.started_at + target.endpoint.interval if series.last else None,
        failures=list(series.failing),
        expiry=expiry_of(series, now),
        login=login_of(series),
    )


def href_of(target: Target) -> str:
    """Return the address of the page of a target, below that of all endpoints."""
    name, host = target.endpoint.name, target.endpoint.host
    return f"{name}?{urlencode({'host': host})}" if target.endpoint.domain else name


def connection_of(target: Target) -> str:
    """Return the protocol, and how the connection is secured."""
    security = {Security.TLS: "TLS", Security.STARTTLS: "STARTTLS", Security.NONE: "no TLS"}
    return f"{target.endpoint.protocol.upper()}, {security[target.endpoint.security]}"


def anchor_of(target: Target, started_at: float) -> str:
    """Return the anchor of a kept failure on the page of its endpoint."""
    return f"failure-{target.ip_family}-{round(started_at * 1000)}"


def expiry_of(series: Series, now: float) -> Expiry | None:
    """Return when the certificate expires that was presented last; None where that is not known."""
    if (facts := last_tls(series)) and (at := facts.expires_at) is not None:
        # In whole days where there are some, so that the text is the same for some time.
        text = f"in {span(at - now)}" if at > now else f"{span(now - at)} ago"
        return Expiry(at, text, at - now < EXPIRY_WARNING)
    return None


def last_tls(series: Series) -> TlsFacts | None:
    """Return the latest known facts of TLS."""
    outcomes = (series.last, series.last_success)
    return next((outcome.observed.tls for outcome in outcomes if outcome and outcome.observed.tls), None)


class Capabilities(NamedTuple):
    """What a server offered last."""

    before_login: Sequence[str]
    after_login: Sequence[str]


def last_capabilities(series: Series) -> Capabilities:
    """Return the latest known capabilities, before login and after it."""
    seen = [outcome.observed for outcome in (series.last, series.last_success, series.last_login) if outcome]
    return Capabilities(
        next((one.capabilities for one in seen if one.capabilities), ()),
        next((one.login_capabilities for one in reversed(seen) if one.login_capabilities), ()),
    )


def not_kept(series: Series) -> set[Detail]:
    """Return what the store has dropped of the latest Outcomes."""
    seen = (series.last, series.last_success, series.last_login)
    return {detail for outcome in seen if outcome for detail in outcome.not_kept}


def login_of(series: Series) -> Login | None:
    """Return the result of the last login; None where there is no account."""
    if series.target.endpoint.account is None:
        return None
    last, login = series.last, series.last_login
    text, state = "No login yet", State.PENDING
    if login is not None:
        if not login.checks.get(Check.LOGIN, False):
            text, state = "Login failed", State.LOGIN
        elif not login.checks.get(Check.FOLDERS, True):
            text, state = "Login ok, folders failed", State.LOGIN
        else:
            text, state = "Login ok", State.UP
    result, held_by = text, last.held_by if last else None
    if held_by:
        text, state = ("Held" if held_by is Denial.HOLD else "Held back"), State.LOGIN
    status = last.login if last else None
    return Login(
        text,
        state,
        last.next_login_at if last else None,
        series.held,
        result,
        can_release=held_by is Denial.HOLD,
        cause=status.cause if status else None,
        has_trial=status.has_trial if status else False,
        next_release_at=status.next_release_at if status else None,
    )
