"""The judge: symptom and facts → verdict, by one table. It is a pure function, and never guesses.

The first row that holds decides; where none does, the verdict is `unknown`. So it is where two facts contradict each
other: one of them is not what it seems, and a verdict from the other one would be a guess.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from typing import NamedTuple

from exporter.model.outcome import Outcome
from exporter.model.verdict import Fact, Judgement, Verdict
from exporter.verdict.facts import Facts, facts_of
from exporter.verdict.sentences import also_of, because_of, observation_of, sentence_of
from exporter.verdict.symptom import AT_FAULT, CERTAIN, CONNECTED, TOLD, UNREACHED, Symptom, symptom_of

_ANY = frozenset(Symptom) - CERTAIN
_DATES = frozenset({Symptom.EXPIRED, Symptom.NOT_YET_VALID})
_REJECTED = frozenset({Symptom.REFUSED, Symptom.UNREACHABLE})

_LOCAL = (Fact.NO_ROUTE, Fact.NO_RESOLVER, Fact.PATH_SHORT, Fact.SEVERAL_DOWN)
"""Two of these show that the network is down, where no neutral control says anything."""


class Row(NamedTuple):
    """Where the probe has one of these symptoms and all of these facts hold, this is the verdict."""

    symptoms: frozenset[Symptom]
    facts: tuple[Fact, ...]
    verdict: Verdict


def _is(*symptoms: Symptom) -> frozenset[Symptom]:
    return frozenset(symptoms)


TABLE: tuple[Row, ...] = (
    # Without a descriptor nothing is looked at, and what else is known is old.
    Row(UNREACHED, (Fact.FILES_USED_UP,), Verdict.EXPORTER),
    Row(_is(Symptom.NOT_TRIED), (), Verdict.EXPORTER),
    # Whoever answers is not the server.
    Row(_ANY, (Fact.PORTAL,), Verdict.INTERCEPTED),
    Row(CONNECTED, (Fact.PRIVATE_ROOT,), Verdict.INTERCEPTED),
    Row(_is(Symptom.STRIPPED), (Fact.MUST_BE_PUBLIC,), Verdict.INTERCEPTED),
    # This host itself.
    Row(_DATES, (Fact.CLOCK_WRONG,), Verdict.EXPORTER),
    Row(_is(Symptom.UNTRUSTED), (Fact.PUBLIC_ROOT,), Verdict.EXPORTER),
    # This host itself refuses, whatever becomes of any network.
    Row(_is(Symptom.REFUSED), (Fact.ON_THIS_HOST,), Verdict.PROVIDER_DOWN),
    # Nothing at all can be reached.
    Row(UNREACHED, (Fact.NEUTRAL_DOWN,), Verdict.NETWORK_DOWN),
    Row(UNREACHED, (Fact.NEUTRAL_NEVER, Fact.NO_ROUTE), Verdict.NETWORK_DOWN),
    Row(UNREACHED, (Fact.NEUTRAL_NEVER, Fact.NO_RESOLVER), Verdict.NETWORK_DOWN),
    *(Row(UNREACHED, (Fact.NO_NEUTRAL, *two), Verdict.NETWORK_DOWN) for two in combinations(_LOCAL, 2)),
    # The name.
    Row(_is(Symptom.NAME), (Fact.RESOLVES_ELSEWHERE,), Verdict.RESOLVER_FAILING),
    Row(_is(Symptom.NAME), (Fact.NO_RESOLVER,), Verdict.RESOLVER_FAILING),
    Row(_ANY, (Fact.RESOLVER_LIES,), Verdict.RESOLVER_FAILING),
    # A connection was made, so our packets reach the server.
    Row(AT_FAULT, (Fact.OTHER_ADDRESSES,), Verdict.ADDRESS_DOWN),
    Row(AT_FAULT, (), Verdict.PROVIDER_DOWN),
    Row(_is(Symptom.ODD, Symptom.EXPIRED, Symptom.MISNAMED), (Fact.PUBLIC_ROOT,), Verdict.PROVIDER_DOWN),
    Row(_is(Symptom.NOT_YET_VALID), (Fact.PUBLIC_ROOT, Fact.CLOCK_RIGHT), Verdict.PROVIDER_DOWN),
    # No connection was made: who refuses, and what becomes of other ports and providers?
    Row(_REJECTED, (Fact.REFUSED_AT_WEB,), Verdict.PROVIDER_DOWN),
    Row(_REJECTED, (Fact.REFUSED_NEARER,), Verdict.PORT_BLOCKED),
    Row(_is(Symptom.UNANSWERED), (Fact.SAME_PORT_UP,), Verdict.PROVIDER_DOWN),
    Row(_is(Symptom.UNANSWERED), (Fact.SAME_PORT_DOWN,), Verdict.PORT_BLOCKED),
    Row(_is(Symptom.UNANSWERED), (Fact.BLOCKED_BEFORE_WEB,), Verdict.PORT_BLOCKED),
    Row(_is(Symptom.NO_ROUTE), (), Verdict.EXPORTER),
    # The reason says so itself.
    Row(_is(Symptom.ACCOUNT, Symptom.DOMAIN), (), Verdict.ACCOUNT),
    Row(_is(Symptom.TOKEN), (), Verdict.TOKEN),
    Row(_is(Symptom.EXPORTER, Symptom.HELD_BACK), (), Verdict.EXPORTER),
)

CONTRADICTIONS: tuple[tuple[Fact, Fact], ...] = (
    # No network, and yet something of it answers.
    (Fact.NEUTRAL_DOWN, Fact.CONNECTED),
    (Fact.NEUTRAL_DOWN, Fact.SAME_PORT_UP),
    (Fact.NEUTRAL_DOWN, Fact.WEB_UP),
    (Fact.NEUTRAL_DOWN, Fact.RESOLVES_ELSEWHERE),
    (Fact.NEUTRAL_DOWN, Fact.REFUSED_AT_WEB),
    (Fact.NEUTRAL_DOWN, Fact.BLOCKED_BEFORE_WEB),
    (Fact.NO_ROUTE, Fact.CONNECTED),
    (Fact.NO_ROUTE, Fact.NEUTRAL_UP),
    (Fact.NO_ROUTE, Fact.SAME_PORT_UP),
    (Fact.NO_ROUTE, Fact.WEB_UP),
    (Fact.NO_ROUTE, Fact.RESOLVES_ELSEWHERE),
    (Fact.NO_ROUTE, Fact.REFUSED_AT_WEB),
    (Fact.NO_ROUTE, Fact.BLOCKED_BEFORE_WEB),
    (Fact.PATH_SHORT, Fact.CONNECTED),
    # The port is blocked everywhere, and yet it answers.
    (Fact.SAME_PORT_DOWN, Fact.CONNECTED),
    (Fact.SAME_PORT_DOWN, Fact.REFUSED_AT_WEB),
    (Fact.SAME_PORT_UP, Fact.BLOCKED_BEFORE_WEB),
    # Somebody answers in the server's place, and yet the server itself does.
    (Fact.PORTAL, Fact.PUBLIC_ROOT),
    (Fact.RESOLVER_LIES, Fact.PUBLIC_ROOT),
)
"""Pairs of facts that do not hold together."""


_ROWS: Mapping[Symptom, Sequence[Row]] = {
    symptom: tuple(row for row in TABLE if symptom in row.symptoms) for symptom in Symptom
}
"""The rows of a symptom: with a thousand endpoints down, each of their probes is judged."""


def judge(outcome: Outcome) -> Judgement:
    """Return whose fault a failed probe is, from its reason and its evidence."""
    symptom, facts = symptom_of(outcome), facts_of(outcome)
    if symptom not in CERTAIN and (pair := contradiction(facts)):
        return _judgement(outcome, Verdict.UNKNOWN, facts, pair)
    for row in _ROWS[symptom]:
        if all(fact in facts for fact in row.facts):
            return _judgement(outcome, row.verdict, facts, row.facts)
    return _judgement(outcome, Verdict.UNKNOWN, facts, ())


def contradiction(facts: Facts) -> tuple[Fact, ...]:
    """Return the first two facts that contradict each other; none where they agree."""
    return next((pair for pair in CONTRADICTIONS if pair[0] in facts and pair[1] in facts), ())


def judged(outcome: Outcome) -> Outcome:
    """Return an Outcome with its judgement, where it failed."""
    return outcome if outcome.ok else replace(outcome, judgement=judge(outcome))


def told(before: Outcome | None, outcome: Outcome) -> Judgement:
    """Return what is told of a failed probe that follows `before`: a verdict is told once two probes in a row agree.

    Until then the last one of this outage stands, and `unknown` at its beginning. What the server or the reason itself
    says needs no second probe; the next one after a login makes none. Evidence that is not complete confirms nothing.
    """
    now = judge(outcome)
    if outcome.up or symptom_of(outcome) in CERTAIN or symptom_of(outcome) is Symptom.FAULT:
        return now
    if before is None or before.up or before.judgement is None:
        return now if now.verdict is Verdict.UNKNOWN else _unconfirmed(now)
    is_complete = all(each.evidence is None or not each.evidence.is_pending for each in (before, outcome))
    # One object for all failures of an outage that does not change: they are kept. The probe before is judged again
    # only where this one says something else.
    is_other = is_complete and before.judgement != now and judge(before).verdict is now.verdict
    return now if is_other else before.judgement


def _unconfirmed(found: Judgement) -> Judgement:
    because = "; ".join(filter(None, (found.because, "to be confirmed by the next probe")))
    return replace(found, verdict=Verdict.UNKNOWN, blame=Verdict.UNKNOWN.blame, because=because, grounds=())


def _judgement(outcome: Outcome, verdict: Verdict, facts: Facts, grounds: tuple[Fact, ...]) -> Judgement:
    """Return a verdict with its grounds; what agrees with it follows them."""
    says_so_itself = symptom_of(outcome) in TOLD
    ordered = dict.fromkeys((*grounds, *facts))
    return Judgement(
        verdict,
        outcome.reason.blame if says_so_itself else verdict.blame,
        sentence_of(outcome, verdict, facts, grounds),
        (observation_of(outcome), *(facts[fact] for fact in ordered if facts[fact])),
        also_of(outcome, verdict, facts),
        because_of(outcome, verdict, grounds),
        tuple(grounds),
    )
