"""The words of a verdict: one sentence for people."""

from __future__ import annotations

from collections.abc import Sequence

from exporter.model.outcome import Outcome
from exporter.model.reason import provider_of
from exporter.model.verdict import Fact, Verdict, server_of
from exporter.verdict.facts import Facts
from exporter.verdict.symptom import Symptom, symptom_of

_REACHED = (Fact.CONNECTED, Fact.REFUSED_AT_WEB)
"""Each of these shows that our packets reach the server: our network is fine, and the way to it."""

_OF_PROVIDER = (Verdict.PROVIDER_DOWN, Verdict.ADDRESS_DOWN, Verdict.UNKNOWN)
"""An incident may confirm these, and never acquits the provider."""


def sentence_of(outcome: Outcome, verdict: Verdict, facts: Facts, grounds: Sequence[Fact]) -> str:
    """Return a verdict as a clause without a full stop: who is at fault, and of the provider what it does."""
    endpoint = outcome.target.endpoint
    server = server_of(endpoint)
    seen = f"{server} {_behaviour(outcome)}"
    match verdict:
        case Verdict.PROVIDER_DOWN if any(fact in facts for fact in _REACHED):
            return f"our network is fine, {seen}"
        case Verdict.ADDRESS_DOWN:
            return f"one address of {server} is at fault: {outcome.observed.address} {_behaviour(outcome)}"
        case Verdict.PORT_BLOCKED:
            return f"port {endpoint.port} is blocked on the way to {server}"
        case Verdict.NETWORK_DOWN:
            return "our network is down"
        case Verdict.RESOLVER_FAILING if Fact.RESOLVER_LIES in grounds:
            return f"our resolver gives a wrong address for {endpoint.host}"
        case Verdict.RESOLVER_FAILING:
            return "our resolver fails"
        case Verdict.INTERCEPTED if Fact.PORTAL in grounds:
            return f"a captive portal answers in place of {server}"
        case Verdict.INTERCEPTED:
            return f"something in between answers in place of {server}"
        case Verdict.EXPORTER if symptom_of(outcome) is not Symptom.HELD_BACK:
            return "the exporter's own host is at fault"
    return seen


def because_of(outcome: Outcome, verdict: Verdict, grounds: Sequence[Fact]) -> str:
    """Return what shows a verdict, as a clause without a full stop; "" where its sentence says that."""
    tls = outcome.observed.tls
    if verdict is Verdict.PROVIDER_DOWN:
        # Our packets may not reach the server: others are reached.
        return Fact.SAME_PORT_UP.clause if Fact.SAME_PORT_UP in grounds else ""
    if verdict is Verdict.INTERCEPTED:
        if Fact.PRIVATE_ROOT in grounds:
            issuer = tls.issuer if tls else "an issuer that is not known"
            return f"the certificate is from {issuer}, whose root the public does not know"
        return outcome.summary if Fact.MUST_BE_PUBLIC in grounds else ""
    if verdict is Verdict.EXPORTER:
        if Fact.PUBLIC_ROOT in grounds:
            return "it does not trust a root that the public trusts: its list of authorities is old"
        if not grounds and symptom_of(outcome) is not Symptom.HELD_BACK:
            return outcome.summary
    if Fact.RESOLVER_LIES in grounds and verdict is Verdict.RESOLVER_FAILING:
        return f"{outcome.observed.address} is not public"
    if verdict is Verdict.UNKNOWN:
        nobody = "it is not known whose fault that is"
        found = _clauses(grounds, ", and yet ")
        return f"{nobody}, for the evidence contradicts itself: {found}" if grounds else nobody
    return _clauses(grounds)


def also_of(outcome: Outcome, verdict: Verdict, facts: Facts) -> str:
    """Return what else is known, as a clause: that the provider has an open incident; "" where nothing is."""
    if Fact.INCIDENT not in facts or verdict not in _OF_PROVIDER:
        return ""
    return f"{provider_of(outcome.target.endpoint.host)} has an open incident"


def observation_of(outcome: Outcome) -> str:
    """Return what the probe itself saw, as a sentence: of the connection, where TCP saw something."""
    if outcome.observed.tcp:
        return str(outcome.observed.tcp)
    seen = f"{server_of(outcome.target.endpoint)} {_behaviour(outcome)}."
    return f"{seen[0].upper()}{seen[1:]}"


def _clauses(grounds: Sequence[Fact], conjunction: str = " and ") -> str:
    return conjunction.join(fact.clause for fact in grounds if fact is not Fact.NO_NEUTRAL)


def _behaviour(outcome: Outcome) -> str:
    return symptom_of(outcome).words.format(summary=outcome.summary)
