"""What a restart must not cost of a mail domain, as one line of text, and back.

Its exchanges, its MTA-STS policy and its TLSA records are what the next look-up is compared with, and what counts while
that fails: senders keep a policy for its `max_age` (RFC 8461 §3.3).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from exporter.domains.dane import DaneFacts
from exporter.domains.exchanges import MAX_EXCHANGES
from exporter.domains.mta_sts import MAX_AGE
from exporter.domains.policies import MtaSts, Policies
from exporter.model.domain import Change, Exchange, Mode, Policy, Tlsa
from exporter.monitor.mail_domains import MailDomain, MailDomains
from exporter.monitor.stored import DAY, NEVER, RIGHT, text_of, time_of

Fields = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class StoredDomains:
    """The domains of a configuration, as a section of the file of the history."""

    domains: MailDomains
    kind: str = "domain"

    @property
    def version(self) -> object:
        """What changes whenever something was found."""
        return tuple(domain.version for domain in self.domains)

    @property
    def count(self) -> int:
        """How many there are."""
        return sum(1 for _ in self.domains)

    def lines(self, limit: int) -> Iterator[Fields]:
        """Yield what is stored of each domain; what would take more than `limit` octets is left out."""
        for domain in self.domains:
            if (fields := encode(domain)) and len(json.dumps(fields)) <= limit:
                yield fields

    def restore(self, fields: Fields) -> None:
        """Let a domain go on with what is stored of it.

        Raises:
            ValueError, TypeError, LookupError: It cannot be read.
        """
        domain = self.domains.get(fields["endpoint"])
        if domain and domain.name == fields["domain"]:
            domain.restore(decode(fields, domain, domain.clock()))

    def restored(self) -> None:
        """Tell the others what is known now."""
        self.domains.restored()


def encode(domain: MailDomain) -> Fields | None:
    """Return what is stored of a domain; None where nothing is known of it."""
    policies, mta_sts = domain.policies, domain.policies.mta_sts
    if not domain.exchanges and mta_sts.policy is None:
        return None
    return {
        "endpoint": domain.endpoint.name,
        "domain": domain.name,
        "port": domain.endpoint.port,
        "exchanges": domain.exchanges,
        "changes": domain.changes,
        "policy_id": mta_sts.policy_id,
        "policy": mta_sts.policy
        and {
            "mode": mta_sts.policy.mode.value,
            "mx": mta_sts.policy.patterns,
            "max_age": mta_sts.policy.max_age,
            "fetched_at": mta_sts.fetched_at,
        },
        "tlsa": {
            host: {
                "authenticated": facts.authenticated,
                "records": [_tlsa(record) for record in facts.records],
                "unreadable": facts.unreadable,
                "base": facts.base,
            }
            for host, facts in policies.dane.items()
            if facts.is_known
        },
        "mx_authenticated": policies.mx_authenticated,
    }


def decode(fields: Fields, domain: MailDomain, now: float) -> MailDomain:
    """Return a domain as an earlier process knew it.

    Raises:
        ValueError, TypeError, LookupError: It cannot be read.
    """
    until = now + DAY if now > RIGHT else NEVER
    exchanges = tuple(Exchange(int(preference), text_of(host)) for preference, host in fields["exchanges"])
    changes = {
        records: Change(at, text_of(text))
        for records, (since, text) in fields["changes"].items()
        if (at := time_of(since, until))
    }
    mta_sts = MtaSts(change=changes.get("mta_sts"))
    # A policy of no known time may be over.
    if (policy := fields["policy"]) and (fetched_at := time_of(policy["fetched_at"], until)):
        patterns, max_age = tuple(map(text_of, policy["mx"])), min(max(0.0, float(policy["max_age"])), MAX_AGE)
        mta_sts.policy, mta_sts.fetched_at = Policy(Mode(policy["mode"]), patterns, max_age), min(fetched_at, now)
        mta_sts.policy_id = text_of(fields["policy_id"]) if fields["policy_id"] else None
    hosts = {one.host for one in exchanges}
    dane = {
        host: DaneFacts(
            tuple(map(_record, one["records"])),
            bool(one["authenticated"]),
            is_known=True,
            # An older file has neither of them.
            unreadable=int(one.get("unreadable", 0)),
            base=text_of(one.get("base", "")),
        )
        for host, one in fields["tlsa"].items()
        if host in hosts and fields.get("port") == domain.endpoint.port
    }
    authenticated = fields["mx_authenticated"]
    policies = Policies(
        mta_sts=mta_sts,
        dane=dane,
        tlsa_change=changes.get("tlsa"),
        mx_authenticated=None if authenticated is None else bool(authenticated),
    )
    return MailDomain(domain.endpoint, exchanges[:MAX_EXCHANGES], change=changes.get("mx"), policies=policies)


def _tlsa(record: Tlsa) -> tuple[int, int, int, str]:
    return record.usage, record.selector, record.matching, record.data.hex()


def _record(fields: tuple[int, int, int, str]) -> Tlsa:
    usage, selector, matching, data = fields
    return Tlsa(int(usage), int(selector), int(matching), bytes.fromhex(data))
