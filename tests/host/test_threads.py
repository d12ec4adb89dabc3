"""Work in threads that nothing waits for."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading

import pytest

from exporter.host.threads import HAND_OVER, hand_over_soon, in_thread
from tests.waiting import PATIENCE, until


async def test_result() -> None:
    """The result, or what was raised, and the event loop goes on meanwhile."""
    gate = threading.Event()
    task = asyncio.create_task(in_thread(gate.wait, 10))
    await asyncio.sleep(0.01)
    assert not task.done()
    gate.set()
    assert await task is True
    with pytest.raises(ZeroDivisionError):
        await in_thread(lambda: 1 / 0)


def test_a_thread_that_computes_hands_over_soon() -> None:
    """Python is told so; how long that takes is for its own tests, and for a busy machine to spoil."""
    before = sys.getswitchinterval()
    try:
        hand_over_soon()
        assert sys.getswitchinterval() == pytest.approx(HAND_OVER)
    finally:
        sys.setswitchinterval(before)


async def test_each_has_a_thread_of_its_own() -> None:
    """However many hang, one more does not wait for them."""
    gate = threading.Event()
    hanging = [asyncio.create_task(in_thread(gate.wait, 10)) for _ in range(100)]
    assert await in_thread(int) == 0
    gate.set()
    await asyncio.gather(*hanging)


async def test_cancelled() -> None:
    """The thread goes on, and its result is lost without a trace."""
    gate, ended = threading.Event(), threading.Event()

    def work() -> None:
        gate.wait(PATIENCE)
        ended.set()

    task = asyncio.create_task(in_thread(work))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert task.cancelled()
    gate.set()
    await until(ended.is_set)


def test_the_end_of_the_program_does_not_wait() -> None:
    """Neither asyncio nor Python waits for a thread that hangs."""
    program = """
import asyncio, time
from exporter.host.threads import HAND_OVER, hand_over_soon, in_thread
async def main():
    task = asyncio.create_task(in_thread(time.sleep, 3600))
    await asyncio.sleep(0.1)
asyncio.run(main())
"""
    ran = subprocess.run([sys.executable, "-c", program], timeout=PATIENCE, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")
