"""Faults of mail domains: what each is in the DNS and at its policy host, and what is told of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.servers.forwarder import Fault
from tests.servers.policy_host import policy

WELL, PLAIN, REFUSING = "127.0.0.2", "127.0.0.3", "127.0.0.4"
REFUSE = "smtpd_delay_reject = no\nsmtpd_client_restrictions = reject\n"
ID, REPORTS = "v=STSv1; id=1;", "v=TLSRPTv1; rua=mailto:reports@example.com"
HOSTS = "\n".join(
    [
        *(f"{name} A {WELL}" for name in ("good", "second", "deep.good", "match", "mismatch")),
        f"deep.unusable A {WELL}\nalias CNAME match\nalias-mismatch CNAME mismatch",
        *(f"{name} A {PLAIN}" for name in ("plain", "bare", "bare-unusable")),
        f"refusing A {REFUSING}",
    ]
)
POLICY_WARNING, POLICY_CRITICAL = "GmailDomainPolicyFailing warning", "GmailDomainPolicyFailing critical"
EXCHANGE_DOWN = {"GmailExchangeDown warning", "GmailErrorBudgetBurningFast warning"}
"""The second one is not sent where there is the first."""
ALL_DOWN = {"GmailDomainDown critical"} | EXCHANGE_DOWN


@dataclass(frozen=True)
class Case:
    """A domain, and what is told of it: reasons (at an exchange), the values of metrics (by a label), alerts."""

    reasons: set[str] = field(default_factory=set)
    metrics: Mapping[str, float] = field(default_factory=dict)
    alerts: set[str] = field(default_factory=set)
    mx: tuple[str, ...] = ("10 good",)
    txt: tuple[str, ...] = (ID,)
    reports: tuple[str, ...] = (REPORTS,)
    policy: bytes = policy("enforce", "good.example.com")
    host: Mapping[str, Any] = field(default_factory=dict)
    """What else the policy host does."""
    address: str = "127.0.0.1"
    """Of the policy host; empty: it does not exist."""
    is_named: bool = True
    """Whether the policy host has a certificate of its name."""
    zone: str = "example.com"
    endpoint: Mapping[str, Any] = field(default_factory=dict)
    faults: Mapping[str, Fault] = field(default_factory=dict)
    """How the look-ups fail: of names below the domain, each with the kind of record behind it."""
    later: bytes | None = None
    """The status of the policy host from the second round on."""
    is_certain: bool = True

    @property
    def is_silent(self) -> bool:
        """Whether something of it never answers."""
        return "is_silent" in self.host or "silence" in self.faults.values()


UP = {"gmail_mx_up": 1.0}
IN_FORCE = UP | {
    "gmail_mta_sts_mode{enforce}": 1.0,
    "gmail_mta_sts_mx_covered{good.example.com}": 1.0,
    "gmail_tls_rpt": 1.0,
}
NO_POLICY = UP | {"gmail_mta_sts_mode{}": 0.0}
"""A value of 0 for no label: there is no such series."""


def unreachable(*, is_certain: bool = True, **changes: Any) -> Case:
    """The policy cannot be fetched."""
    return Case({"mta_sts_policy_unreachable"}, NO_POLICY, {POLICY_WARNING}, is_certain=is_certain, **changes)


def invalid(**changes: Any) -> Case:
    """The policy, or its record, is not valid."""
    return Case({"mta_sts_policy_invalid"}, NO_POLICY, {POLICY_WARNING}, **changes)


def failing(
    reason: str, metrics: Mapping[str, float], faults: Mapping[str, Fault], alerts: set[str] | None = None
) -> Case:
    """A look-up fails, which is nobody's fault."""
    return Case({reason}, metrics, alerts or set(), faults=faults, is_certain=False)


THREE = Case(
    metrics=UP
    | {
        "gmail_mx_preference{plain.example.com}": 20.0,
        "gmail_up{good.example.com}": 1.0,
        "gmail_up{plain.example.com}": 1.0,
        "gmail_up{refusing.example.com}": 0.0,
    },
    alerts=EXCHANGE_DOWN,
    mx=("20 plain", "10 refusing", "30 good"),
    txt=(),
)
"""Of three exchanges the most preferred one refuses, and the next one has no STARTTLS."""

