"""Waiting for something that happens elsewhere: in another task, thread or process."""

from __future__ import annotations

import asyncio
import time
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


def settle(check: Callable[[], None]) -> None:
    """Make a check again and again until its assertions hold; for what is right once the machine has caught up.

    Raises:
        AssertionError: they do not hold in time.
    """
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return check()
        except AssertionError:
            if time.monotonic() > deadline:
                raise
        time.sleep(0.2)
