"""The state of each target, and one sentence that sums up all of them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from exporter.model.enumeration import TableEnum
from exporter.model.outcome import Outcome, Phase
from exporter.model.reason import Blame, Reason, provider_of
from exporter.model.verdict import Verdict, server_of
from exporter.monitor.health import is_overdue
from exporter.monitor.store import Series
from exporter.views.times import clock


class State(TableEnum):
    """The state of a target, the worst first. `label` is the state for people."""

    label: str

    DOWN = "down", "Down"
    LOGIN = "login", "Up, account problem"
    OVERDUE = "overdue", "Overdue"
    PENDING = "pending", "Not probed yet"
    UP = "up", "Up"


MAX_NAMES = 3
"""Endpoints that the sentence names for one problem, and problems that it names; more are counted."""


def state_of(series: Series) -> State:
    """Return the state of a target."""
    if is_overdue(series):
        return State.OVERDUE  # whatever its state was at the last probe, it is not known now
    return State(series.condition) if series.condition else State.PENDING


def account_problem(series: Series) -> str:
    """Return what is wrong with the account of a target that is up; empty where nothing is."""
    phases = {outcome.phase for outcome in series.failing}
    if not phases:
        return "logins held back" if series.suspended else ""
    return "folders failing" if phases == {Phase.FOLDERS} else "login failing"


_ProblemKey = tuple[Phase, Reason, Verdict | None, Blame, str, str]


def _problem_key(failure: Outcome) -> _ProblemKey:
    return failure.phase, failure.reason, failure.verdict, failure.blame, failure.summary, failure.blame_label


@dataclass(slots=True)
class Problem:
    """The failures of one or more targets that have phase, reason, verdict, blame and summary in common."""

    outcomes: list[Outcome] = field(default_factory=list)
    since: float = math.inf
    """When the first of these targets went down or began to fail, in Unix seconds."""

    @property
    def first(self) -> Outcome:
        """The failure of the first of the targets."""
        return self.outcomes[0]

    @property
    def anchor(self) -> str:
        """The anchor of the problem on the page."""
        first, protocol = self.first, self.first.target.endpoint.protocol
        by_protocol = f"-{protocol}" if protocol.upper() in first.summary else ""
        return f"problem-{first.phase}-{first.reason}-{first.blame}{by_protocol}"

    @property
    def details(self) -> list[tuple[str, int]]:
        """The texts of the servers with their counts, the most frequent first."""
        return Counter(outcome.detail for outcome in self.outcomes if outcome.detail).most_common(MAX_NAMES)


class Sentence(NamedTuple):
    """One sentence in three parts: how many are up, a separator, and the rest."""

    lead: str
    separator: str = ""
    rest: str = ""

    def __str__(self) -> str:
        return f"{self.lead}{self.separator}{self.rest}."


@dataclass(frozen=True, slots=True)
class Overview:
    """All targets in numbers."""

    counts: Counter[State]
    problems: Sequence[Problem]
    sentence: Sentence
    worst: State
    by_key: Mapping[_ProblemKey, Problem]

    def shared_problem(self, failure: Outcome) -> Problem | None:
        """Return the problem of several targets that a failure belongs to; None where it is alone."""
        problem = self.by_key.get(_problem_key(failure))
        return problem if problem and len(problem.outcomes) > 1 else None


def overview(all_series: Iterable[Series]) -> Overview:
    """Count the targets by state, and the failures by what they have in common; the most frequent problem first."""
    by_state: dict[State, list[str]] = {state: [] for state in State}
    is_google = True
    problems: dict[_ProblemKey, Problem] = {}
    held: dict[str, list[str]] = {}
    for series in all_series:
        state = state_of(series)
        by_state[state].append(series.target.name)
        is_google = is_google and series.target.endpoint.is_google
        for outcome in series.failing if state in (State.DOWN, State.LOGIN) else ():
            problem = problems.setdefault(_problem_key(outcome), Problem())
            problem.outcomes.append(outcome)
            problem.since = min(problem.since, outcome.ended_at if series.since is None else series.since)
        if state is State.LOGIN and series.suspended and not any(series.failing):
            held.setdefault(series.held, []).append(series.target.name)
    ordered = sorted(problems.values(), key=lambda problem: (problem.first.up, -len(problem.outcomes)))
    worst = next((state for state in State if by_state[state]), State.PENDING)
    counts = Counter({state: len(names) for state, names in by_state.items()})
    sentence = _sentence(by_state, ordered, held, is_google=is_google)
    return Overview(counts, ordered, sentence, worst, problems)


def _sentence(
    by_state: Mapping[State, Sequence[str]],
    problems: Sequence[Problem],
    held: Mapping[str, Sequence[str]],
    *,
    is_google: bool,
) -> Sentence:
    names = [name for of_state in by_state.values() for name in of_state]
    down, total = len(by_state[State.DOWN]), len(names)
    if 0 < down == total and len(problems) == 1 and is_google:
        return Sentence("Gmail does not answer", ": ", _cause(problems[0]))
    if total < 2:
        return _sentence_of_few(names, by_state, problems, held)
    if down == total and len(problems) == 1:
        return Sentence(f"All {total:,} endpoints are down", ": ", _cause(problems[0]))
    if down > MAX_NAMES and len(problems) == 1:
        rest = "; ".join([_cause(problems[0]), *_not_known(by_state, total)])
        return Sentence(f"{down:,} of {total:,} endpoints are down", ": ", rest)
    causes = [
        f"{_names([outcome.target.name for outcome in problem.outcomes])}: {_cause(problem)}"
        for problem in problems[:MAX_NAMES]
    ]
    if (more := len(problems) - MAX_NAMES) > 0:
        causes.append(f"and {more} more {'problem' if more == 1 else 'problems'}")
    held_back = [f"{_names(of_text)}: {_held(why)}" for why, of_text in held.items()]
    rest = "; ".join([*causes, *held_back, *_not_known(by_state, total)])
    return Sentence(_lead(by_state, total), "; " if rest else "", rest)


def _sentence_of_few(
    names: Sequence[str],
    by_state: Mapping[State, Sequence[str]],
    problems: Sequence[Problem],
    held: Mapping[str, Sequence[str]],
) -> Sentence:
    """The sentence where there is one endpoint, or none."""
    if not names:
        return Sentence("No endpoint is configured")
    if by_state[State.PENDING]:
        return Sentence(f"{names[0]} has not been probed yet")
    if by_state[State.OVERDUE]:
        return Sentence(f"{names[0]} was not probed in time")
    cause = "; ".join([*map(_cause, problems), *map(_held, held)])
    if by_state[State.DOWN]:
        return Sentence(f"{names[0]} is down", ": ", cause)
    return Sentence(f"{names[0]} is up", ", but " if cause else "", cause)


def _held(why: str) -> str:
    """Why there are no logins, where none has failed."""
    return f"logins are held back ({why})"


def _lead(by_state: Mapping[State, Sequence[str]], total: int) -> str:
    up = len(by_state[State.UP]) + len(by_state[State.LOGIN])
    if len(by_state[State.PENDING]) == total:
        return f"None of the {total:,} endpoints has been probed yet"
    if up == total:
        return f"All {total:,} endpoints are up"
    if up == 0:
        return f"None of the {total:,} endpoints is up"
    return f"{up:,} of {total:,} endpoints {'is' if up == 1 else 'are'} up"


def _not_known(by_state: Mapping[State, Sequence[str]], total: int) -> list[str]:
    """The endpoints whose present state is not known."""
    overdue, pending = by_state[State.OVERDUE], by_state[State.PENDING]
    rest = []
    if overdue:
        rest.append(f"{_names(overdue)} {'was' if len(overdue) == 1 else 'were'} not probed in time")
    if pending and len(pending) < total:
        rest.append(f"{_names(pending)} {'has' if len(pending) == 1 else 'have'} not been probed yet")
    return rest


def _names(names: Sequence[str]) -> str:
    if len(names) > MAX_NAMES:
        return f"{len(names):,} endpoints"
    return f"{', '.join(names[:-1])} and {names[-1]}" if names[1:] else names[0]


def _cause(problem: Problem) -> str:
    """Why they fail: the verdict on an outage, since when; else the summary, with the party unless it is named there.

    Where different servers have one verdict, the provider stands for them.
    """
    first, judgement = problem.first, problem.first.judgement
    if first.up or judgement is None:
        summary, party = first.summary, first.blame_label
        return summary if party in summary else f"{summary} ({party})"
    servers = {server_of(outcome.target.endpoint) for outcome in problem.outcomes}
    sentence = judgement.sentence
    if len(servers) > 1:
        sentence = sentence.replace(server_of(first.target.endpoint), provider_of(first.target.endpoint.host))
    also = f"; {judgement.also}" if judgement.also else ""
    return f"{sentence} since {clock(problem.since)} UTC{also}"
