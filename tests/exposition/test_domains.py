"""What a mail domain itself is to Prometheus."""

from __future__ import annotations

from exporter.domains.dane import DaneFacts
from exporter.domains.policies import MtaSts, Policies
from exporter.exposition.domains import DOMAIN_FAMILIES, domain_samples
from exporter.model.domain import Change, Exchange, Finding, Mode, Policy, Tlsa
from exporter.model.outcome import Target
from exporter.model.reason import Reason
from exporter.model.settings import Endpoint, IpFamily, Protocol, Security
from exporter.monitor.mail_domains import MailDomain
from tests.examples import singles

ENDPOINT = Endpoint(
    name="mx",
    protocol=Protocol.SMTP,
    domain="example.com",
    host="",
    port=25,
    security=Security.STARTTLS,
    labels={"tenant": "acme"},
    expect=("mx1.example.com",),
)


def lines(domain: MailDomain, *, is_up: bool | None) -> set[str]:
    """Every sample, without the labels that all of them have."""
    return {
        f"{sample.family} {dict(sample.labels)} {sample.value:g}"
        for sample in singles(domain_samples(domain, is_up=is_up))
    }


def test_a_domain_that_was_not_looked_up() -> None:
    """Only that it is configured, with its labels: an alert takes them from there."""
    assert lines(MailDomain(ENDPOINT), is_up=None) == {"gmail_mx_info {'tenant': 'acme'} 1"}


def test_a_domain_of_which_everything_is_known() -> None:
    """Each family has a sample; what concerns an exchange has it as a label; the policy has the time of its end."""
    policies = Policies(
        MtaSts("1", Policy(Mode.ENFORCE, ("mx1.example.com",), 600.0), fetched_at=1000.0, change=Change(990.0, "")),
        tls_rpt=True,
        dane={"mx1.example.com": DaneFacts((Tlsa(3, 1, 1, b"x"),), authenticated=True, is_known=True)},
        mx_authenticated=True,
    )
    domain = MailDomain(
        ENDPOINT,
        (Exchange(10, "mx1.example.com"), Exchange(20, "mx2.example.com")),
        is_known=True,
        policies=policies,
        clock=lambda: 1100.0,
    )
    exchange = Target(ENDPOINT.at("mx1.example.com"), IpFamily.ANY)
    domain.learn(exchange, True, Finding(Reason.MTA_STS_CERTIFICATE, "expired", "mx1.example.com"))
    found = lines(domain, is_up=True)
    wrong = "gmail_mx_failure_info {'tenant': 'acme', 'reason': 'REASON', 'blame': 'account'"
    assert found == {
        "gmail_mx_info {'tenant': 'acme'} 1",
        "gmail_mx_up {} 1",
        "gmail_mx_preference {'host': 'mx1.example.com', 'port': '25'} 10",
        "gmail_mx_preference {'host': 'mx2.example.com', 'port': '25'} 20",
        "gmail_mx_as_expected {} 0",
        "gmail_mx_changed_timestamp_seconds {'record': 'mta_sts'} 990",
        "gmail_mta_sts_mode {'mode': 'enforce'} 1",
        "gmail_mta_sts_policy_expiry_timestamp_seconds {} 1600",
        "gmail_mta_sts_mx_covered {'host': 'mx1.example.com'} 1",
        "gmail_mta_sts_mx_covered {'host': 'mx2.example.com'} 0",
        "gmail_tls_rpt {} 1",
        "gmail_dane_match {'host': 'mx1.example.com'} 1",
        "gmail_dns_authenticated {'record': 'mx'} 1",
        "gmail_dns_authenticated {'record': 'tlsa', 'host': 'mx1.example.com'} 1",
        wrong.replace("REASON", "mx_records_changed") + "} 1",
        wrong.replace("REASON", "mta_sts_policy_changed") + "} 1",
        wrong.replace("REASON", "mta_sts_mx_mismatch") + ", 'host': 'mx2.example.com'} 1",
        wrong.replace("REASON", "mta_sts_certificate") + ", 'host': 'mx1.example.com'} 1",
    }
    assert {line.split()[0] for line in found} == {family.name for family in DOMAIN_FAMILIES}
