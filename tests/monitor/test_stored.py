"""A series as a line of text, and back."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import pytest

from exporter.model.login import Denial
from exporter.model.outcome import Detail, Line, Outcome, Phase, Target
from exporter.model.reason import Blame, Reason
from exporter.model.settings import IpFamily, Protocol, Security
from exporter.model.verdict import Fact, Judgement, Verdict
from exporter.monitor.history import HISTORY, LAYOUT, History, Layout
from exporter.monitor.kept import FAILURES
from exporter.monitor.store import Condition, Past, Series
from exporter.monitor.stored import MAX_FAILURE, decode, encode, header, key_of, layout_of
from tests.examples import ACCOUNT, budgeted, failure, success, target

NOW = 1_700_000_000.0
LIMIT = 64 * 1024


def at(outcome: Outcome, seconds: float) -> Outcome:
    """The Outcome at another time."""
    return replace(outcome, started_at=NOW + seconds, ended_at=NOW + seconds + 0.25)


def series_of(*outcomes: Outcome, of: Target | None = None) -> Series:
    """A series with these Outcomes."""
    series = Series(of or target())
    for outcome in outcomes:
        series.add(outcome)
    return series


def fields_of(series: Series, limit: int = LIMIT) -> dict[str, Any]:
    """Its line."""
    line = encode(series, limit)
    assert line is not None
    assert "\n" not in line
    assert line.isascii()
    found: dict[str, Any] = json.loads(line)
    return found


def restored(fields: dict[str, Any], to: Target | None = None, now: float = NOW + 60) -> Past:
    """What the line says of the target."""
    past = decode(fields, LAYOUT, to or target(), now)
    assert past is not None
    return past


def test_nothing_to_store() -> None:
    """A target that was never probed has no line."""
    assert encode(Series(target()), LIMIT) is None


def test_round_trip() -> None:
    """History, failures with their dialogues, the condition and when it began."""
    said = (Line(0.1, "S", "* OK \U0001f525"), Line(0.2, "C", "1 CAPABILITY"), Line(0.3, "", "(gap)"))
    bad = replace(at(failure(), -50), dialogue=said)
    series = series_of(
        *(at(success(), -1000 + number) for number in range(20)), bad, at(success(), -20), at(success(), -9)
    )
    past = restored(fields_of(series))
    assert (past.condition, past.since, past.is_recent) == (Condition.UP, NOW - 20 + 0.25, True)
    assert list(History(past.records)) == list(series.history)
    [stored] = past.failures
    assert stored == replace(bad, not_kept=(Detail.CAPABILITIES, Detail.CERTIFICATES), observed=stored.observed)
    assert stored.summary == bad.summary


@pytest.mark.parametrize(
    ("outcomes", "condition"),
    [
        ([success()], Condition.UP),
        ([failure()], Condition.DOWN),
        ([failure(phase=Phase.LOGIN, reason=Reason.AUTH_INVALID_CREDENTIALS), success()], Condition.LOGIN),
        ([budgeted(success(), Denial.HOLD)], Condition.LOGIN),
    ],
)
def test_conditions(outcomes: list[Outcome], condition: Condition) -> None:
    """Each is stored."""
    assert restored(fields_of(series_of(*outcomes))).condition is condition


def test_what_was_restored_is_stored_again() -> None:
    """Also where no probe came between."""
    series = series_of(at(failure(), -50), at(success(), -20))
    before = fields_of(series)
    again = Series(target())
    again.restore(restored(before))
    assert fields_of(again) == {**before, "failures": fields_of(again)["failures"]}
    assert len(fields_of(again)["failures"]) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"host": "pop.gmail.com"},
        {"port": 143},
        {"protocol": Protocol.POP3},
        {"security": Security.STARTTLS},
        {"name": "another"},
        {"ip_family": IpFamily.IPV6},
    ],
)
def test_another_target_inherits_nothing(change: dict[str, Any]) -> None:
    """What is probed is another server, or another way to it."""
    fields = fields_of(series_of(at(failure(), -50)))
    assert decode(fields, LAYOUT, target(**{"name": "imap", **change}), NOW) is None


def test_the_same_target_with_other_settings_inherits() -> None:
    """How often it is probed, and its labels, change nothing of what was seen."""
    fields = fields_of(series_of(at(failure(), -50)))
    assert restored(fields, target(interval=60, labels={"tenant": "acme"}, account=ACCOUNT)).failures
    assert key_of(fields) == target().key


@pytest.mark.parametrize("limit", [600, 1000, 5000, 20_000, LIMIT])
def test_a_line_is_bounded(limit: int) -> None:
    """The newest probes come first, then the newest failures, then their dialogues."""
    said = tuple(Line(0.1, "S", "x" * 100) for _ in range(20))
    probes = [replace(at(failure(), -1000 + number), dialogue=said) for number in range(2 * HISTORY)]
    fields = fields_of(series_of(*probes), limit)
    assert len(json.dumps(fields)) <= limit
    past = restored(fields)
    starts = [entry.started_at for entry in History(past.records)]
    assert starts == [outcome.started_at for outcome in probes][len(probes) - len(starts) :]
    kept = [outcome.started_at for outcome in past.failures]
    assert kept == [outcome.started_at for outcome in probes][len(probes) - len(kept) :]
    assert len(starts) == HISTORY or len(kept) == 0
    assert len(kept) == FAILURES or limit < LIMIT


def test_a_long_dialogue_is_not_stored() -> None:
    """The failure is, and says so."""
    said = tuple(Line(0.1, "S", "x" * 500) for _ in range(30))
    [stored] = restored(fields_of(series_of(replace(at(failure(), -50), dialogue=said)))).failures
    assert [line.text for line in stored.dialogue] == ["(dialogue not kept over a restart: 30 lines)"]
    assert Detail.DIALOGUE in stored.not_kept
    assert MAX_FAILURE < 30 * 500


@pytest.mark.parametrize(("after", "interval", "recent"), [(60, 30, True), (4000, 30, False), (4000, 3600, True)])
def test_a_long_gap(after: float, interval: float, recent: bool) -> None:
    """After an hour without a probe, or three intervals, nobody knows whether the condition has lasted."""
    probed = target(interval=interval)
    fields = fields_of(series_of(at(success(probed), 0), of=probed))
    assert restored(fields, probed, NOW + after).is_recent is recent


def test_a_clock_that_is_not_set_yet() -> None:
    """A device without a battery starts in 1970: all that is stored is in its future, and right."""
    fields = fields_of(series_of(at(failure(), -50), at(success(), -20)))
    past = restored(fields, now=1000.0)
    assert len(History(past.records)) == 2
    assert (past.since, past.is_recent, len(past.failures)) == (NOW - 20 + 0.25, True, 1)


def test_times_that_have_not_come() -> None:
    """Of a clock that was wrong then, and is right now, nothing is believed."""
    fields = fields_of(series_of(at(failure(), 20 * 365 * 86400), at(success(), -20)))
    past = restored(fields)
    assert len(History(past.records)) == 1
    assert past.failures == []
    assert past.since <= NOW + 60


def test_another_version_with_other_phases_and_reasons() -> None:
    """What both know is converted by name; the rest is left out."""
    fields = fields_of(series_of(at(failure(reason=Reason.REFUSED), -50), at(success(), -20)))
    layout = layout_of(header())
    assert layout == LAYOUT
    # The numbers of the file mean other phases and reasons: as if two had changed places, and one did not exist here.
    names = list(LAYOUT.reasons)
    names[LAYOUT.reasons.index("refused")] = "of_a_later_version"
    past = decode(fields, Layout(LAYOUT.phases, tuple(names)), target(), NOW + 60)
    assert past is not None
    assert [entry.reason for entry in History(past.records)] == [Reason.OK]
    phases = list(LAYOUT.phases)
    phases[0], phases[1] = phases[1], phases[0]
    past = decode(fields, Layout(tuple(phases), LAYOUT.reasons), target(), NOW + 60)
    assert past is not None
    *_, last = History(past.records)
    assert last.phases[Phase.RESOLVE] == pytest.approx(success().phases[Phase.CONNECT])


@pytest.mark.parametrize(
    "change",
    [
        {"history": "not base64!"},
        {"history": "AAAA"},
        {"history": None},
        {"condition": "sideways"},
        {"failures": None},
        {"failures": [{}]},
        {"failures": [7]},
    ],
)
def test_a_line_that_cannot_be_read(change: dict[str, object]) -> None:
    """It is told as one of a few kinds of errors."""
    fields = fields_of(series_of(at(failure(), -50)))
    with pytest.raises((ValueError, TypeError, LookupError, AttributeError, Exception)) as error:
        restored({**fields, **change})
    assert not isinstance(error.value, AssertionError)


@pytest.mark.parametrize("since", [None, "yesterday", -1, math.inf, math.nan, 1e300])
def test_a_beginning_that_is_no_time(since: object) -> None:
    """The condition begins again."""
    past = restored({**fields_of(series_of(at(failure(), -50))), "since": since})
    assert not past.is_recent


def test_odd_numbers_and_texts_of_a_changed_file() -> None:
    """They are left out, or made safe to show: they break no chart and no page."""
    series = series_of(at(failure(), -50))
    [bad] = fields_of(series)["failures"]
    odd = [
        {**bad, "phases": {"connect": -1}},
        {**bad, "phases": {"connect": math.inf}},
        {**bad, "phases": {"of_a_later_version": 1}},
        {**bad, "reason": "ok"},
        {**bad, "reason": "of_a_later_version"},
        {**bad, "started_at": "yesterday"},
        {**bad, "detail": "\x1b[31m\u202e" + 1000 * "x", "dialogue": [[0.1, "X", "\x00"], [-1, "S", "no"]]},
    ]
    past = restored({**fields_of(series), "failures": odd})
    [stored] = past.failures
    assert stored.detail.startswith("\ufffd[31m\ufffdxxx")
    assert len(stored.detail) == 512
    assert stored.dialogue == (Line(0.1, "", "\ufffd"),)


def test_a_judgement() -> None:
    """It is stored with its grounds; where this version does not know its verdict, the failure is there without it."""
    judgement = Judgement(
        Verdict.PORT_BLOCKED, Blame.NETWORK, "port 993 is blocked", ("One.", "Two."), "more", "others answer"
    )
    judgement = replace(judgement, grounds=(Fact.REFUSED_NEARER,))
    fields = fields_of(series_of(at(replace(failure(), judgement=judgement), 0)))
    assert [outcome.judgement for outcome in restored(fields).failures] == [judgement]
    fields["failures"][0]["judgement"]["grounds"].append("a fact of a later version")
    assert [outcome.judgement for outcome in restored(fields).failures] == [judgement]
    for name in ("because", "grounds"):  # of a version before them
        del fields["failures"][0]["judgement"][name]
    before = replace(judgement, because="", grounds=())
    assert [outcome.judgement for outcome in restored(fields).failures] == [before]
    fields["failures"][0]["judgement"]["verdict"] = "aliens"
    assert [outcome.judgement for outcome in restored(fields).failures] == [None]
    del fields["failures"][0]["judgement"]
    assert [outcome.judgement for outcome in restored(fields).failures] == [None]
