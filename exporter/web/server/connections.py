"""A limit to open connections, which no client can exhaust.

A connection whose request is complete is served. All others wait, and where the limit is reached, one is closed for a
new one: of the client that has the most of those that wait, the one that has waited the longest. So a thousand
connections that never complete a request cannot keep Prometheus, which completes its own at once, from the metrics, nor
the probes from their file descriptors.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

MAX_CONNECTIONS = 512
"""Open connections, where the limit of open files allows as many."""

MIN_CONNECTIONS = 16
"""Open connections, however low that limit is."""

OTHER_FILES = 64
"""Open files of this process that are neither connections nor probes; connections that begin or end are among them."""


def fitting(open_files: int, probes: int) -> int:
    """Return how many connections fit into a limit of open files, beside as many probes at the same time."""
    return min(MAX_CONNECTIONS, max(MIN_CONNECTIONS, open_files - OTHER_FILES - probes))


@dataclass(eq=False, slots=True)
class ConnectionSlot:
    """One open connection; `abort` closes it."""

    abort: Callable[[], None]
    connections: Connections
    client: str

    def wait(self) -> None:
        """The connection waits for its client: for a request, or until an answer is taken. It may be closed."""
        self.connections.serving.discard(self)
        self.connections.waiting[self] = None

    def serve(self) -> None:
        """A request is being answered: the connection stays open."""
        self.connections.waiting.pop(self, None)
        self.connections.serving.add(self)

    def release(self) -> None:
        """The connection is closed."""
        self.connections.waiting.pop(self, None)
        self.connections.serving.discard(self)


@dataclass(slots=True)
class Connections:
    """All open connections, at most `limit`."""

    limit: int = MAX_CONNECTIONS
    waiting: dict[ConnectionSlot, None] = field(default_factory=dict)
    """In the order in which they began to wait."""
    serving: set[ConnectionSlot] = field(default_factory=set)

    def __len__(self) -> int:
        return len(self.waiting) + len(self.serving)

    def admit(self, abort: Callable[[], None], client: str = "") -> ConnectionSlot | None:
        """Return a slot for a new connection that `abort` would close; None where every other one is being served."""
        if len(self) >= self.limit:
            if not self.waiting:
                return None
            counts = Counter(slot.client for slot in self.waiting)
            longest = max(self.waiting, key=lambda slot: counts[slot.client])  # the first of several
            longest.release()
            longest.abort()
        slot = ConnectionSlot(abort, self, client)
        slot.wait()
        return slot
