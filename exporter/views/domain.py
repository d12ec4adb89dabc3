"""Mail domains → what people and scripts read: which exchanges are up, and what is wrong with the domain itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from exporter.model.domain import Finding
from exporter.monitor.mail_domains import MailDomain, MailDomains
from exporter.monitor.store import Series, Store
from exporter.views.state import State, state_of


class ExchangeRow(NamedTuple):
    """One exchange: its preference, the worst state of its series, and what senders that demand TLS object to."""

    host: str
    preference: int
    state: State
    warning: str


@dataclass(frozen=True, slots=True)
class DomainView:
    """One mail domain, for people."""

    domain: MailDomain
    state: State
    exchanges: Sequence[ExchangeRow]
    findings: Sequence[Finding]

    @property
    def sentence(self) -> str:
        """How many of its exchanges are up."""
        up = sum(exchange.state is State.UP for exchange in self.exchanges)
        if not self.exchanges:
            return "no mail exchange is known" if self.findings else "its mail exchanges were not looked up yet"
        if up == len(self.exchanges):
            return "its mail exchange is up" if up == 1 else f"all {up} mail exchanges are up"
        return f"{up} of {len(self.exchanges)} mail exchanges {'is' if up == 1 else 'are'} up"


def view_of(domain: MailDomain, domains: MailDomains, store: Store) -> DomainView:
    """Return a domain as it is now."""
    by_host: dict[str, list[Series]] = {}
    for series in store.of_endpoint(domain.endpoint.name):
        by_host.setdefault(series.target.endpoint.host, []).append(series)
    rows = [
        ExchangeRow(host, preference, worst_of(by_host.get(host, ())), _warning(by_host.get(host, ())))
        for preference, host in domain.exchanges
    ]
    is_up = domains.is_up(domain)
    state = State.PENDING if is_up is None else State.UP if is_up else State.DOWN
    return DomainView(domain, state, rows, domain.findings)


def worst_of(all_series: Sequence[Series]) -> State:
    """Return the worst state of some series; `PENDING` where there are none."""
    return min(map(state_of, all_series), key=list(State).index, default=State.PENDING)


def _warning(all_series: Sequence[Series]) -> str:
    return next((series.last.warning for series in all_series if series.last and series.last.warning), "")


def domain_to_json(view: DomainView) -> Mapping[str, Any]:
    """Return a domain as JSON values."""
    domain = view.domain
    return {
        "endpoint": domain.endpoint.name,
        "domain": domain.name,
        "up": None if view.state is State.PENDING else view.state is State.UP,
        "exchanges": [
            {"host": row.host, "preference": row.preference, "state": row.state.value, "warning": row.warning}
            for row in view.exchanges
        ],
        "as_expected": domain.as_expected if domain.endpoint.expect and domain.is_known else None,
        "failing": [finding_to_json(finding) for finding in view.findings],
    }


def finding_to_json(finding: Finding) -> Mapping[str, Any]:
    """Return what is wrong with a domain as JSON values."""
    return {
        "reason": finding.reason.value,
        "blame": finding.reason.blame.value,
        "host": finding.host or None,
        "detail": finding.detail,
        "remedy": finding.remedy,
    }
