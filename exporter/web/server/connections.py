"""Open connections: so many, and no more, however clients behave.

A client that has sent its request whole is served. All others wait, and where there is no room for a new one, the one
that has waited for the longest has to go: so a thousand clients that never come to the point cannot keep Prometheus,
which does at once, from its metrics, nor the probes from the files they need.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

MOST = 512
"""Open connections."""


@dataclass(eq=False, slots=True)
class Place:
    """One connection's place among them."""

    abort: Callable[[], None]
    among: Connections

    def wait(self) -> None:
        """A request is to come, or an answer to be taken: this one may have to go."""
        self.among.serving.discard(self)
        self.among.waiting[self] = None

    def serve(self) -> None:
        """A request is being answered."""
        self.among.waiting.pop(self, None)
        self.among.serving.add(self)

    def leave(self) -> None:
        """The connection has ended."""
        self.among.waiting.pop(self, None)
        self.among.serving.discard(self)


@dataclass(slots=True)
class Connections:
    """All that are open."""

    most: int = MOST
    waiting: dict[Place, None] = field(default_factory=dict)
    """In the order in which they began to wait."""
    serving: set[Place] = field(default_factory=set)

    def __len__(self) -> int:
        return len(self.waiting) + len(self.serving)

    def admit(self, abort: Callable[[], None]) -> Place | None:
        """Return a place for a new connection that `abort` would end; None where every other one is being served."""
        if len(self) >= self.most:
            longest = next(iter(self.waiting), None)
            if longest is None:
                return None
            longest.leave()
            longest.abort()
        place = Place(abort, self)
        place.wait()
        return place
