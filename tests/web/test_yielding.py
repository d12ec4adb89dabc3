"""Long work in pieces."""

from __future__ import annotations

import asyncio
import math
import time

import pytest

from exporter.web import yielding as turns_module
from exporter.web.yielding import TURN, in_turns


async def test_everything_else_has_its_turn() -> None:
    """Another task runs while long work goes on, and all items come, in order."""
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(other())
    seen = []
    async for item in in_turns(range(10)):
        time.sleep(TURN * 1.1)  # noqa: ASYNC251 (work that holds the loop is what this is about)
        seen.append(item)
    task.cancel()
    assert seen == list(range(10))
    assert turns >= 10


async def test_short_work_is_not_held_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing else runs in between, where nothing takes a turn."""
    monkeypatch.setattr(turns_module, "TURN", math.inf)
    task = asyncio.create_task(asyncio.sleep(0))
    assert [item async for item in in_turns("abc")] == ["a", "b", "c"]
    assert not task.done()
    await task
