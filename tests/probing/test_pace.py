"""A task that works for long lets others run."""

from __future__ import annotations

import asyncio
import time

from exporter.probing.pace import SLICE, Pace


async def test_pace() -> None:
    """It is over when as much time has passed as it says, not before, and begins again with a rest or a wait."""
    pace = Pace()
    answers: list[bool] = []
    begun = time.perf_counter()
    while not answers or not answers[-1]:
        answers.append(pace.is_over)
    assert time.perf_counter() - begun >= SLICE / 2
    pace.begin()
    answers.append(pace.is_over)
    assert answers == [*[False] * (len(answers) - 2), True, False]


async def test_rest() -> None:
    """Others run meanwhile."""
    pace, ran = Pace(), []

    async def other() -> None:
        ran.append(True)

    task = asyncio.create_task(other())
    await pace.rest()
    assert ran
    assert not pace.is_over
    await task
