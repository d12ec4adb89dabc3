"""Messages to the service manager: sd_notify(3). Without one, nothing is sent."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping

import structlog

_MAX_DIGITS = 20  # of an unsigned integer of 64 bits

log = structlog.get_logger("notify")


class Notifier:
    """The socket of the service manager, from the environment.

    Attributes:
        watchdog: Seconds within which the manager expects a keep-alive, or it restarts the daemon; None: no watchdog.
    """

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        address = environ.get("NOTIFY_SOCKET", "")
        # sd_notify(3): a leading "@" is the NUL of an address in Linux' abstract namespace.
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._is_heard = True
        self.watchdog: float | None = None
        # sd_watchdog_enabled(3): in microseconds; only for the process WATCHDOG_PID, if it is set.
        if environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid()):
            text = environ.get("WATCHDOG_USEC", "")
            # Of more digits systemd makes no number either; Python refuses to convert thousands of them.
            is_number = text.isdecimal() and len(text) <= _MAX_DIGITS
            self.watchdog = int(text) / 1e6 or None if is_number else None

    def send(self, *assignments: str) -> None:
        """Send the assignments, such as `READY=1`, in one message. The first of several failures is logged."""
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                sender.setblocking(False)  # a manager that does not read must not block the probes
                sender.sendto("\n".join(assignments).encode(), self._address)
        except OSError as error:
            if self._is_heard:
                reason = error.strerror or str(error)
                log.warning("the service manager was not told", what=assignments[0], error=reason)
            self._is_heard = False
        else:
            self._is_heard = True

    @contextlib.contextmanager
    def reloading(self) -> Iterator[None]:
        """Send that a reload is under way, and at its end, successful or not, that the daemon is ready."""
        # Type=notify-reload compares the clock, to know this reload from an earlier one.
        self.send("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")
        try:
            yield
        finally:
            self.send("READY=1")

    async def watch(self, watchdog: float, problems: Callable[[], list[str]]) -> None:
        """Send a keep-alive twice in `watchdog` seconds while there are no problems, and problems as the status.

        Where the event loop is blocked, no keep-alive is sent.
        """
        reported: list[str] = []
        while True:
            found = problems()
            if found != reported:
                self.send(f"STATUS={'; '.join(found)[:500]}")
                reported = found
            if not found:
                self.send("WATCHDOG=1")
            await asyncio.sleep(watchdog / 2)
