"""A mail domain → samples of the metrics of the domain itself, all of which are declared here.

Those of its exchanges are as of any target.
"""

from __future__ import annotations

from collections.abc import Iterator

from exporter.exposition.text import Family, Samples
from exporter.model.domain import Mode
from exporter.monitor.mail_domains import MailDomain

# fmt: off
MX_INFO = Family("gmail_mx_info", "gauge",
    "Always 1: how the domain is configured, with the endpoint's own labels.")
MX_UP = Family("gmail_mx_up", "gauge",
    "Whether a mail exchange of the domain is up: mail for the domain can be delivered.")
MX_PREFERENCE = Family("gmail_mx_preference", "gauge",
    "Preference of each mail exchange of the domain; the lowest is tried first.", "host", "port")
MX_AS_EXPECTED = Family("gmail_mx_as_expected", "gauge",
    "Whether the domain has exactly the exchanges of `expect`.")
MX_CHANGED = Family("gmail_mx_changed_timestamp_seconds", "gauge",
    "When the domain's `mx`, `mta_sts` or `tlsa` was last seen to have changed; absent where none has.", "record")
MTA_STS_MODE = Family("gmail_mta_sts_mode", "gauge",
    "Always 1: the mode of the domain's MTA-STS policy that is in force; absent without one.", "mode")
MTA_STS_EXPIRY = Family("gmail_mta_sts_policy_expiry_timestamp_seconds", "gauge",
    "When the policy in force is over, unless it is fetched again before: it is, hourly.")
MTA_STS_MX_COVERED = Family("gmail_mta_sts_mx_covered", "gauge",
    "Whether the policy in force covers the mail exchange.", "host")
TLS_RPT = Family("gmail_tls_rpt", "gauge",
    "Whether the domain asks senders to report failures of TLS (RFC 8460).")
DANE_MATCH = Family("gmail_dane_match", "gauge",
    "Whether the certificate of the mail exchange matches its TLSA records, where these are in force.", "host")
DNS_AUTHENTICATED = Family("gmail_dns_authenticated", "gauge",
    "Whether DNSSEC authenticates the MX records of the domain, or the TLSA records of a mail exchange; absent where "
    "no resolver is believed.", "record", "host")
MX_FAILURE_INFO = Family("gmail_mx_failure_info", "gauge",
    "1 while something is wrong with the domain itself: what, and the party at fault; with the exchange that it "
    "concerns, and the endpoint's own labels.", "reason", "blame", "host")
# fmt: on

DOMAIN_FAMILIES = (
    MX_INFO, MX_UP, MX_PREFERENCE, MX_AS_EXPECTED, MX_CHANGED, MTA_STS_MODE, MTA_STS_EXPIRY, MTA_STS_MX_COVERED,
    TLS_RPT, DANE_MATCH, DNS_AUTHENTICATED, MX_FAILURE_INFO,
)  # fmt: skip
"""Families of a mail domain. Their base labels are `endpoint` and `domain`."""


def domain_samples(domain: MailDomain, *, is_up: bool | None) -> Iterator[Samples]:
    """Every sample of a mail domain itself; those of its exchanges are as of any target."""
    yield MX_INFO.sample(1, **domain.endpoint.labels)
    if is_up is not None:
        yield MX_UP.sample(is_up)
    for exchange in domain.exchanges:
        yield MX_PREFERENCE.sample(exchange.preference, host=exchange.host, port=str(domain.endpoint.port))
    if domain.endpoint.expect and domain.is_known:
        yield MX_AS_EXPECTED.sample(domain.as_expected)
    for records, change in domain.changes.items():
        yield MX_CHANGED.sample(change.at, record=records)
    yield from _policies(domain)
    for finding in domain.findings:
        why = {"reason": finding.reason.value, "blame": finding.blame.value}
        if finding.host:
            why["host"] = finding.host
        yield MX_FAILURE_INFO.sample(1, **{**domain.endpoint.labels, **why})


def _policies(domain: MailDomain) -> Iterator[Samples]:
    policies, policy = domain.policies, domain.policy
    if policy:
        yield MTA_STS_MODE.sample(1, mode=policy.mode.value)
        yield MTA_STS_EXPIRY.sample(policies.mta_sts.fetched_at + policy.max_age)
        for exchange in domain.exchanges if policy.mode is not Mode.NONE else ():
            yield MTA_STS_MX_COVERED.sample(policy.covers(exchange.host), host=exchange.host)
    if policies.tls_rpt is not None:
        yield TLS_RPT.sample(policies.tls_rpt)
    for host, matches in domain.dane.items():
        yield DANE_MATCH.sample(matches, host=host)
    if policies.mx_authenticated is not None:
        yield DNS_AUTHENTICATED.sample(policies.mx_authenticated, record="mx")
    for host, facts in policies.dane.items():
        if facts.exist:
            yield DNS_AUTHENTICATED.sample(facts.authenticated, record="tlsa", host=host)
