"""The state of each target, and one sentence that sums up all of them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from exporter.model.enumeration import TableEnum
from exporter.model.outcome import Outcome, Phase
from exporter.model.reason import Blame, Reason, provider_of
from exporter.model.verdict import Judgement, Verdict, server_of
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


_OURS = frozenset(
    {Verdict.NETWORK_DOWN, Verdict.PORT_BLOCKED, Verdict.RESOLVER_FAILING, Verdict.INTERCEPTED, Verdict.EXPORTER}
)

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

    @property
    def judgement(self) -> Judgement | None:
        """The verdict on an outage, with the words for all of its servers and ports; None where there is none."""
        return _Fault([self]).judgement


class Sentence(NamedTuple):
    """One sentence in three parts: how many are up, a separator, and the rest."""

    lead: str
    separator: str = ""
    rest: str = ""

    def __str__(self) -> str:
        return f"{self.lead}{self.separator}{self.rest}."


@dataclass(slots=True)
class _Fault:
    """Problems that are one for people: the same is told of them."""

    problems: list[Problem]

    @property
    def names(self) -> list[str]:
        return [outcome.target.name for problem in self.problems for outcome in problem.outcomes]

    @property
    def first(self) -> Outcome:
        """The failure that is told of: one with a verdict, where there is one."""
        return min(self.problems, key=lambda problem: problem.first.verdict in (None, Verdict.UNKNOWN)).first

    @property
    def since(self) -> str:
        """Since when, as it follows a clause."""
        return f" since {clock(min(problem.since for problem in self.problems))} UTC"

    @property
    def judgement(self) -> Judgement | None:
        """The verdict on an outage, with the words for all of its servers and ports; None where there is none.

        Where different servers have one verdict, the provider stands for them.
        """
        first, judgement = self.first, self.first.judgement
        if first.up or judgement is None:
            return None
        endpoint, sentence = first.target.endpoint, judgement.sentence
        others = [outcome.target.endpoint for problem in self.problems for outcome in problem.outcomes]
        if len({server_of(other) for other in others}) > 1:
            sentence = sentence.replace(server_of(endpoint), provider_of(endpoint.host))
        if len(ports := sorted({other.port for other in others})) > 1:
            ports_are = f"ports {', '.join(map(str, ports[:-1]))} and {ports[-1]} are blocked"
            sentence = sentence.replace(f"port {endpoint.port} is blocked", ports_are)
        return replace(judgement, sentence=sentence)

    @property
    def is_ours(self) -> bool:
        """Whether the fault is on our side of the provider: then it is told first."""
        first = self.first
        return not first.up and first.verdict in _OURS and first.blame is first.verdict.blame


@dataclass(frozen=True, slots=True)
class Overview:
    """All targets in numbers."""

    counts: Counter[State]
    problems: Sequence[Problem]
    sentence: Sentence
    worst: State
    by_key: Mapping[_ProblemKey, Problem]
    is_intercepted: bool = False
    """Whether something in between intercepts the TLS of a target that is up."""

    @property
    def shade(self) -> State:
        """The state whose colour and mark the sentence has: an interception is not well, though all is up."""
        return State.LOGIN if self.is_intercepted and self.worst is State.UP else self.worst

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
    warned: dict[str, list[str]] = {}
    intercepted: dict[str, list[str]] = {}
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
        if state in (State.UP, State.LOGIN) and series.last:
            if issuer := series.last.intercepted_by:
                intercepted.setdefault(issuer, []).append(series.target.name)
            for warning in _warnings(series.last):
                warned.setdefault(warning, []).append(series.target.name)
    ordered = sorted(problems.values(), key=lambda problem: (problem.first.up, -len(problem.outcomes)))
    worst = next((state for state in State if by_state[state]), State.PENDING)
    counts = Counter({state: len(names) for state, names in by_state.items()})
    sentence = _sentence(by_state, _faults(ordered), held, is_google=is_google)
    sentence = _with_warnings(sentence, intercepted, warned, counts)
    return Overview(counts, ordered, sentence, worst, problems, bool(intercepted))


def _warnings(last: Outcome) -> Iterator[str]:
    """What is wrong at a target that is up, as a clause."""
    if last.observed.ip_fallback:
        yield "IPv6 does not connect, IPv4 does"
    elif last.passed_over:
        yield "an address does not connect, another one does"


def _with_warnings(
    sentence: Sentence,
    intercepted: Mapping[str, Sequence[str]],
    warned: Mapping[str, Sequence[str]],
    counts: Counter[State],
) -> Sentence:
    """Return the sentence with what is wrong where endpoints are up.

    Whoever intercepts TLS reads passwords: the sentence begins with that, unless something is down.
    """
    total = counts.total()
    tls = [(f"TLS is intercepted at {_names(names)}", _from(issuer)) for issuer, names in intercepted.items()]
    more = [f"{_names(names)}: {what}" if total > 1 else what for what, names in warned.items()]
    if tls and counts[State.UP] == total:
        lead, whose = tls.pop(0)
        up = sentence.lead if total == 1 else f"{sentence.lead[:1].lower()}{sentence.lead[1:]}"
        sentence = Sentence(lead, ": ", f"{whose}; {up}")
    if parts := [*(f"{what} ({whose})" for what, whose in tls), *more]:
        rest = "; ".join([*([sentence.rest] if sentence.rest else []), *parts])
        return Sentence(sentence.lead, sentence.separator or "; ", rest)
    return sentence


def _from(issuer: str) -> str:
    return f"the certificate is from {issuer}, whose root the public does not know"


def _sentence(
    by_state: Mapping[State, Sequence[str]],
    faults: Sequence[_Fault],
    held: Mapping[str, Sequence[str]],
    *,
    is_google: bool,
) -> Sentence:
    names = [name for of_state in by_state.values() for name in of_state]
    down, total = len(by_state[State.DOWN]), len(names)
    if 0 < down == total and len(faults) == 1:
        return _sentence_of_one_fault(faults[0], names, is_google=is_google)
    if total < 2:
        return _sentence_of_few(names, by_state, faults, held)
    if down > MAX_NAMES and len(faults) == 1:
        rest = "; ".join([_cause(faults[0]), *_not_known(by_state, total)])
        return Sentence(f"{down:,} of {total:,} endpoints are down", ": ", rest)
    causes = [f"{_names(fault.names)}: {_cause(fault)}" for fault in faults[:MAX_NAMES]]
    if (more := len(faults) - MAX_NAMES) > 0:
        causes.append(f"and {more} more {'problem' if more == 1 else 'problems'}")
    held_back = [f"{_names(of_text)}: {_held(why)}" for why, of_text in held.items()]
    rest = "; ".join([*causes, *held_back, *_not_known(by_state, total)])
    return Sentence(_lead(by_state, total), "; " if rest else "", rest)


def _sentence_of_one_fault(fault: _Fault, names: Sequence[str], *, is_google: bool) -> Sentence:
    """The sentence where everything is down for one cause. It begins with the fault where that is on our side."""
    if is_google:
        down = "Gmail cannot be used from here" if fault.is_ours else "Gmail does not answer"
    else:
        down = f"all {len(names):,} endpoints are down" if names[1:] else f"{names[0]} is down"
    judgement = fault.judgement
    if judgement is None or not fault.is_ours:
        return Sentence(_capital(down) if names[1:] or is_google else down, ": ", _cause(fault))
    # The time and what shows the fault follow all of it.
    return Sentence(_capital(judgement.sentence), ": ", replace(judgement, sentence=down).told(fault.since))


def _sentence_of_few(
    names: Sequence[str],
    by_state: Mapping[State, Sequence[str]],
    faults: Sequence[_Fault],
    held: Mapping[str, Sequence[str]],
) -> Sentence:
    """The sentence where there is one endpoint, or none."""
    if not names:
        return Sentence("No endpoint is configured")
    if by_state[State.PENDING]:
        return Sentence(f"{names[0]} has not been probed yet")
    if by_state[State.OVERDUE]:
        return Sentence(f"{names[0]} was not probed in time")
    cause = "; ".join([*map(_cause, faults), *map(_held, held)])
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


def _faults(problems: Sequence[Problem]) -> list[_Fault]:
    """Put problems together of which the same is told; reasons may differ, and evidence may be known of one alone."""
    faults: dict[str, _Fault] = {}
    for number, problem in enumerate(problems):
        first, key = problem.first, str(number)
        if first.judgement and not first.up:
            endpoint = first.target.endpoint
            key = first.judgement.sentence.replace(server_of(endpoint), provider_of(endpoint.host))
            key = key.replace(f"port {endpoint.port} is blocked", "ports are blocked")
        faults.setdefault(key, _Fault([])).problems.append(problem)
    return list(faults.values())


def _cause(fault: _Fault) -> str:
    """Why they fail: the verdict on an outage, else the summary, and the party unless it is named there."""
    if judgement := fault.judgement:
        return judgement.told(fault.since)
    summary, party = fault.first.summary, fault.first.blame_label
    return summary if party in summary else f"{summary} ({party})"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
