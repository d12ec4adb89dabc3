"""Waiting for something that happens elsewhere: in another task, thread or process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

PATIENCE = 60.0
"""Seconds within which what a test waits for must happen. It takes a moment, unless the machine is busy."""


async def until(condition: Callable[[], object], seconds: float = PATIENCE) -> None:
    """Return once the condition holds.

    Raises:
        TimeoutError: not within `seconds`.
    """
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)
