"""The words of a verdict: one sentence for people."""

from __future__ import annotations

from collections.abc import Sequence

from exporter.model.outcome import Outcome
from exporter.model.reason import provider_of
from exporter.model.verdict import Verdict, server_of
from exporter.verdict.facts import Fact, Facts
from exporter.verdict.symptom import symptom_of

_REACHING = (Fact.NEUTRAL_UP, Fact.SAME_PORT_UP, Fact.WEB_UP, Fact.REFUSED_AT_WEB, Fact.CONNECTED)
"""Each of these shows that our network is fine."""

_OF_PROVIDER = (Verdict.PROVIDER_DOWN, Verdict.ADDRESS_DOWN, Verdict.UNKNOWN)
"""An incident may confirm these, and never acquits the provider."""


def sentence_of(outcome: Outcome, verdict: Verdict, facts: Facts, grounds: Sequence[Fact]) -> str:
    """Return a verdict as a clause without a full stop."""
    server = server_of(outcome.target.endpoint)
    seen = f"{server} {_behaviour(outcome)}"
    because = " and ".join(fact.clause for fact in grounds if fact is not Fact.NO_NEUTRAL)
    match verdict:
        case Verdict.PROVIDER_DOWN:
            return f"our network is fine, {seen}" if any(fact in facts for fact in _REACHING) else seen
        case Verdict.ADDRESS_DOWN:
            return f"{seen} at {outcome.observed.address} ({because})"
        case Verdict.PORT_BLOCKED:
            return f"port {outcome.target.endpoint.port} is blocked on the way to {server} ({because})"
        case Verdict.NETWORK_DOWN:
            return f"our network is down ({because})"
        case Verdict.RESOLVER_FAILING:
            return f"our resolver fails ({because})"
        case Verdict.INTERCEPTED:
            return f"something in between answers in place of {server} ({_interception(outcome, grounds)})"
        case Verdict.EXPORTER:
            return f"our own side is at fault ({because or outcome.summary})"
        case Verdict.UNKNOWN if because:
            return f"the evidence contradicts itself ({because}): {seen}"
        case Verdict.UNKNOWN:
            return f"whose fault it is is not known: {seen}"
    return seen


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


def _interception(outcome: Outcome, grounds: Sequence[Fact]) -> str:
    if Fact.PRIVATE_ROOT in grounds and outcome.observed.tls:
        return f"the certificate is from {outcome.observed.tls.issuer}, whose root the public does not know"
    return outcome.summary if Fact.MUST_BE_PUBLIC in grounds else " and ".join(fact.clause for fact in grounds)


def _behaviour(outcome: Outcome) -> str:
    return symptom_of(outcome).words.format(summary=outcome.summary)
