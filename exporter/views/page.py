"""Series → what a page shows of them: pure functions, no HTML."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, Self

from exporter.accounts.budget import Denial
from exporter.model.outcome import Check, Outcome, Target
from exporter.model.settings import Protocol, Security
from exporter.monitor.store import Series
from exporter.views import chart
from exporter.views.state import WHOSE, State, state_of, word_of
from exporter.views.words import HELD, WHO, says, span

SOON = 21 * 86400.0
"""Seconds before its expiry from which a certificate is shown as a matter of concern."""


@dataclass(frozen=True, slots=True)
class Filter:
    """What of all targets is shown, and how it is grouped; as in the query of the page's address."""

    state: State | None = None
    protocol: Protocol | None = None
    text: str = ""
    group: str = ""

    @classmethod
    def of(cls, query: Mapping[str, str]) -> Self:
        """Read a query. What it says that means nothing here is as if it were not there."""
        state, protocol, group = query.get("state", ""), query.get("protocol", ""), query.get("group", "")
        return cls(
            State(state) if state in list(State) else None,
            Protocol(protocol) if protocol in list(Protocol) else None,
            query.get("q", "").strip()[:100],
            group if group in ("account", "host", "none") else "",
        )

    @property
    def narrows(self) -> bool:
        """Whether it leaves anything out."""
        return replace(self, group="") != Filter()

    def admits(self, series: Series, state: State) -> bool:
        """Whether the target is shown; each word of the text must stand in what it is called or what ails it."""
        if self.state not in (None, state) or self.protocol not in (None, series.target.endpoint.protocol):
            return False
        if not self.text:
            return True
        haystack = _searched(series)
        return all(word in haystack for word in self.text.casefold().split())


def _searched(series: Series) -> str:
    endpoint = series.target.endpoint
    words = [series.target.name, endpoint.host, str(endpoint.port), endpoint.protocol, *endpoint.labels.values()]
    if endpoint.account:
        words += [endpoint.account.name, endpoint.account.username]
    for outcome in series.failing:
        words += [outcome.reason, outcome.phase, outcome.blame, outcome.detail, says(outcome)]
    return " ".join(words).casefold()


class Group(NamedTuple):
    """Targets that belong together, the worst first."""

    key: str
    title: str
    members: Sequence[tuple[Series, State]]


def groups(shown: Iterable[tuple[Series, State]], by: str) -> list[Group]:
    """Return targets by account or by host; by what tells more where nothing is asked for."""
    listed = list(shown)
    by = by or _telling(listed)
    found: dict[str, list[tuple[Series, State]]] = {}
    for series, state in listed:
        endpoint = series.target.endpoint
        if by == "account":
            key = endpoint.account.name if endpoint.account else ""
        else:
            key = endpoint.host if by == "host" else "all"
        found.setdefault(key, []).append((series, state))
    order = {state: number for number, state in enumerate(State)}
    made = []
    for key, members in found.items():
        members.sort(key=lambda member: order[member[1]])
        made.append(Group(f"{by}-{key}", _title(by, key, members[0][0]), members))
    return sorted(made, key=lambda group: order[group.members[0][1]])


def _telling(listed: Sequence[tuple[Series, State]]) -> str:
    if any(series.target.endpoint.account for series, _ in listed):
        return "account"
    hosts = {series.target.endpoint.host for series, _ in listed}
    return "host" if len(hosts) > 1 and 3 * len(hosts) <= len(listed) else "none"


def _title(by: str, key: str, first: Series) -> str:
    if by == "none":
        return ""
    if by == "host":
        return key
    account = first.target.endpoint.account
    return f"{key} · {account.username}" if account else "Without an account"


class Failure(NamedTuple):
    """A failure, explained."""

    what: str
    code: str
    phase: str
    whose: str
    who: str
    detail: str
    remedy: str
    anchor: str


class Expiry(NamedTuple):
    """When a certificate, or the chain if that is earlier, expires; `alarm` where that is soon or past."""

    at: float
    words: str
    alarm: bool


