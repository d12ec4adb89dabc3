"""A limit to the octets that clients have asked for and not taken yet, over all connections.

A body is in memory for as long as one connection sends it, and counts once, however many send it. Where a new one would
exceed the limit, the connections that send the most expensive body are closed: octets times the seconds for which they
have been kept. That is a large one whose client does not read, and not a scrape, which is taken in no time. So a new
body is never refused, and all of them together have no more octets than the limit, or than the new one alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

MAX_UNSENT = 32 << 20
"""Octets of bodies that are being sent."""

Abort = Callable[[], None]


@dataclass(eq=False, slots=True)
class Unsent:
    """A body that is being sent; `aborts` close its connections."""

    octets: int
    since: float
    aborts: list[Abort] = field(default_factory=list)


@dataclass(slots=True)
class Outbox:
    """The bodies that are being sent, with at most `limit` octets."""

    limit: int = MAX_UNSENT
    clock: Callable[[], float] = time.monotonic
    unsent: dict[int, Unsent] = field(default_factory=dict)
    """By the identity of the body, which stays the same while a connection refers to it."""

    @property
    def octets(self) -> int:
        """The octets of all bodies that are being sent."""
        return sum(one.octets for one in self.unsent.values())

    @contextmanager
    def sending(self, body: bytes, abort: Abort) -> Iterator[None]:
        """Count a body while it is being sent; `abort` closes the connection."""
        one = self.unsent.get(id(body))
        if one is None:
            self._make_room(len(body))
            one = self.unsent[id(body)] = Unsent(len(body), self.clock())
        one.aborts.append(abort)
        try:
            yield
        finally:
            one.aborts.remove(abort)
            if not one.aborts and self.unsent.get(id(body)) is one:
                del self.unsent[id(body)]

    def _make_room(self, octets: int) -> None:
        while self.unsent and self.octets + octets > self.limit:
            now = self.clock()
            key = max(self.unsent, key=lambda key: self.unsent[key].octets * (now - self.unsent[key].since))
            for abort in [*self.unsent.pop(key).aborts]:
                abort()
