"""Work that may block, such as reading files over a network, in threads that nothing waits for at the end."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

T = TypeVar("T")

HAND_OVER = 0.001
"""Seconds after which a thread that computes hands the interpreter over to one that waits for it."""


def hand_over_soon() -> None:
    """Let the event loop wait `HAND_OVER` for a thread that computes, and not Python's 5 ms.

    It waits whenever it goes on after a pause: an answer takes a dozen turns of the loop, and took a tenth of a second
    longer while a configuration was read.
    """
    sys.setswitchinterval(HAND_OVER)


async def in_thread(work: Callable[..., T], *arguments: object) -> T:
    """Return the result of `work`, or raise what it raises, from a thread of its own.

    Not from asyncio's own threads: they are few and shared, and the end of the program waits for them, for ever where a
    file system hangs. Where this is cancelled, the thread goes on, and its result is lost.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: Exception | None) -> None:
        if done.done():  # cancelled
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(result)  # type: ignore[arg-type]

    def run() -> None:
        result, fault = None, None
        try:
            result = work(*arguments)
        except Exception as error:  # noqa: BLE001 (raised where the result is awaited)
            fault = error
        with suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(settle, result, fault)

    threading.Thread(target=run, name=getattr(work, "__name__", "work"), daemon=True).start()
    return await done
