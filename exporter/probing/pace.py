"""How long one probe may work before the event loop runs what else is due: other probes, requests, its own deadline."""

from __future__ import annotations

import asyncio
import time

SLICE = 0.001
"""Seconds: a part of what a probe of a healthy server takes."""


class Pace:
    """The time that a task has worked without a pause. A wait for something else is one: it then calls `begin`."""

    def __init__(self) -> None:
        self._begun = time.perf_counter()

    def begin(self) -> None:
        """Count from now on: other tasks have just run."""
        self._begun = time.perf_counter()

    @property
    def is_over(self) -> bool:
        """Whether it is time to `rest`. This is cheap, and asked after each step."""
        return time.perf_counter() - self._begun > SLICE

    async def rest(self) -> None:
        """Let everything run that is due."""
        await asyncio.sleep(0)
        self._begun = time.perf_counter()
