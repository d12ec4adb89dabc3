"""Long work in the event loop of the probes, in pieces: between two of them everything else has its turn.

A thread would not do: what is shown changes under it, and Python's threads take each other's time in any case.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from typing import TypeVar

T = TypeVar("T")

TURN = 0.004
"""Seconds of work after which everything else has its turn."""


async def in_turns(items: Iterable[T]) -> AsyncIterator[T]:
    """Yield the items; what is done with them is held up wherever it took a `TURN`."""
    begun = time.perf_counter()
    for item in items:
        yield item
        if time.perf_counter() - begun > TURN:
            await asyncio.sleep(0)
            begun = time.perf_counter()
