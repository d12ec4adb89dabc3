"""Long work in the event loop of the probes, in time slices, between which other tasks run.

A thread would not help: the data changes while it works, and Python runs one thread at a time in any case.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from typing import TypeVar

T = TypeVar("T")

SLICE = 0.004
"""Seconds of work, after which other tasks run."""


async def in_time_slices(items: Iterable[T]) -> AsyncIterator[T]:
    """Yield the items; after each `SLICE` of work on them, other tasks run first."""
    begun = time.perf_counter()
    for item in items:
        yield item
        if time.perf_counter() - begun > SLICE:
            await asyncio.sleep(0)
            begun = time.perf_counter()
