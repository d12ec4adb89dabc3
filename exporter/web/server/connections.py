"""A limit to open connections, which no client can exhaust.

A connection whose request is complete is served. All others wait, and where the limit is reached, one is closed for a
new one: of the client that has the most connections, the one that has waited the longest. So a thousand connections
that never complete a request cannot keep Prometheus, which completes its own at once, from the metrics, nor the probes
from their file descriptors. No connection gives way to a client that has more of them; and where none may be closed,
one that is being served is, of a client that has more than the new one will have: nor can a client that asks all the
time, over all connections.
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
        self.connections.serving.pop(self, None)
        self.connections.waiting[self] = None

    def serve(self) -> None:
        """A request is being answered: the connection stays open."""
        self.connections.waiting.pop(self, None)
        self.connections.serving[self] = None

    def release(self) -> None:
        """The connection is closed."""
        self.connections.waiting.pop(self, None)
        self.connections.serving.pop(self, None)


@dataclass(slots=True)
class Connections:
    """All open connections, at most `limit`."""

    limit: int = MAX_CONNECTIONS
    waiting: dict[ConnectionSlot, None] = field(default_factory=dict)
    """In the order in which they began to wait."""
    serving: dict[ConnectionSlot, None] = field(default_factory=dict)
    """In the order in which they began to be served."""

    def __len__(self) -> int:
        return len(self.waiting) + len(self.serving)

    def admit(self, abort: Callable[[], None], client: str = "") -> ConnectionSlot | None:
        """Return a slot for a new connection that `abort` would close; None where no other one may be closed for it."""
        if len(self) >= self.limit:
            other = self._least_worth(client)
            if other is None:
                return None
            other.release()
            other.abort()
        slot = ConnectionSlot(abort, self, client)
        slot.wait()
        return slot

    def _least_worth(self, client: str) -> ConnectionSlot | None:
        """Return the connection that is closed for a new one of this client; None where there is none."""
        counts = Counter(slot.client for slot in (*self.waiting, *self.serving))
        own = counts[client]
        waiting = [slot for slot in self.waiting if slot.client == client or counts[slot.client] > own]
        serving = [slot for slot in self.serving if counts[slot.client] > own + 1]
        return max(waiting or serving, key=lambda slot: counts[slot.client], default=None)  # the first of several
