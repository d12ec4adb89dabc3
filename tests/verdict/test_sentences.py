"""The one sentence of a verdict."""

from __future__ import annotations

from dataclasses import replace

import pytest

from exporter.model.evidence import TcpEvidence, TcpFinding
from exporter.model.outcome import Observed, Phase
from exporter.model.reason import Reason
from exporter.model.verdict import Fact, Verdict
from exporter.verdict.sentences import also_of, because_of, observation_of, sentence_of
from tests.examples import FACTS, failure, target

SILENT = failure(phase=Phase.CONNECT, reason=Reason.TIMEOUT)
STRANGE = replace(
    failure(phase=Phase.TLS, reason=Reason.CERTIFICATE_UNTRUSTED), observed=Observed(address="192.0.2.1", tls=FACTS)
)


DOES_NOT_ANSWER = "Google's IMAP does not answer connection requests"


@pytest.mark.parametrize(
    ("verdict", "grounds", "sentence", "because"),
    [
        (Verdict.PROVIDER_DOWN, (Fact.REFUSED_AT_WEB,), f"our network is fine, {DOES_NOT_ANSWER}", ""),
        # Others are reached, which does not show that this server is.
        (Verdict.PROVIDER_DOWN, (Fact.SAME_PORT_UP,), DOES_NOT_ANSWER, "the same port answers at another provider"),
        (Verdict.PROVIDER_DOWN, (Fact.WEB_UP,), DOES_NOT_ANSWER, ""),
        (
            Verdict.PORT_BLOCKED,
            (Fact.NEUTRAL_UP, Fact.WEB_UP),
            "port 993 is blocked on the way to Google's IMAP",
            "another host of the internet answers and the provider's web answers",
        ),
        (
            Verdict.NETWORK_DOWN,
            (Fact.NEUTRAL_DOWN, Fact.NO_NEUTRAL),
            "our network is down",
            "no other host that was tried answers",
        ),
        (Verdict.RESOLVER_FAILING, (Fact.NO_RESOLVER,), "our resolver fails", "no name resolves here"),
        (
            Verdict.RESOLVER_FAILING,
            (Fact.RESOLVER_LIES,),
            "our resolver gives a wrong address for imap.gmail.com",
            "192.0.2.1 is not public",
        ),
        (Verdict.INTERCEPTED, (Fact.PORTAL,), "a captive portal answers in place of Google's IMAP", ""),
        (
            Verdict.EXPORTER,
            (Fact.FILES_USED_UP,),
            "the exporter's own host is at fault",
            "this exporter has no file descriptor left",
        ),
        (
            Verdict.EXPORTER,
            (Fact.PUBLIC_ROOT,),
            "the exporter's own host is at fault",
            "it does not trust a root that the public trusts: its list of authorities is old",
        ),
        (Verdict.EXPORTER, (), "the exporter's own host is at fault", "no answer while connecting"),
        (Verdict.UNKNOWN, (), DOES_NOT_ANSWER, "it is not known whose fault that is"),
        (
            Verdict.UNKNOWN,
            (Fact.NEUTRAL_UP, Fact.NO_ROUTE),
            DOES_NOT_ANSWER,
            "it is not known whose fault that is, for the evidence contradicts itself: another host of the internet "
            "answers, and yet this host has no route",
        ),
        (Verdict.ACCOUNT, (), DOES_NOT_ANSWER, ""),
    ],
)
def test_sentence(verdict: Verdict, grounds: tuple[Fact, ...], sentence: str, because: str) -> None:
    """It says what is at fault, and beside that from what that is known."""
    outcome = replace(SILENT, observed=Observed(address="192.0.2.1"))
    assert sentence_of(outcome, verdict, dict.fromkeys(grounds, ""), grounds) == sentence
    assert because_of(outcome, verdict, grounds) == because


@pytest.mark.parametrize("verdict", list(Verdict))
def test_every_verdict_has_a_sentence(verdict: Verdict) -> None:
    """It is a clause without a full stop, whatever is known."""
    for outcome in (SILENT, STRANGE, failure(target(host="mail.example.com"), Phase.GREETING, Reason.SERVER_BUSY)):
        said = sentence_of(outcome, verdict, {Fact.WEB_UP: ""}, [Fact.WEB_UP])
        assert said
        assert "{" not in said
        assert not said.endswith(".")


def test_who_answers_in_between() -> None:
    """The issuer of a certificate that is trusted only here is named; where TLS is missing, that is what is told."""
    said = because_of(STRANGE, Verdict.INTERCEPTED, [Fact.PRIVATE_ROOT])
    assert said == f"the certificate is from {FACTS.issuer}, whose root the public does not know"
    stripped = failure(phase=Phase.STARTTLS, reason=Reason.STARTTLS_UNAVAILABLE)
    said = because_of(stripped, Verdict.INTERCEPTED, [Fact.MUST_BE_PUBLIC])
    assert said == "it does not offer STARTTLS, or refuses it"


def test_one_address() -> None:
    """Of several addresses, the one at fault is named."""
    one = replace(SILENT, observed=Observed(address="192.0.2.1"))
    said = sentence_of(one, Verdict.ADDRESS_DOWN, {}, [Fact.OTHER_ADDRESSES])
    assert said == "one address of Google's IMAP is at fault: 192.0.2.1 does not answer connection requests"
    assert because_of(one, Verdict.ADDRESS_DOWN, [Fact.OTHER_ADDRESSES]) == "other addresses of the name answer"


@pytest.mark.parametrize("verdict", list(Verdict))
def test_incident(verdict: Verdict) -> None:
    """An incident is told beside what it may confirm, and acquits nobody."""
    confirms = verdict in (Verdict.PROVIDER_DOWN, Verdict.ADDRESS_DOWN, Verdict.UNKNOWN)
    told = "Google has an open incident" if confirms else ""
    assert also_of(SILENT, verdict, {Fact.INCIDENT: ""}) == told
    assert also_of(SILENT, verdict, {}) == ""


def test_observation() -> None:
    """What TCP saw is told, where it saw something; else what the server did, as a sentence."""
    assert observation_of(SILENT) == "Google's IMAP does not answer connection requests."
    seen = TcpEvidence(next(iter(TcpFinding)))
    assert observation_of(replace(SILENT, observed=Observed(tcp=seen))) == str(seen)
