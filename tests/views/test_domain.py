"""What people and scripts read of a mail domain."""

from __future__ import annotations

from io import StringIO

import pytest
from rich.console import Console

from exporter.model.domain import Exchange, Finding
from exporter.model.outcome import Observed, Outcome, Phase
from exporter.model.reason import Reason
from exporter.model.settings import Endpoint, Protocol, Security
from exporter.monitor.mail_domains import MailDomains
from exporter.monitor.store import Store
from exporter.probing.resolve import Resolver
from exporter.views import terminal
from exporter.views.domain import DomainView, domain_to_json, view_of
from exporter.views.page import groups
from exporter.views.state import State, state_of
from tests.scenes import mail_domain

HOSTS = ("mx1.example.com", "mx2.example.com")


def view(*results: Reason, fault: Reason | None = None, failure: Finding | None = None) -> DomainView:
    """A domain with an exchange for each result; the first has a fault of its TLS."""
    store = Store()
    domains = MailDomains(Resolver(), store, lambda: None)
    endpoint = Endpoint(
        name="mx", protocol=Protocol.SMTP, domain="example.com", port=25, security=Security.STARTTLS, expect=HOSTS
    )
    domains.configure([endpoint])
    domain = domains.get("mx")
    assert domain is not None
    domain.exchanges = tuple(Exchange(10, host) for host in HOSTS[: len(results)])
    domain.is_known, domain.failure = bool(results), failure
    store.configure(domains.configure([endpoint]))
    for host, reason in zip(HOSTS, results, strict=False):
        series = store.of_endpoint("mx", host)[0]
        observed = Observed(tls_fault=fault if host == HOSTS[0] else None)
        series.add(Outcome(series.target, 1.0, 2.0, {Phase.CONNECT: 1.0}, Phase.CONNECT, reason, observed=observed))
    return view_of(domain, domains, store)


NULL = Finding(Reason.MX_NULL, "example.com has a null MX record")


@pytest.mark.parametrize(
    ("made", "state", "sentence"),
    [
        (view(), State.PENDING, "its mail exchanges were not looked up yet"),
        (view(failure=NULL), State.DOWN, "no mail exchange is known"),
        (view(Reason.OK), State.UP, "its mail exchange is up"),
        (view(Reason.OK, Reason.OK), State.UP, "all 2 mail exchanges are up"),
        (view(Reason.OK, Reason.TIMEOUT), State.UP, "1 of 2 mail exchanges is up"),
        (view(Reason.RESET, Reason.TIMEOUT), State.DOWN, "0 of 2 mail exchanges are up"),
    ],
)
def test_sentence(made: DomainView, state: State, sentence: str) -> None:
    """How many are up, and whether mail arrives."""
    assert (made.state, made.sentence) == (state, sentence)


def test_json() -> None:
    """Each exchange has its state and its warning; what is wrong with the domain has its remedy."""
    made = domain_to_json(view(Reason.OK, fault=Reason.CERTIFICATE_EXPIRED, failure=NULL))
    assert made["exchanges"] == [
        {
            "host": "mx1.example.com",
            "preference": 10,
            "state": "up",
            "warning": "its certificate has expired",
            "mta_sts_covered": None,
            "dane_match": None,
        }
    ]
    assert (made["up"], made["as_expected"]) == (True, False)
    assert [one["reason"] for one in made["failing"]] == ["mx_null", "mx_records_changed"]
    assert made["failing"][0] == {
        "reason": "mx_null",
        "blame": "account",
        "host": None,
        "detail": "example.com has a null MX record",
        "remedy": "The domain has a null MX record (RFC 7505): remove it, and add one for each server that takes its "
        "mail.",
    }


def test_a_policy_in_testing() -> None:
    """Its end, what has changed, and what senders that demand TLS object to, are on the page and on a terminal."""
    scene = mail_domain()
    assert scene.domains is not None
    (domain,) = scene.domains
    made = view_of(domain, scene.domains, scene.store)
    assert [row.objection for row in made.exchanges] == [
        "the policy does not name it",
        "",
        "its certificate is for another name",
        "",
        "",
    ]
    policies = dict(made.policies)
    assert policies["MTA-STS"] == "testing, 1 mx, id 20260101, holds for 24 h more"
    assert policies["TLSA changed"].startswith("2 h ago: alt1.gmail-smtp-in.l.google.com: 3 1 1 00… before")
    assert [change["record"] for change in domain_to_json(made)["changes"]] == ["tlsa"]
    assert {finding.party for finding in made.findings} == {"the domain's administrator"}
    console = Console(width=80, record=True, file=StringIO())
    for part in terminal.domain(made, 80):
        console.print(part)
    text = console.export_text()
    for row in made.exchanges:
        (line,) = [line for line in text.splitlines() if line.startswith(f"{row.host} ")]
        assert line.split()[1:3] == [str(row.preference), row.state.label.lower()], "no column is cut off"
    assert "gmail-smtp-in.l.google.com, by senders that demand TLS: the" in text


def test_exchanges_stand_under_their_domain() -> None:
    """Also where there is nothing to group the other endpoints by, unless somebody asks for no groups."""
    scene = mail_domain()
    shown = [(series, state_of(series)) for series in scene.store]
    assert [group.title for group in groups(shown, "")] == ["example.com · mail exchanges", ""]
    assert [len(group.members) for group in groups(shown, "none")] == [6]
