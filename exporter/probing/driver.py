"""Performs the steps of a dialogue over a connection: times its phases, enforces the limits, records what was said."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeVar

from exporter.model.outcome import Line, Phase
from exporter.model.reason import Reason
from exporter.probing.clock import PhaseClock
from exporter.probing.dialogue import (
    LINE_COST,
    MAX_REPLY,
    MAX_SESSION,
    Arrival,
    Enter,
    Note,
    PassOver,
    ReadBytes,
    ReadLine,
    ResponseTooLarge,
    Send,
    Work,
    as_text,
    excerpt,
)
from exporter.probing.pace import Pace
from exporter.probing.record import DialogueRecord, bounded
from exporter.probing.redact import Redactor, shortened

T = TypeVar("T")

_READS, _NOTES = (ReadLine, ReadBytes), (Note, PassOver)
"""As tuples: to build a union of two types for each step takes longer than to tell the step by it."""


class Stream(Protocol):
    """What the driver needs of a `Connection`."""

    received: int
    received_at: float
    pace: Pace

    @property
    def sent_at(self) -> float:
        """When the last octets were handed to the kernel."""

    @property
    def ready_at(self) -> float:
        """From when on the server may send its greeting."""

    async def read_line(self) -> bytes:
        """Return the next line."""

    async def read_bytes(self, count: int) -> bytes:
        """Return exactly `count` octets."""

    def write(self, data: bytes) -> None:
        """Send `data`."""


class Driver:
    """Drives the dialogues of one session, one after the other, and keeps what they show.

    `observed` has the fields of `Observed` that are noted; `began` is when the probe began, for the record.
    """

    def __init__(self, clock: PhaseClock, redactor: Redactor, observed: dict[str, Any], began: float) -> None:
        self._clock = clock
        self._redactor = redactor
        self._observed = observed
        self._began = began
        self._record = DialogueRecord()
        self._padding = 0
        """Octets that short lines count as, besides their own."""

    async def drive(
        self,
        dialogue: Work[T],
        stream: Stream,
        start_tls: Callable[[], Awaitable[bool]] | None = None,
        entered: Callable[[Phase], object] = lambda _phase: None,
    ) -> T | None:
        """Perform the steps of a dialogue, and return its result; its errors and those of the connection are raised.

        `start_tls` secures the connection, and returns whether the dialogue goes on; only a session needs it.
        `entered` is called with each phase as it begins. Neither is kept: whoever passes them on holds this driver.
        """
        clock, pace = self._clock, stream.pace
        answer: object = None
        asked_at, padding, most = stream.received, self._padding, MAX_REPLY
        try:
            while True:
                step = dialogue.send(answer)
                answer = None
                if isinstance(step, _READS):
                    answer = await self._read(stream, step)
                    self._padding += max(0, LINE_COST - len(answer or b""))
                    self._check_limits(stream.received, asked_at, padding, most)
                    if pace.is_over:
                        await pace.rest()
                elif isinstance(step, Send):
                    asked_at, padding, most = stream.received, self._padding, step.most
                    stream.write(step.data)
                    clock.ask(stream.sent_at)
                    self._add("C", self._shown(step))
                elif isinstance(step, Enter):
                    clock.leave(stream.received_at)
                    # The server sends its greeting without being asked, once the connection is made or secured.
                    clock.enter(step.phase, stream.ready_at if step.phase is Phase.GREETING else 0.0)
                    entered(step.phase)
                elif isinstance(step, Arrival):
                    answer = stream.received_at
                elif isinstance(step, _NOTES):
                    self._note(step)
                else:
                    clock.leave(stream.received_at)
                    assert start_tls is not None  # noqa: S101 (only a session has this step)
                    if not await start_tls():
                        return None
        except StopIteration as end:
            clock.leave(stream.received_at)
            result: T = end.value
            return result

    def _check_limits(self, received: int, asked_at: int, padding: int, most: int) -> None:
        octets, cost = received - asked_at, received - asked_at + self._padding - padding
        if octets > most or received > MAX_SESSION:
            raise ResponseTooLarge(f"{octets} octets in answer to one command")
        if cost > most or received + self._padding > MAX_SESSION:
            raise ResponseTooLarge(f"{octets} octets in too many lines in answer to one command")

    async def lines(self) -> tuple[Line, ...]:
        """Return what was said, without secrets."""
        said = self._record.lines()
        if self._redactor.may_show(said):
            return tuple(said)
        lines, pace = [], Pace()
        for line in self._redactor.lines(said):
            lines.append(line)
            if pace.is_over:
                await pace.rest()
        return tuple(lines)

    def last_words(self, unread: bytes) -> str:
        """Return what the server said of the answer that did not come, and what has come of a line without its end."""
        words = ", ".join(excerpt(line) for line in [*self._record.unanswered(), unread] if line)
        return self._redactor.text(words and f"before that the server said {words}")

    async def _read(self, stream: Stream, step: ReadLine | ReadBytes) -> bytes | None:
        if isinstance(step, ReadBytes):
            return await stream.read_bytes(step.count)
        if step.within is None:
            line = await stream.read_line()
        else:
            limit = asyncio.timeout(step.within)
            try:
                async with limit:
                    line = await stream.read_line()
            except TimeoutError:
                if limit.expired():
                    return None
                raise
        self._add("S", line)
        return line

    def _note(self, step: Note | PassOver) -> None:
        if isinstance(step, Note):
            self._observed[step.field] = self._redacted(step.value)
        else:
            self._observed["ignored_lines"] = self._observed.get("ignored_lines", 0) + step.count

    def _add(self, speaker: str, line: bytes) -> None:
        self._record.add(time.perf_counter() - self._began, speaker, line)

    def _shown(self, step: Send) -> bytes:
        shown = step.data if step.shown is None else step.shown
        return self._redactor.text(as_text(shown.rstrip(b"\r\n"))).encode() if step.repeats else shown

    def _redacted(self, value: Any) -> Any:
        """Return capabilities and words without secrets, printable and bounded, for the server chooses their text."""
        if isinstance(value, str) and not isinstance(value, Reason):
            return shortened(self._redactor.text(value))
        if not isinstance(value, tuple) or not all(isinstance(word, str) for word in value):
            return value
        return self._redactor.words(bounded(value))
