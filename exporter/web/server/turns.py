"""Turns: in each iteration of the event loop one request goes on, so that a crowd of them does not delay the probes.

The clients take turns, and each one's requests stand in a queue of their own: Prometheus is next, however many requests
another client has sent.
"""

from __future__ import annotations

import asyncio
from collections import deque


class Turns:
    """A queue of the requests of each client."""

    def __init__(self) -> None:
        self._is_taken = False
        self._queues: dict[str, deque[asyncio.Future[None]]] = {}
        """In the order in which the clients are next."""

    async def take(self, client: str) -> None:
        """Return when it is the turn of a request of this client."""
        loop = asyncio.get_running_loop()
        if not self._is_taken:
            self._is_taken = True
            loop.call_soon(self._next, loop)
            return
        waiting = loop.create_future()
        self._queues.setdefault(client, deque()).append(waiting)
        await waiting

    def _next(self, loop: asyncio.AbstractEventLoop) -> None:
        while self._queues:
            client = next(iter(self._queues))
            queue = self._queues.pop(client)
            waiting = queue.popleft()
            if queue:
                self._queues[client] = queue  # at the end
            if not waiting.done():
                waiting.set_result(None)
                loop.call_soon(self._next, loop)
                return
        self._is_taken = False
