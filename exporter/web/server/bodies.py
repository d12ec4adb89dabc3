"""Bodies of answers, each made once for all requests that ask for the same at the same time.

They are made one at a time, so that the event loop does other work in between, however many requests wait.

How old they may be: a request is answered with what was known when it arrived, or with a body that was being made at
that moment. Where more is asked for than `RATE`, which no Prometheus does, a body also answers the requests of the
next second.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass, field

from starlette.exceptions import HTTPException

from exporter.web.server.encoding import Body

RATE = 16 << 20
"""The cost of the bodies that are made in a second for one request each: some hundredths of a second of CPU."""

BURST = RATE
"""The cost that is borne at once before that rate counts."""

SHARED_SECONDS = 1.0
"""Seconds for which a body answers other requests where more are made than that."""

MAX_MADE = 8
"""Bodies that are kept for other requests."""

MAX_WAITING = 64
"""Different bodies that requests wait for; one more is refused."""

BUSY = "Too many answers are being made: try again."


@dataclass(slots=True)
class Bodies:
    """Makes the bodies of one part of the application."""

    clock: Callable[[], float] = time.monotonic
    _making: dict[Hashable, asyncio.Task[Body]] = field(default_factory=dict)
    _made: dict[Hashable, tuple[float, Body]] = field(default_factory=dict)
    """Bodies that answer other requests, and when each was made."""
    _one_at_a_time: asyncio.Lock = field(default_factory=asyncio.Lock)
    _level: float = 0.0
    """The cost of all that was made, less `RATE` for each second since."""
    _level_at: float = 0.0

    async def get(self, key: Hashable, make: Callable[[], Awaitable[Body]], seconds: float = 0.0) -> Body:
        """Return the body of this key, which `make` makes; it may always be so many seconds old.

        Raises:
            HTTPException: 503: requests wait for too many others.
        """
        at, body = self._made.get(key, (0.0, None))
        if body is not None and self.clock() - at <= (SHARED_SECONDS if self._is_pressed() else seconds):
            return body
        making = self._making.get(key)
        if making is None:
            if len(self._making) >= MAX_WAITING:
                raise HTTPException(503, BUSY, {"Retry-After": "1"})
            making = self._making[key] = asyncio.create_task(self._make(key, make, seconds), name="body")
        # It is made for the others, too, so that none of them cancels it.
        return await asyncio.shield(making)

    def forget(self) -> None:
        """Let no body that was made, or is being made, answer a later request: what it shows has changed."""
        self._made.clear()
        self._making.clear()

    async def _make(self, key: Hashable, make: Callable[[], Awaitable[Body]], seconds: float) -> Body:
        task = asyncio.current_task()
        try:
            async with self._one_at_a_time:
                body = await make()
        finally:
            current = self._making.get(key) is task
            if current:
                del self._making[key]
        now = self.clock()
        self._level = self._level_now(now) + body.cost
        self._level_at = now
        kept = SHARED_SECONDS if self._is_pressed() else seconds
        if current and kept:
            self._keep(key, now, body, kept)
        return body

    def _keep(self, key: Hashable, now: float, body: Body, seconds: float) -> None:
        self._made.pop(key, None)
        self._made[key] = now, body
        if len(self._made) > MAX_MADE:
            del self._made[next(iter(self._made))]
        asyncio.get_running_loop().call_later(seconds, self._drop, key, body)

    def _drop(self, key: Hashable, body: Body) -> None:
        """Give its memory back."""
        if self._made.get(key, (0.0, None))[1] is body:
            del self._made[key]

    def _is_pressed(self) -> bool:
        return self._level_now(self.clock()) > BURST

    def _level_now(self, now: float) -> float:
        return max(0.0, self._level - RATE * (now - self._level_at))
