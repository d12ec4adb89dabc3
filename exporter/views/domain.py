"""Mail domains → what people and scripts read: which exchanges are up, and what is wrong with the domain itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from exporter.model.domain import Finding, Mode
from exporter.monitor.mail_domains import MailDomain, MailDomains
from exporter.monitor.store import Series, Store
from exporter.views.state import State, state_of
from exporter.views.times import iso, span

_RECORDS = {"mx": "MX", "mta_sts": "MTA-STS", "tlsa": "TLSA"}


class ExchangeRow(NamedTuple):
    """One exchange: its preference, the worst state of its series, and what senders that demand TLS object to."""

    host: str
    preference: int
    state: State
    warning: str
    covered: bool | None
    """Whether the MTA-STS policy covers it; None without one."""
    dane: bool | None
    """Whether its certificate matches its TLSA records; None where there are none in force."""

    @property
    def objection(self) -> str:
        """Why senders that demand TLS refuse it; empty where they take it."""
        return "the policy does not name it" if self.covered is False else self.warning


@dataclass(frozen=True, slots=True)
class DomainView:
    """One mail domain, for people."""

    domain: MailDomain
    state: State
    exchanges: Sequence[ExchangeRow]
    findings: Sequence[Finding]

    @property
    def sentence(self) -> str:
        """How many of its exchanges are up, and how many are not probed."""
        left_out = self.domain.left_out
        return f"{self._up}; {left_out} more {'is' if left_out == 1 else 'are'} not probed" if left_out else self._up

    @property
    def _up(self) -> str:
        up = sum(exchange.state is State.UP for exchange in self.exchanges)
        if not self.exchanges:
            return "no mail exchange is known" if self.findings else "its mail exchanges were not looked up yet"
        if self.domain.is_gone:
            return f"it is not in the DNS any more; {up} of its last {len(self.exchanges)} mail exchanges are up"
        if up == len(self.exchanges):
            return "its mail exchange is up" if up == 1 else f"all {up} mail exchanges are up"
        return f"{up} of {len(self.exchanges)} mail exchanges {'is' if up == 1 else 'are'} up"

    @property
    def policies(self) -> list[tuple[str, str]]:
        """The policies of the domain in words: the name of each, and what is known of it."""
        policies, policy, now = self.domain.policies, self.domain.policy, self.domain.clock()
        mta_sts = "none"
        if policy:
            left = span(policies.mta_sts.fetched_at + policy.max_age - now)
            mta_sts = (
                f"{policy.mode}, {len(policy.patterns)} mx, id {policies.mta_sts.policy_id}, holds for {left} more"
            )
        known = {True: "yes", False: "no", None: "not known"}
        dane = sum(facts.exist for facts in policies.dane.values())
        return [
            ("MTA-STS", mta_sts),
            ("TLS-RPT", known[policies.tls_rpt]),
            ("DNSSEC", known[policies.mx_authenticated]),
            ("DANE", f"at {dane} of {len(self.exchanges)} exchanges" if policies.dane else "not known"),
            *(
                (f"{_RECORDS[records]} changed", f"{span(now - change.at)} ago: {change.text}")
                for records, change in self.domain.changes.items()
            ),
        ]


def view_of(domain: MailDomain, domains: MailDomains, store: Store) -> DomainView:
    """Return a domain as it is now."""
    by_host: dict[str, list[Series]] = {}
    for series in store.of_endpoint(domain.endpoint.name):
        by_host.setdefault(series.target.endpoint.host, []).append(series)
    policy = domain.policy
    rows = [
        ExchangeRow(
            host,
            preference,
            worst_of(by_host.get(host, ())),
            _warning(by_host.get(host, ())),
            policy.covers(host) if policy and policy.mode is not Mode.NONE else None,
            domain.dane.get(host),
        )
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
            {
                "host": row.host,
                "preference": row.preference,
                "state": row.state.value,
                "warning": row.warning,
                "mta_sts_covered": row.covered,
                "dane_match": row.dane,
            }
            for row in view.exchanges
        ],
        "exchanges_left_out": domain.left_out,
        "mta_sts_mode": domain.policy.mode.value if domain.policy else None,
        "changes": [
            {"record": records, "at": iso(change.at), "detail": change.text}
            for records, change in domain.changes.items()
        ],
        "tls_rpt": domain.policies.tls_rpt,
        "dns_authenticated": domain.policies.mx_authenticated,
        "as_expected": domain.as_expected if domain.endpoint.expect and domain.is_known else None,
        "failing": [finding_to_json(finding) for finding in view.findings],
    }


def finding_to_json(finding: Finding) -> Mapping[str, Any]:
    """Return what is wrong with a domain as JSON values."""
    return {
        "reason": finding.reason.value,
        "blame": finding.blame.value,
        "host": finding.host or None,
        "detail": finding.detail,
        "remedy": finding.remedy,
    }
