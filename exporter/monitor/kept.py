"""The Outcomes of a target that are kept whole, and the memory that they may take.

A server decides how much it says, so its Outcomes are bounded in octets of memory: those of a target, and those of all
targets together. What is over the limit is dropped in this order: dialogues, then capabilities and certificates, then
the ends of long details; of successes before those of failures, of old failures before those of new ones. With all
targets together, always at the one that takes most. Results, times and phases are always kept.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from sys import getsizeof

from exporter.model.certificate import Certificate
from exporter.model.outcome import Detail, Line, Outcome, Target

FAILURES = 10
"""Failed Outcomes of a target that are kept, regardless of their age."""

MAX_OF_ENDPOINT = 256 * 1024
"""Octets of memory that the texts in the Outcomes of an endpoint may take."""

MAX_IN_ALL = 32 * 1024 * 1024
"""Octets that those of all endpoints may take together, each certificate counted once."""

MIN_SHARE = 8 * 1024
"""Octets for each endpoint where `MAX_IN_ALL` would be less: with more than 4,096 endpoints."""

MAX_OLD_DETAIL = 120
"""Characters of a detail that has to be shortened."""

_OBJECT = 64  # octets that a small object takes besides its texts

Part = Certificate | tuple[str, ...]
"""What Outcomes have in common with others: a certificate, or capabilities."""


class Memory:
    """The memory that the Outcomes of all targets take, in octets."""

    def __init__(self, limit: int = MAX_IN_ALL) -> None:
        self.used = 0
        self._limit = limit
        self._holders: tuple[Kept, ...] = ()
        self._threshold = limit
        self._parts: dict[int, list[int]] = {}
        """By the identity of a part: how many Outcomes have it, and its octets."""

    def divide(self, holders: Iterable[Kept]) -> None:
        """Let exactly these take memory."""
        self._holders = tuple(holders)
        self._threshold = max(self._limit, MIN_SHARE * len(self._holders))
        self._parts.clear()
        self.used = 0
        for holder in self._holders:
            for entry in holder.entries():
                self.take(entry)
        self.enforce()

    def take(self, entry: _Entry) -> None:
        """Count what an Outcome takes."""
        self.used += entry.octets
        for part in entry.parts:
            known = self._parts.get(id(part))
            if known is None:
                known = self._parts[id(part)] = [0, _octets_of_part(part)]
                self.used += known[1]
            known[0] += 1

    def release(self, entry: _Entry) -> None:
        """Count it no longer."""
        self.used -= entry.octets
        for part in entry.parts:
            known = self._parts[id(part)]
            known[0] -= 1
            if not known[0]:
                self.used -= known[1]
                del self._parts[id(part)]

    def octets_of(self, entries: Iterable[_Entry]) -> int:
        """Return what these take, a part that they have in common counted once."""
        parts: set[int] = set()
        octets = 0
        for entry in entries:
            octets += entry.octets
            parts.update(map(id, entry.parts))
        return octets + sum(self._parts[part][1] for part in parts)

    def enforce(self) -> None:
        """Where all take more than they may, drop what is worth least at the one that takes most, until it fits."""
        if self.used <= self._threshold:
            return
        limit = max(self._limit, MIN_SHARE * len(self._holders))
        wanted = limit - limit // 8  # some room, so that not every further probe has to look at all of them
        largest = [(-holder.octets, number) for number, holder in enumerate(self._holders)]
        heapq.heapify(largest)
        while self.used > wanted and largest:
            number = heapq.heappop(largest)[1]
            if self._holders[number].drop():
                heapq.heappush(largest, (-self._holders[number].octets, number))
        self._threshold = max(limit, self.used + limit // 8)


class _Entry:
    """An Outcome that is kept, and the octets that it takes without its parts."""

    __slots__ = ("octets", "outcome", "parts")

    outcome: Outcome
    octets: int
    parts: tuple[Part, ...]

    def __init__(self, outcome: Outcome) -> None:
        self.hold(outcome)

    def hold(self, outcome: Outcome) -> None:
        """Keep this one."""
        observed = outcome.observed
        chain = observed.tls.chain if observed.tls else ()
        self.outcome = outcome
        self.octets = getsizeof(outcome.detail) + sum([line.octets for line in outcome.dialogue])
        self.parts = (*filter(None, (observed.capabilities, observed.login_capabilities)), *chain)


@dataclass(slots=True)
class Kept:
    """The Outcomes of one target that are kept."""

    memory: Memory = field(default_factory=Memory)
    limit: int = MAX_OF_ENDPOINT
    _last: _Entry | None = None
    _last_login: _Entry | None = None
    _last_success: _Entry | None = None
    _failures: list[_Entry] = field(default_factory=list)

    @classmethod
    def of(cls, target: Target, memory: Memory) -> Kept:
        """Return one without Outcomes; targets of one endpoint share its memory."""
        return cls(memory, MAX_OF_ENDPOINT // len(Target.of(target.endpoint)))

    @property
    def last(self) -> Outcome | None:
        """The last Outcome."""
        return self._last.outcome if self._last else None

    @property
    def last_login(self) -> Outcome | None:
        """The last Outcome with a login, even if it could not be sent."""
        return self._last_login.outcome if self._last_login else None

    @property
    def last_success(self) -> Outcome | None:
        """The last Outcome that succeeded."""
        return self._last_success.outcome if self._last_success else None

    @property
    def failures(self) -> list[Outcome]:
        """The last failed ones, the oldest first."""
        return [entry.outcome for entry in self._failures]

    @property
    def octets(self) -> int:
        """What they take."""
        return self.memory.octets_of(self.entries())

    def restore(self, failures: Sequence[Outcome]) -> None:
        """Keep these failed Outcomes of an earlier process, too: they are older than all others."""
        room = FAILURES - len(self._failures)
        older = [_Entry(outcome) for outcome in failures[-room:]] if room else []
        self._failures[:0] = older
        for entry in older:
            self.memory.take(entry)
        self._enforce()

    def add(self, outcome: Outcome) -> None:
        """Keep one more, in place of those that it follows."""
        before = self.entries()
        entry = _Entry(outcome)
        self._last = entry
        if outcome.login_reached:
            self._last_login = entry
        if outcome.ok:
            self._last_success = entry
        else:
            self._failures = [*self._failures[1 - FAILURES :], entry]
        self.memory.take(entry)
        after = self.entries()
        for one in before:
            if one not in after:
                self.memory.release(one)
        if self.memory.octets_of(after) > self.limit:
            self._enforce()
        self.memory.enforce()

    def _enforce(self) -> None:
        while self.octets > self.limit and self.drop():
            pass
        self.memory.enforce()

    def entries(self) -> list[_Entry]:
        """Return each once, what is worth least first: successes, then failures by their age."""
        # The last one is the last success or the last failure.
        others = dict.fromkeys(filter(None, (self._last_success, self._last_login)))
        found = [entry for entry in others if entry not in self._failures]
        return [*sorted(found, key=lambda entry: not entry.outcome.ok), *self._failures]

    def drop(self) -> bool:
        """Drop the part that is worth least; return whether there was one."""
        for shorten in _WORTH_LEAST_FIRST:
            for entry in self.entries():
                shorter = shorten(entry.outcome)
                if shorter is not entry.outcome:
                    self.memory.release(entry)
                    entry.hold(shorter)
                    self.memory.take(entry)
                    return True
        return False


def _without_dialogue(outcome: Outcome) -> Outcome:
    if Detail.DIALOGUE in outcome.not_kept:
        return outcome
    octets = sum([line.octets for line in outcome.dialogue])
    said = Line(0.0, "", f"(dialogue not kept: {len(outcome.dialogue)} lines, {octets / 1024:.0f} KiB)")
    if octets <= said.octets:
        return outcome
    return replace(outcome, dialogue=(said,), not_kept=(*outcome.not_kept, Detail.DIALOGUE))


def _without_capabilities(outcome: Outcome) -> Outcome:
    observed = outcome.observed
    if not observed.capabilities and not observed.login_capabilities:
        return outcome
    observed = replace(observed, capabilities=(), login_capabilities=())
    return replace(outcome, observed=observed, not_kept=(*outcome.not_kept, Detail.CAPABILITIES))


def _without_certificates(outcome: Outcome) -> Outcome:
    if not outcome.observed.tls or not outcome.observed.tls.chain:
        return outcome
    observed = replace(outcome.observed, tls=replace(outcome.observed.tls, chain=()))
    return replace(outcome, observed=observed, not_kept=(*outcome.not_kept, Detail.CERTIFICATES))


def _with_short_detail(outcome: Outcome) -> Outcome:
    if len(outcome.detail) <= MAX_OLD_DETAIL:
        return outcome
    return replace(outcome, detail=f"{outcome.detail[: MAX_OLD_DETAIL - 1]}…")


_WORTH_LEAST_FIRST: tuple[Callable[[Outcome], Outcome], ...] = (
    _without_dialogue,
    _without_capabilities,
    _without_certificates,
    _with_short_detail,
)


def _octets_of_part(part: Part) -> int:
    if isinstance(part, tuple):
        return getsizeof(part) + sum(map(getsizeof, part))
    texts = (part.subject, part.issuer, *part.names, part.fingerprint_sha256, part.serial_number)
    return 4 * _OBJECT + getsizeof(part.names) + sum(map(getsizeof, texts))
