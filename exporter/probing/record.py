"""What is kept of a server's words while a probe runs, bounded: many probes run at the same time.

Of a dialogue the first and the last lines are kept. The first ones show what the server is, the last ones how the
session ended.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from functools import lru_cache
from itertools import accumulate, chain
from typing import TypeAlias

from exporter.model.outcome import MAX_DETAIL, Line
from exporter.probing.dialogue import as_text

MAX_LINES = 500
"""Lines that are kept; LIST returns every label of an account, in some cases thousands."""

MAX_OCTETS = 128 * 1024
"""Octets of memory that they take, as received: enough for so many lines of usual length."""

MAX_CAPABILITIES = 200
"""Capabilities that are kept, of those before and of those after login."""

MAX_CAPABILITY_CHARACTERS = 8192
"""Characters of these capabilities; Gmail's have some 300, Dovecot's 700."""

_LAST_WORDS = 3

_MAX_LINE = 2 * MAX_DETAIL  # octets that are read for people; what is taken out of a line may leave room
_OCTETS_OF_LINE = 160  # of memory, besides its text


_Raw: TypeAlias = tuple[float, str, bytes]
"""When a line was received or sent, by whom it was said, and what it is."""


class DialogueRecord:
    """The lines of one dialogue. Of a long one, the first half of what may be kept, and the last half."""

    def __init__(self) -> None:
        self._first: list[_Raw] = []
        self._first_octets = 0
        self._last: deque[_Raw] = deque()
        self._last_octets = 0
        self._left_out = 0

    def add(self, at: float, speaker: str, line: bytes) -> None:
        """Add the next line."""
        octets = _OCTETS_OF_LINE + len(line)
        is_short = not self._last and self._first_octets + octets <= MAX_OCTETS // 2
        if is_short and len(self._first) < MAX_LINES // 2:
            self._first.append((at, speaker, line))
            self._first_octets += octets
            return
        self._last.append((at, speaker, line))
        self._last_octets += octets
        while len(self._last) > MAX_LINES // 2 or self._last_octets > MAX_OCTETS // 2:
            _, _, gone = self._last.popleft()
            self._last_octets -= _OCTETS_OF_LINE + len(gone)
            self._left_out += 1

    def unanswered(self) -> list[bytes]:
        """Return the server's lines since the client last sent something, the last three of them at most."""
        lines: list[bytes] = []
        for _, speaker, line in chain(reversed(self._last), reversed(self._first)):
            if speaker != "S" or len(lines) == _LAST_WORDS:
                break
            lines.append(line)
        return lines[::-1]

    def lines(self) -> list[Line]:
        """Return the lines that are kept, with their secrets; a line says how many were left out."""
        first, last = (
            [Line(at, speaker, as_text(line.rstrip(b"\r\n"), _MAX_LINE)) for at, speaker, line in part]
            for part in (self._first, self._last)
        )
        if self._left_out:
            first.append(Line(last[0].at, "", f"(dialogue not kept: {self._left_out} lines between these)"))
        return first + last


def bounded(words: tuple[str, ...]) -> tuple[str, ...]:
    """Return the first of these capabilities, with a word that says how many are left out."""
    total = list(accumulate(map(len, words[:MAX_CAPABILITIES])))
    kept = bisect_right(total, MAX_CAPABILITY_CHARACTERS)
    if kept < len(words):
        return *words[:kept], f"({len(words) - kept} more, not kept)"
    return _shared(words) if total and total[-1] <= MAX_DETAIL else words


@lru_cache(maxsize=256)
def _shared(words: tuple[str, ...]) -> tuple[str, ...]:
    """Return one object for equal capabilities: every stored outcome has them, a thousand endpoints the same few."""
    return words