class Login(NamedTuple):
    """What came of the last login, and when the next one is due."""

    words: str
    state: State
    next_at: float | None
    held: str
    """Why logins are held back; empty where they are not."""
    result: str
    """What came of the last one, whatever holds back the next."""


@dataclass(frozen=True, slots=True)
class Row:
    """One target, as the status page shows it."""

    series: Series
    name: str
    href: str
    anchor: str
    address: str
    how: str
    state: State
    word: str
    since: float | None
    failures: Sequence[Failure]
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
    def past(self) -> str:
        """The last probes in words."""
        total = len(self.series.history)
        failed = sum(glimpse.reason != "ok" for glimpse in self.series.history)
        if not total:
            return "probes: none yet"
        return f"{total} probes, {failed or 'none'} failed" if total > 1 else f"probe: {'failed' if failed else 'ok'}"


def row(series: Series, now: float, state: State | None = None) -> Row:
    """Return what the status page shows of a target at `now` in Unix seconds."""
    state = state or state_of(series, now)
    target = series.target
    return Row(
        series=series,
        name=target.name,
        href=target.endpoint.name,
        anchor="-".join(target.key),
        address=target.address,
        how=how_of(target),
        state=state,
        word=word_of(series, state),
        since=series.last.ended_at if state is State.OVERDUE and series.last else series.since,
        failures=[explain(outcome) for outcome in series.failing],
        expiry=expiry_of(series, now),
        login=login_of(series),
    )


def how_of(target: Target) -> str:
    """Return how it is spoken to."""
    security = {Security.TLS: "TLS", Security.STARTTLS: "STARTTLS", Security.NONE: "no TLS"}
    return f"{target.endpoint.protocol.upper()}, {security[target.endpoint.security]}"


def explain(outcome: Outcome) -> Failure:
    """Return a failure in words."""
    what = says(outcome)
    account = outcome.target.endpoint.account
    remedy = outcome.reason.remedy
    if account:  # so that it can be typed as it stands there
        remedy = remedy.replace("accounts release NAME", f"accounts release {account.name}")
    return Failure(
        what[:1].upper() + what[1:],
        outcome.reason.value,
        outcome.phase.value,
        WHOSE[outcome.blame],
        WHO[outcome.blame],
        outcome.detail,
        remedy,
        anchor_of(outcome.target, outcome.started_at),
    )


def anchor_of(target: Target, started_at: float) -> str:
    """Return the place of a kept failure on its endpoint's page."""
    return f"failure-{target.ip_family}-{round(started_at * 1000)}"


def expiry_of(series: Series, now: float) -> Expiry | None:
    """Return when the certificate expires that was last seen."""
    for outcome in (series.last, series.last_success):
        if outcome and outcome.observed.tls:
            at = outcome.observed.tls.expires_at
            # In whole days where there are some, so that it stands for a while.
            words = f"in {span(at - now)}" if at > now else f"{span(now - at)} ago"
            return Expiry(at, words, at - now < SOON)
    return None


def login_of(series: Series) -> Login | None:
    """Return what came of the last login; None where there is no account."""
    if series.target.endpoint.account is None:
        return None
    standing = series.standing
    next_at = standing.next_login_at if standing and math.isfinite(standing.next_login_at) else None
    held = HELD[standing.held_by] if standing and standing.held_by else ""
    last = series.last_login
    words, state = "No login yet", State.PENDING
    if last is not None:
        if not last.checks.get(Check.LOGIN, False):
            words, state = "Login failed", State.LOGIN
        elif not last.checks.get(Check.FOLDERS, True):
            words, state = "Login ok, folders failed", State.LOGIN
        else:
            words, state = "Login ok", State.UP
    result = words
    if standing and standing.held_by:
        words, state = ("Held" if standing.held_by is Denial.HOLD else "Held back"), State.LOGIN
    return Login(words, state, next_at, held, result)
