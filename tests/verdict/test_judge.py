"""The table of verdicts: row by row, and every pair of facts that contradict each other."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from exporter.model.evidence import Evidence
from exporter.model.outcome import Outcome, Phase
from exporter.model.reason import Blame, Reason
from exporter.model.verdict import Fact, Judgement, Verdict
from exporter.verdict import judge as judging
from exporter.verdict.facts import Facts
from exporter.verdict.judge import CONTRADICTIONS, TABLE, Row, judge, judged, told
from exporter.verdict.symptom import CERTAIN, CONNECTED, TOLD, Symptom, symptom_of, symptom_of_pair
from tests.examples import failure, success

PAIRS: dict[Symptom, tuple[Phase, Reason]] = {}
for _phase in Phase:
    for _reason in Reason:
        if _reason is not Reason.OK:
            PAIRS.setdefault(symptom_of_pair(_phase, _reason), (_phase, _reason))
"""A phase and a reason for each symptom."""


def of_symptom(symptom: Symptom) -> Outcome:
    """A failed probe with this symptom."""
    return failure(None, *PAIRS[symptom])


def all_facts(symptom: Symptom, *facts: Fact) -> Facts:
    """These facts, and those that the symptom brings with it."""
    with_symptom = {*facts, *((Fact.CONNECTED,) if symptom in CONNECTED else ())}
    if not with_symptom & {Fact.NEUTRAL_UP, Fact.NEUTRAL_DOWN}:
        with_symptom.add(Fact.NO_NEUTRAL)
    return {fact: f"{fact.clause}." for fact in Fact if fact in with_symptom}


def verdict_of(monkeypatch: pytest.MonkeyPatch, symptom: Symptom, *facts: Fact) -> Verdict:
    """The verdict of a symptom with these facts."""
    monkeypatch.setattr(judging, "facts_of", lambda _outcome: all_facts(symptom, *facts))
    return judge(of_symptom(symptom)).verdict


@pytest.mark.parametrize(
    ("row", "symptom"), [(row, symptom) for row in TABLE for symptom in Symptom if symptom in row.symptoms]
)
def test_row(monkeypatch: pytest.MonkeyPatch, row: Row, symptom: Symptom) -> None:
    """With its facts alone, a row decides."""
    assert verdict_of(monkeypatch, symptom, *row.facts) is row.verdict


@pytest.mark.parametrize("row", TABLE)
def test_row_needs_all_of_its_facts(monkeypatch: pytest.MonkeyPatch, row: Row) -> None:
    """Without one of them it does not decide, whatever weaker row then does."""
    for symptom in row.symptoms - {each for other in TABLE if not other.facts for each in other.symptoms}:
        for missing in set(row.facts) - {Fact.NO_NEUTRAL, Fact.CONNECTED}:
            rest = [fact for fact in row.facts if fact is not missing]
            assert verdict_of(monkeypatch, symptom, *rest) is not row.verdict


def test_no_descriptor(monkeypatch: pytest.MonkeyPatch) -> None:
    """It explains all else: what was seen of others was seen before."""
    for symptom in (Symptom.NAME, Symptom.NOT_TRIED):
        facts = Fact.FILES_USED_UP, Fact.PORTAL, Fact.NEUTRAL_DOWN
        assert verdict_of(monkeypatch, symptom, *facts) is Verdict.EXPORTER


@pytest.mark.parametrize("pair", CONTRADICTIONS)
@pytest.mark.parametrize("symptom", sorted(set(Symptom) - CERTAIN))
def test_contradiction(monkeypatch: pytest.MonkeyPatch, pair: tuple[Fact, Fact], symptom: Symptom) -> None:
    """Two facts that contradict each other make the verdict unknown, whatever else is known."""
    if Fact.CONNECTED in pair and symptom not in CONNECTED:
        return
    assert verdict_of(monkeypatch, symptom, *pair) is Verdict.UNKNOWN
    others = [fact for fact in Fact if fact not in (Fact.CONNECTED, Fact.NO_NEUTRAL)]
    assert verdict_of(monkeypatch, symptom, *pair, *others) is Verdict.UNKNOWN


def test_facts_of_different_verdicts_contradict_each_other_or_one_comes_first() -> None:
    """No order of rows hides that two of them accuse different parties without a connection: each such pair is listed.

    What stands further up in the table explains what stands below it: a network that is down, for example, is also why
    no port answers.
    """
    listed = {frozenset(pair) for pair in CONTRADICTIONS}
    accusing = [row for row in TABLE if len(row.facts) == 1 and Symptom.UNANSWERED in row.symptoms]
    to_provider = [row.facts[0] for row in accusing if row.verdict is Verdict.PROVIDER_DOWN]
    to_port = [row.facts[0] for row in accusing if row.verdict is Verdict.PORT_BLOCKED]
    exclusive = frozenset({Fact.SAME_PORT_UP, Fact.SAME_PORT_DOWN})
    for provider in to_provider:
        for port in to_port:
            assert frozenset({provider, port}) in listed | {exclusive}


@pytest.mark.parametrize("symptom", sorted(TOLD))
def test_the_reason_says_so_itself(monkeypatch: pytest.MonkeyPatch, symptom: Symptom) -> None:
    """No evidence changes its verdict, and its own blame counts."""
    outcome = of_symptom(symptom)
    expected = judge(outcome)
    assert expected.blame is outcome.reason.blame
    monkeypatch.setattr(judging, "facts_of", lambda _outcome: dict.fromkeys(Fact, "x"))
    assert judge(outcome).verdict is expected.verdict


@pytest.mark.parametrize("reason", [reason for reason in Reason if reason is not Reason.OK])
def test_every_pair_of_phase_and_reason_has_a_judgement(reason: Reason) -> None:
    """Without any evidence; its texts are whole, and `unknown` is the blame of nothing but itself."""
    for phase in Phase:
        judgement = judge(failure(None, phase, reason))
        assert (judgement.verdict is Verdict.UNKNOWN) is (judgement.blame is Blame.UNKNOWN)
        for text in (judgement.sentence, judgement.because, *judgement.facts):
            assert text or text is judgement.because
            assert not re.search(r"\b(\w+) \1\b", text)
            assert "{" not in text
        assert not judgement.sentence.endswith(".")
        assert all(fact.endswith((".", ")")) for fact in judgement.facts)


WITHOUT_EVIDENCE = {
    Symptom.SILENT: Verdict.PROVIDER_DOWN,
    Symptom.CLOSED: Verdict.PROVIDER_DOWN,
    Symptom.FAULT: Verdict.PROVIDER_DOWN,
    Symptom.NO_ROUTE: Verdict.EXPORTER,
    Symptom.STRIPPED: Verdict.INTERCEPTED,  # at a host of Google's
    Symptom.NOT_TRIED: Verdict.EXPORTER,
    Symptom.HELD_BACK: Verdict.EXPORTER,
    Symptom.ACCOUNT: Verdict.ACCOUNT,
    Symptom.DOMAIN: Verdict.ACCOUNT,
    Symptom.TOKEN: Verdict.TOKEN,
    Symptom.EXPORTER: Verdict.EXPORTER,
}


@pytest.mark.parametrize("symptom", Symptom)
def test_without_evidence(symptom: Symptom) -> None:
    """A connection that was made proves that our packets reach the server; without one, nothing is known."""
    assert judge(of_symptom(symptom)).verdict is WITHOUT_EVIDENCE.get(symptom, Verdict.UNKNOWN)


def test_judged() -> None:
    """A success has no judgement."""
    assert judged(success()).judgement is None
    bare = replace(failure(), judgement=None)
    assert judged(bare).judgement == judge(bare)


class TestTold:
    """A verdict is told once two probes in a row agree."""

    SILENT = of_symptom(Symptom.SILENT)  # provider_down
    UNANSWERED = of_symptom(Symptom.UNANSWERED)  # unknown
    NO_ROUTE = of_symptom(Symptom.NO_ROUTE)  # exporter

    def told(self, *outcomes: Outcome) -> list[Verdict]:
        """What is told of each of these, in order."""
        before: Outcome | None = None
        verdicts = []
        for outcome in outcomes:
            if not outcome.ok:
                outcome = replace(outcome, judgement=told(before, outcome))  # noqa: PLW2901
                verdicts.append(outcome.verdict or Verdict.UNKNOWN)
            before = outcome
        return verdicts

    def test_twice(self) -> None:
        """At the beginning of an outage it is unknown."""
        assert self.told(self.SILENT, self.SILENT) == [Verdict.UNKNOWN, Verdict.PROVIDER_DOWN]
        assert told(None, self.SILENT).because == "to be confirmed by the next probe"

    def test_it_does_not_flicker(self) -> None:
        """One probe that says something else changes nothing; two do."""
        once = (self.SILENT, self.SILENT, self.UNANSWERED, self.SILENT, self.SILENT)
        assert self.told(*once) == [Verdict.UNKNOWN, *[Verdict.PROVIDER_DOWN] * 4]
        outcomes = (self.SILENT, self.SILENT, self.NO_ROUTE, self.NO_ROUTE, self.UNANSWERED, self.UNANSWERED)
        provider, exporter = Verdict.PROVIDER_DOWN, Verdict.EXPORTER
        assert self.told(*outcomes) == [Verdict.UNKNOWN, provider, provider, exporter, exporter, Verdict.UNKNOWN]

    def test_each_outage_by_itself(self) -> None:
        """A probe that succeeds ends it."""
        assert self.told(self.SILENT, success(), self.SILENT) == [Verdict.UNKNOWN, Verdict.UNKNOWN]

    @pytest.mark.parametrize("symptom", sorted({*CERTAIN, Symptom.FAULT}))
    def test_at_once(self, symptom: Symptom) -> None:
        """What the server or the reason itself says needs no second probe."""
        outcome = of_symptom(symptom)
        assert told(None, outcome) == judge(outcome)

    def test_one_object_for_an_outage(self) -> None:
        """Failures are kept, and what is told of each is the same."""
        first = replace(self.SILENT, judgement=told(None, self.SILENT))
        second = replace(self.SILENT, judgement=told(first, self.SILENT))
        assert told(second, self.SILENT) is second.judgement

    def test_a_probe_is_judged_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """In an outage that does not change: with a thousand endpoints down, judging costs as much as all else."""
        first = replace(self.SILENT, judgement=told(None, self.SILENT))
        second = replace(self.SILENT, judgement=told(first, self.SILENT))
        judged_now: list[Outcome] = []

        def noted(outcome: Outcome) -> Judgement:
            judged_now.append(outcome)
            return judge(outcome)

        monkeypatch.setattr(judging, "judge", noted)
        assert told(second, self.SILENT) is second.judgement
        assert judged_now == [self.SILENT]

    def test_incomplete_evidence_confirms_nothing(self) -> None:
        """It may be what is still gathered that shows the cause."""
        pending = replace(self.SILENT, evidence=Evidence(is_pending=True))
        verdicts = self.told(pending, pending, self.SILENT, self.SILENT)
        assert verdicts == [*[Verdict.UNKNOWN] * 3, Verdict.PROVIDER_DOWN]

    def test_a_login(self) -> None:
        """The next probe makes none, so that there is nothing to wait for."""
        outcome = failure(phase=Phase.LOGIN, reason=Reason.TIMEOUT)
        assert symptom_of(outcome) is Symptom.SILENT
        assert told(success(), outcome).verdict is Verdict.PROVIDER_DOWN


def test_grounds_come_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was seen, then what the verdict rests on, then what agrees with it."""
    facts = {Fact.WEB_UP: "The web answered.", Fact.SAME_PORT_UP: "Another provider answered.", Fact.INCIDENT: "One."}
    monkeypatch.setattr(judging, "facts_of", lambda _outcome: facts)
    assert judge(of_symptom(Symptom.UNANSWERED)) == Judgement(
        Verdict.PROVIDER_DOWN,
        Blame.PROVIDER,
        "Google's IMAP does not answer connection requests",
        (
            "Google's IMAP does not answer connection requests.",
            "Another provider answered.",
            "The web answered.",
            "One.",
        ),
        "Google has an open incident",
        "the same port answers at another provider",
        (Fact.SAME_PORT_UP,),
    )
