"""What state each target is in, and one sentence that sums all of them up."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from exporter.model.outcome import Outcome, Phase
from exporter.model.reason import Blame, Reason
from exporter.monitor.schedule import OVERDUE
from exporter.monitor.store import Series
from exporter.views.words import says


class State(StrEnum):
    """The state of a target, the worst first."""

    DOWN = "down"
    LOGIN = "login"
    OVERDUE = "overdue"
    PENDING = "pending"
    UP = "up"


STATES: Mapping[State, str] = {
    State.DOWN: "Down",
    State.LOGIN: "Up, login failing",
    State.OVERDUE: "Overdue",
    State.PENDING: "Not probed yet",
    State.UP: "Up",
}

WHOSE: Mapping[Blame, str] = {
    Blame.PROVIDER: "mail server",
    Blame.NETWORK: "network",
    Blame.ACCOUNT: "account",
    Blame.TOKEN: "OAuth grant",
    Blame.CLIENT: "this exporter",
}
"""Whose fault it is, in a word or two."""

NAMED = 3
"""Endpoints that the sentence names for one problem, and problems that it names; more are counted."""


def state_of(series: Series, now: float) -> State:
    """Return the state of a target at `now` in Unix seconds."""
    if series.last is None:
        return State.PENDING
    endpoint = series.target.endpoint
    if now - series.last.ended_at > endpoint.interval + endpoint.timeout + OVERDUE:
        return State.OVERDUE  # whatever it was then, nobody knows what it is now
    if not series.last.up:
        return State.DOWN
    return State.LOGIN if series.suspended or any(series.failing) else State.UP


def word_of(series: Series, state: State) -> str:
    """Return the state in words."""
    if state is State.LOGIN:
        phases = {outcome.phase for outcome in series.failing}
        if not phases:
            return "Up, logins held back"
        if phases == {Phase.FOLDERS}:
            return "Up, folders failing"
    return STATES[state]


@dataclass(slots=True)
class Problem:
    """A failure that one or more targets have at the moment."""

    phase: Phase
    reason: Reason
    blame: Blame
    words: str
    outcomes: list[Outcome] = field(default_factory=list)

    @property
    def anchor(self) -> str:
        """Its place on the page."""
        protocol = self.outcomes[0].target.endpoint.protocol
        return f"problem-{self.phase}-{self.reason}-{self.blame}" + (
            f"-{protocol}" if protocol.upper() in self.words else ""
        )

    @property
    def details(self) -> list[tuple[str, int]]:
        """What the servers said, the most frequent first, with how many said so."""
        return Counter(outcome.detail for outcome in self.outcomes if outcome.detail).most_common(NAMED)


class Sentence(NamedTuple):
    """One sentence in three parts: how many are up, and what else there is to say."""

    lead: str
    joint: str = ""
    rest: str = ""

    def __str__(self) -> str:
        return f"{self.lead}{self.joint}{self.rest}."


@dataclass(frozen=True, slots=True)
class Overview:
    """All targets in numbers."""

    counts: Counter[State]
    problems: Sequence[Problem]
    sentence: Sentence
    worst: State


def overview(all_series: Iterable[Series], now: float | None = None) -> Overview:
    """Count the targets by state, and what fails by phase, reason and blame; the most frequent problem first."""
    by_state: dict[State, list[str]] = {state: [] for state in State}
    problems: dict[tuple[Phase, Reason, Blame, str], Problem] = {}
    now = time.time() if now is None else now
    for series in all_series:
        state = state_of(series, now)
        by_state[state].append(series.target.name)
        for outcome in series.failing if state in (State.DOWN, State.LOGIN) else ():
            key = outcome.phase, outcome.reason, outcome.blame, says(outcome)
            problems.setdefault(key, Problem(*key)).outcomes.append(outcome)
    ordered = sorted(problems.values(), key=lambda problem: (problem.outcomes[0].up, -len(problem.outcomes)))
    worst = next((state for state in State if by_state[state]), State.PENDING)
    counts = Counter({state: len(names) for state, names in by_state.items()})
    return Overview(counts, ordered, _sentence(by_state, ordered), worst)


def _sentence(by_state: Mapping[State, Sequence[str]], problems: Sequence[Problem]) -> Sentence:
    names = [name for of_state in by_state.values() for name in of_state]
    down, total = len(by_state[State.DOWN]), len(names)
    if total < 2:
        return _of_few(names, by_state, problems)
    if down == total and len(problems) == 1:
        return Sentence(f"All {total:,} endpoints are down", ": ", _why(problems[0]))
    if down > NAMED and len(problems) == 1:
        rest = "; ".join([_why(problems[0]), *_unknown(by_state, total)])
        return Sentence(f"{down:,} of {total:,} endpoints are down", ": ", rest)
    told = [f"{_named(list(map(_name, problem.outcomes)))}: {_why(problem)}" for problem in problems[:NAMED]]
    if (more := len(problems) - NAMED) > 0:
        told.append(f"and {more} more {'problem' if more == 1 else 'problems'}")
    rest = "; ".join([*told, *_unknown(by_state, total)])
    return Sentence(_lead(by_state, total), "; " if rest else "", rest)


def _of_few(names: Sequence[str], by_state: Mapping[State, Sequence[str]], problems: Sequence[Problem]) -> Sentence:
    """The sentence where there is one endpoint, or none."""
    if not names:
        return Sentence("No endpoint is configured")
    if by_state[State.PENDING]:
        return Sentence(f"{names[0]} has not been probed yet")
    if by_state[State.OVERDUE]:
        return Sentence(f"{names[0]} was not probed in time")
    why = "; ".join(map(_why, problems))
    if by_state[State.DOWN]:
        return Sentence(f"{names[0]} is down", ": ", why)
    return Sentence(f"{names[0]} is up", ", but " if why else "", why)


def _lead(by_state: Mapping[State, Sequence[str]], total: int) -> str:
    up = len(by_state[State.UP]) + len(by_state[State.LOGIN])
    if len(by_state[State.PENDING]) == total:
        return f"None of the {total:,} endpoints has been probed yet"
    if up == total:
        return f"All {total:,} endpoints are up"
    if up == 0:
        return f"None of the {total:,} endpoints is up"
    return f"{up:,} of {total:,} endpoints {'is' if up == 1 else 'are'} up"


def _unknown(by_state: Mapping[State, Sequence[str]], total: int) -> list[str]:
    """Of which nobody knows whether they are up."""
    overdue, pending = by_state[State.OVERDUE], by_state[State.PENDING]
    rest = []
    if overdue:
        rest.append(f"{_named(overdue)} {'was' if len(overdue) == 1 else 'were'} not probed in time")
    if pending and len(pending) < total:
        rest.append(f"{_named(pending)} {'has' if len(pending) == 1 else 'have'} not been probed yet")
    return rest


def _named(names: Sequence[str]) -> str:
    if len(names) > NAMED:
        return f"{len(names):,} endpoints"
    return f"{', '.join(names[:-1])} and {names[-1]}" if names[1:] else names[0]


def _why(problem: Problem) -> str:
    # Where the words name the party, they need not name it again.
    whose = WHOSE[problem.blame]
    return problem.words if whose in problem.words else f"{problem.words} ({whose})"


def _name(outcome: Outcome) -> str:
    return outcome.target.name
