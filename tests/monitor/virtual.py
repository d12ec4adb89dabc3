"""An event loop with a clock of its own, for tests of what happens over time."""

from __future__ import annotations

import asyncio
import selectors


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop that does not wait: where nothing is left to do, its clock moves to the next timer.

    `now` is its monotonic time: to add seconds to it is what a callback does that blocks the loop for so long. `epoch`
    is the Unix time when `now` is 0: to change it is to set the wall clock.
    """

    def __init__(self) -> None:
        self.now = 0.0
        self.epoch = 1_700_000_000.0
        super().__init__(_Selector(self))

    def time(self) -> float:
        """Return the monotonic time of the loop, in seconds."""
        return self.now

    def wall(self) -> float:
        """Return Unix seconds."""
        return self.epoch + self.now


class _Selector(selectors.DefaultSelector):
    """Finds out what is ready; where that is nothing, it moves the loop's clock instead of waiting."""

    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:  # there is no timer: only a signal or a thread can go on
            return super().select(None)
        ready = super().select(0)
        if not ready:
            self._loop.now += max(0.0, timeout)
        return ready
