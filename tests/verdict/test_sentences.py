"""The one sentence of a verdict."""

from __future__ import annotations

from dataclasses import replace

import pytest

from exporter.model.evidence import TcpEvidence, TcpFinding
from exporter.model.outcome import Observed, Phase
from exporter.model.reason import Reason
from exporter.model.verdict import Verdict
from exporter.verdict.facts import Fact
from exporter.verdict.sentences import also_of, observation_of, sentence_of
from tests.examples import FACTS, failure, target

SILENT = failure(phase=Phase.CONNECT, reason=Reason.TIMEOUT)
STRANGE = replace(
    failure(phase=Phase.TLS, reason=Reason.CERTIFICATE_UNTRUSTED), observed=Observed(address="192.0.2.1", tls=FACTS)
)


@pytest.mark.parametrize(
    ("verdict", "grounds", "sentence"),
    [
        (
            Verdict.PROVIDER_DOWN,
            (Fact.WEB_UP,),
            "our network is fine, Google's IMAP does not answer connection requests",
        ),
        (Verdict.PROVIDER_DOWN, (Fact.INCIDENT,), "Google's IMAP does not answer connection requests"),
        (
            Verdict.PORT_BLOCKED,
            (Fact.NEUTRAL_UP, Fact.WEB_UP),
            "port 993 is blocked on the way to Google's IMAP "
            "(a neutral control answers and the provider's web answers)",
        ),
        (
            Verdict.NETWORK_DOWN,
            (Fact.NEUTRAL_DOWN, Fact.NO_NEUTRAL),
            "our network is down (no neutral control answers)",
        ),
        (Verdict.RESOLVER_FAILING, (Fact.NO_RESOLVER,), "our resolver fails (no name resolves here)"),
        (
            Verdict.INTERCEPTED,
            (Fact.PORTAL,),
            "something in between answers in place of Google's IMAP (a captive portal answers)",
        ),
        (
            Verdict.EXPORTER,
            (Fact.FILES_USED_UP,),
            "our own side is at fault (this exporter has no file descriptor left)",
        ),
        (Verdict.EXPORTER, (), "our own side is at fault (no answer while connecting)"),
        (Verdict.UNKNOWN, (), "whose fault it is is not known: Google's IMAP does not answer connection requests"),
        (
            Verdict.UNKNOWN,
            (Fact.NEUTRAL_UP, Fact.NO_ROUTE),
            "the evidence contradicts itself (a neutral control answers and this host has no route): "
            "Google's IMAP does not answer connection requests",
        ),
        (Verdict.ACCOUNT, (), "Google's IMAP does not answer connection requests"),
    ],
)
def test_sentence(verdict: Verdict, grounds: tuple[Fact, ...], sentence: str) -> None:
    """It says what is at fault, and from what that is known."""
    assert sentence_of(SILENT, verdict, dict.fromkeys(grounds, ""), grounds) == sentence


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
    said = sentence_of(STRANGE, Verdict.INTERCEPTED, {}, [Fact.PRIVATE_ROOT])
    assert f"the certificate is from {FACTS.issuer}, whose root the public does not know" in said
    stripped = failure(phase=Phase.STARTTLS, reason=Reason.STARTTLS_UNAVAILABLE)
    said = sentence_of(stripped, Verdict.INTERCEPTED, {}, [Fact.MUST_BE_PUBLIC])
    assert said.endswith("(it does not offer STARTTLS, or refuses it)")


def test_one_address() -> None:
    """Of several addresses, the one at fault is named."""
    one = replace(SILENT, observed=Observed(address="192.0.2.1"))
    said = sentence_of(one, Verdict.ADDRESS_DOWN, {}, [Fact.OTHER_ADDRESSES])
    assert said == "Google's IMAP does not answer connection requests at 192.0.2.1 (other addresses of the name answer)"


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
