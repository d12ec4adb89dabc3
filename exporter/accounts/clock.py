"""The time by which a login budget goes: that of the running system, which nobody sets.

Linux counts the seconds since it was started, suspended ones too (CLOCK_BOOTTIME, clock_gettime(2)), and gives each
start of the system a name (/proc/sys/kernel/random/boot_id, random(4)). Two readings of one boot differ by the time
that has really passed. Only between boots, and between hosts, there is nothing but the wall clock.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")

JITTER = 1.0
"""Seconds by which a reading may be older than the last one because another thread was faster."""


class Clock:
    """Seconds of one boot.

    Args:
        boot: The name of the boot; by default that of this one.
        steady: Returns the seconds since the boot.
        wall: Returns Unix seconds.
    """

    def __init__(
        self, boot: str = "", steady: Callable[[], float] | None = None, wall: Callable[[], float] = time.time
    ) -> None:
        self.boot = boot or boot_name()
        self.wall = wall
        self._steady = steady or _since_boot
        self._ahead = 0.0
        self._last = 0.0

    def now(self) -> float:
        """Return the seconds since the boot. They never go back, even where the system's do."""
        now, last = self._steady() + self._ahead, self._last
        if now < last:
            if last - now > JITTER:
                self._ahead += last - now
            return last
        self._last = now
        return now

    def catch_up(self, seconds: float) -> None:
        """Go on from `seconds`, which another process of this boot has read, where this clock is behind."""
        self._ahead += max(0.0, seconds - self.now())

    def unix(self, seconds: float) -> float:
        """Return the Unix seconds of a time in seconds since the boot, by the wall clock as it is set now."""
        return self.wall() + seconds - self.now()


def boot_name(path: Path = BOOT_ID) -> str:
    """Return the name of this boot; where the system has none, another one in each process."""
    try:
        return path.read_text("ascii").strip() or f"process {uuid4()}"
    except (OSError, ValueError):
        return f"process {uuid4()}"


def _since_boot() -> float:
    # macOS has no CLOCK_BOOTTIME; its monotonic clock stands still while the system is suspended.
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()
