"""Long work in time slices."""

from __future__ import annotations

import asyncio
import math
import time

import pytest

from exporter.web import time_slices
from exporter.web.time_slices import SLICE, in_time_slices


async def test_other_tasks_run_in_between() -> None:
    """And all items come, in order."""
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(other())
    seen = []
    async for item in in_time_slices(range(10)):
        time.sleep(SLICE * 1.1)  # noqa: ASYNC251 (the work must block the event loop)
        seen.append(item)
    task.cancel()
    assert seen == list(range(10))
    assert turns >= 10


async def test_short_work_is_not_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    """No other task runs before the end of a slice."""
    monkeypatch.setattr(time_slices, "SLICE", math.inf)
    task = asyncio.create_task(asyncio.sleep(0))
    assert [item async for item in in_time_slices("abc")] == ["a", "b", "c"]
    assert not task.done()
    await task
