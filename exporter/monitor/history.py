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


class History:
    """A ring buffer of the last `HISTORY` probes. An evicted entry is overwritten."""

    __slots__ = ("_oldest", "_records")

    def __init__(self) -> None:
        self._records = bytearray()
        self._oldest = 0
        """Octet at which the next record is written once the ring is full."""

    def __len__(self) -> int:
        return len(self._records) // _RECORD.size

    def __iter__(self) -> Iterator[HistoryEntry]:
        """From the oldest to the newest."""
        records = self._records[self._oldest :] + self._records[: self._oldest]
        for started_at, phase, reason, *seconds in _RECORD.iter_unpack(records):
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
