"""The last 100 probes of a target, each in a few octets: there may be thousands of targets."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from exporter.model.outcome import Outcome, Phase
from exporter.model.reason import Reason

HISTORY = 100
"""Probes of a target that are kept."""

_PHASES = tuple(Phase)
_REASONS = tuple(Reason)
_NUMBER_OF_PHASE = {phase: number for number, phase in enumerate(_PHASES)}
_NUMBER_OF_REASON = {reason: number for number, reason in enumerate(_REASONS)}
_PHASE_NAMES = {phase.value: phase for phase in _PHASES}
_REASON_NAMES = {reason.value: reason for reason in _REASONS}
_NOT_REACHED = (math.nan,) * len(_PHASES)
# When it began; the numbers of the phase and the reason with which it ended; the seconds of each phase.
_RECORD = struct.Struct(f"<dBB{len(_PHASES)}f")


class HistoryEntry(NamedTuple):
    """The short record of a probe: when it began (Unix seconds), seconds by phase (single precision), how it ended."""

    started_at: float
    phases: Mapping[Phase, float]
    phase: Phase
    reason: Reason

    @property
    def duration(self) -> float:
        """As `Outcome.duration`."""
        return sum(self.phases.values())


class Layout(NamedTuple):
    """What the numbers of phases and reasons in records mean; another version of this program may have others."""

    phases: tuple[str, ...]
    reasons: tuple[str, ...]


LAYOUT = Layout(tuple(phase.value for phase in _PHASES), tuple(reason.value for reason in _REASONS))
"""The layout of the records of this version."""


class History:
    """A ring buffer of the last `HISTORY` probes. An evicted entry is overwritten."""

    __slots__ = ("_oldest", "_records")

    def __init__(self, records: bytes = b"") -> None:
        """Begin with the last of these records, which are as `records` returns them."""
        self._records = bytearray(records[-HISTORY * _RECORD.size :])
        self._oldest = 0
        """Octet at which the next record is written once the ring is full."""

    def __len__(self) -> int:
        return len(self._records) // _RECORD.size

    def records(self, newest: int = HISTORY) -> bytes:
        """Return the records of so many probes, the oldest first, in `LAYOUT`."""
        records = self._records[self._oldest :] + self._records[: self._oldest]
        return bytes(records[len(records) - min(newest, len(self)) * _RECORD.size :])

    def __iter__(self) -> Iterator[HistoryEntry]:
        """From the oldest to the newest."""
        for started_at, phase, reason, *seconds in _RECORD.iter_unpack(self.records()):
            phases = {name: spent for name, spent in zip(_PHASES, seconds, strict=True) if not math.isnan(spent)}
            yield HistoryEntry(started_at, phases, _PHASES[phase], _REASONS[reason])

    def append(self, outcome: Outcome) -> None:
        """Add an entry for an Outcome. Where there are `HISTORY` already, it evicts the oldest."""
        seconds = list(_NOT_REACHED)
        for phase, spent in outcome.phases.items():
            seconds[_NUMBER_OF_PHASE[phase]] = spent
        ended = _NUMBER_OF_PHASE[outcome.phase], _NUMBER_OF_REASON[outcome.reason]
        record = _RECORD.pack(outcome.started_at, *ended, *seconds)
        if len(self) < HISTORY:
            self._records += record
        else:
            self._records[self._oldest : self._oldest + _RECORD.size] = record
            self._oldest = (self._oldest + _RECORD.size) % len(self._records)


RECORD_OCTETS = _RECORD.size
"""Octets of a record."""


def converted(records: bytes, layout: Layout, until: float) -> bytes:
    """Return records of any layout in that of this version, without those that cannot have been made.

    These are of a phase or a reason that this version does not know, of no time, or of one after `until`.

    Raises:
        struct.error: They are no records of that layout.
    """
    of_phase = [_NUMBER_OF_PHASE.get(_PHASE_NAMES.get(name)) for name in layout.phases]  # type: ignore[arg-type]
    of_reason = [_NUMBER_OF_REASON.get(_REASON_NAMES.get(name)) for name in layout.reasons]  # type: ignore[arg-type]
    made = bytearray()
    for started_at, phase, reason, *seconds in struct.iter_unpack(f"<dBB{len(layout.phases)}f", records):
        is_known = phase < len(of_phase) and reason < len(of_reason)
        ended = (of_phase[phase], of_reason[reason]) if is_known else (None, None)
        if None in ended or not 0 <= started_at <= until:
            continue
        spent = list(_NOT_REACHED)
        for number, value in zip(of_phase, seconds, strict=True):
            if number is not None and 0 <= value < math.inf:
                spent[number] = value
        made += _RECORD.pack(started_at, *ended, *spent)
    return bytes(made)