CASES: dict[str, Case] = {
    "well": Case(metrics=IN_FORCE | {"gmail_check_success{tls}": 1.0}),
    "no-record": Case(txt=(), metrics=NO_POLICY),
    "record-expected": Case(
        {"mta_sts_txt_missing"}, NO_POLICY, {POLICY_WARNING}, txt=(), endpoint={"expect_mta_sts": True}
    ),
    "two-records": Case({"mta_sts_txt_ambiguous"}, NO_POLICY, {POLICY_WARNING}, txt=(ID, "v=STSv1; id=2;")),
    "id": invalid(txt=("v=STSv1; id=2026-01-01;",)),
    "refused": unreachable(address="127.0.0.9", is_certain=False),
    "silent": unreachable(host={"is_silent": True}, is_certain=False),
    "no-host": unreachable(address=""),
    "404": unreachable(host={"status": b"404 Not Found"}),
    "redirected": unreachable(host={"status": b"302 Found"}),
    "certificate-of-host": unreachable(is_named=False),
    "content-type": invalid(host={"content_type": b"text/html"}),
    "too-large": invalid(policy=policy("enforce", "good.example.com").ljust(65537, b"\n")),
    "web-page": invalid(policy=b"<html>"),
    "no-version": invalid(policy=policy("enforce", "good.example.com").partition(b"\n")[2]),
    "no-age": invalid(policy=policy("enforce", "good.example.com").partition(b"max_age")[0]),
    "dot-at-the-end": invalid(policy=policy("enforce", "good.example.com.")),
    "other-script": invalid(policy=policy("enforce", "gööd.example.com")),
    "capitals": Case(metrics=IN_FORCE, policy=policy("enforce", "GOOD.Example.COM")),
    "wildcard": Case(metrics=IN_FORCE, policy=policy("enforce", "*.example.com")),
    "expired": Case(
        {"mta_sts_policy_unreachable", "mta_sts_policy_expired"},
        NO_POLICY,
        {POLICY_WARNING},
        policy=policy("enforce", "good.example.com", max_age=0),
        later=b"503 Service Unavailable",
    ),
    "not-covered": Case(
        {"mta_sts_mx_mismatch second.example.com"},
        IN_FORCE | {"gmail_mta_sts_mx_covered{second.example.com}": 0.0},
        {POLICY_CRITICAL},
        mx=("10 good", "20 second"),
    ),
    "not-covered-in-testing": Case(
        {"mta_sts_testing", "mta_sts_mx_mismatch second.example.com"},
        UP | {"gmail_mta_sts_mode{testing}": 1.0, "gmail_mta_sts_mx_covered{second.example.com}": 0.0},
        {POLICY_WARNING},
        mx=("10 good", "20 second"),
        policy=policy("testing", "good.example.com"),
    ),
    "two-labels": Case(
        {"mta_sts_mx_mismatch deep.good.example.com"},
        UP | {"gmail_mta_sts_mx_covered{deep.good.example.com}": 0.0, "gmail_check_success{tls}": 0.0},
        {POLICY_CRITICAL},
        mx=("10 deep.good",),
        policy=policy("enforce", "*.example.com"),
    ),
    "certificate": Case(
        {"mta_sts_certificate deep.good.example.com"},
        {"gmail_mx_up": 0.0, "gmail_check_success{tls}": 0.0},
        {POLICY_CRITICAL, *ALL_DOWN},
        mx=("10 deep.good",),
        policy=policy("enforce", "*.good.example.com"),
    ),
    "certificate-in-testing": Case(
        {"mta_sts_testing", "mta_sts_certificate deep.good.example.com"},
        UP,
        {POLICY_WARNING},
        mx=("10 deep.good",),
        policy=policy("testing", "*.good.example.com"),
    ),
    "no-starttls": Case(
        {"mta_sts_certificate plain.example.com"},
        {"gmail_mx_up": 0.0},
        {POLICY_CRITICAL, *ALL_DOWN},
        mx=("10 plain",),
        policy=policy("enforce", "plain.example.com"),
    ),
    "testing": Case(
        {"mta_sts_testing"}, UP | {"gmail_mta_sts_mode{testing}": 1.0}, policy=policy("testing", "good.example.com")
    ),
    "none": Case(
        metrics=UP | {"gmail_mta_sts_mode{none}": 1.0, "gmail_mta_sts_mx_covered{}": 0.0}, policy=policy("none")
    ),
    "no-reports": Case(metrics=UP | {"gmail_tls_rpt": 0.0}, reports=()),
    "two-reports": Case(metrics=UP | {"gmail_tls_rpt": 0.0}, reports=(REPORTS, "v=TLSRPTv1; rua=mailto:b@example.com")),
    "malformed-reports": Case(metrics=UP | {"gmail_tls_rpt": 0.0}, reports=("v=TLSRPTv1; rua=reports@example.com",)),
    "tlsa": Case(
        metrics=UP | {"gmail_dane_match{match.example.com}": 1.0, "gmail_dns_authenticated{tlsa}": 1.0},
        mx=("10 match",),
        txt=(),
    ),
    "tlsa-mismatch": Case(
        {"dane_mismatch mismatch.example.com"},
        {"gmail_mx_up": 0.0, "gmail_dane_match{mismatch.example.com}": 0.0},
        {POLICY_CRITICAL, *ALL_DOWN},
        mx=("10 mismatch",),
        txt=(),
    ),
    "tlsa-no-starttls": Case(
        {"dane_mismatch bare.example.com"},
        {"gmail_mx_up": 0.0, "gmail_dane_match{}": 0.0},
        {POLICY_CRITICAL, *ALL_DOWN},
        mx=("10 bare",),
        txt=(),
    ),
    # RFC 7672 §2.2: records that nobody can use demand TLS all the same, whatever the certificate.
    "tlsa-unusable": Case(
        metrics=UP | {"gmail_dane_match{}": 0.0, "gmail_dns_authenticated{tlsa}": 1.0, "gmail_check_success{tls}": 0.0},
        mx=("10 deep.unusable",),
        txt=(),
    ),
    "tlsa-unusable-no-starttls": Case(
        {"dane_mismatch bare-unusable.example.com"},
        {"gmail_mx_up": 0.0, "gmail_dane_match{}": 0.0},
        {POLICY_CRITICAL, *ALL_DOWN},
        mx=("10 bare-unusable",),
        txt=(),
    ),
    "tlsa-of-alias": Case(metrics=UP | {"gmail_dane_match{alias.example.com}": 1.0}, mx=("10 alias",), txt=()),
    "tlsa-of-alias-mismatch": Case(
        {"dane_mismatch alias-mismatch.example.com"},
        {"gmail_mx_up": 0.0, "gmail_dane_match{alias-mismatch.example.com}": 0.0},
        {POLICY_CRITICAL, *ALL_DOWN},
        mx=("10 alias-mismatch",),
        txt=(),
    ),
    "address": Case(
        metrics={"gmail_mx_up": 0.0, "gmail_up{192.0.2.1}": 0.0}, alerts=ALL_DOWN, mx=("10 192.0.2.1.",), txt=()
    ),
    "tlsa-unsigned": Case(
        {"dane_unauthenticated match.example.net"},
        UP | {"gmail_dns_authenticated{tlsa}": 0.0, "gmail_dane_match{}": 0.0},
        {POLICY_WARNING},
        mx=("10 match",),
        txt=(),
        zone="example.net",
    ),
    "not-as-expected": Case(
        {"mx_records_changed"},
        IN_FORCE | {"gmail_mx_as_expected": 0.0},
        {POLICY_WARNING},
        endpoint={"expect": ("mx.example.com",)},
    ),
    "as-expected": Case(metrics=IN_FORCE | {"gmail_mx_as_expected": 1.0}, endpoint={"expect": ("good.example.com",)}),
    "null": Case({"mx_null"}, {"gmail_mx_up": 0.0}, {"GmailDomainDown critical", POLICY_WARNING}, mx=("0 .",), txt=()),
    "gone": Case(
        {"dns_not_found"},
        {"gmail_mx_up": 0.0},
        {"GmailDomainDown critical"},
        mx=(),
        txt=(),
        reports=(),
        is_certain=False,
    ),
    "three": THREE,
    "three-at-the-same-hosts": THREE,
    "more-at-the-same-hosts": THREE,
    # Its exchanges were never known.
    "mx-servfail": failing("dns_error", {"gmail_mx_up": 0.0}, {"MX": "servfail"}, {"GmailDomainDown critical"}),
    "record-servfail": failing("dns_error", NO_POLICY, {"_mta-sts TXT": "servfail"}),
    "record-silent": failing("timeout", NO_POLICY, {"_mta-sts TXT": "silence"}),
    "host-servfail": failing("dns_error", NO_POLICY, {"mta-sts A": "servfail", "mta-sts AAAA": "servfail"}),
    "reports-servfail": failing("dns_error", UP | {"gmail_tls_rpt{}": 0.0}, {"_smtp._tls TXT": "servfail"}),
    "reports-silent": failing("timeout", UP | {"gmail_tls_rpt{}": 0.0}, {"_smtp._tls TXT": "silence"}),
}
