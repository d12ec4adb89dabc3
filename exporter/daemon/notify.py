"""Tells a service manager how the daemon fares: sd_notify(3). Where nobody asked to be told, nothing is sent."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping

import structlog

log = structlog.get_logger("notify")


class Notifier:
    """The socket of the service manager, as it names it in the environment.

    Attributes:
        watchdog: Seconds within which the manager wants a sign of life, or it restarts the daemon; None: it wants none.
    """

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        address = environ.get("NOTIFY_SOCKET", "")
        # sd_notify(3): a leading "@" stands for the NUL of Linux' abstract namespace.
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self.watchdog: float | None = None
        # sd_watchdog_enabled(3): microseconds, and only meant for the process that is named, where one is.
        if environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid()):
            text = environ.get("WATCHDOG_USEC", "")
            self.watchdog = int(text) / 1e6 or None if text.isdecimal() else None

    def send(self, *assignments: str) -> None:
        """Send the assignments, such as `READY=1`, in one message. That nobody takes it is logged, and no more."""
        if not self._address:
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.setblocking(False)  # a manager that does not read must not hold up the probes
            try:
                sender.sendto("\n".join(assignments).encode(), self._address)
            except OSError as error:
                log.warning("the service manager was not told", what=assignments[0], error=error.strerror)

    @contextlib.contextmanager
    def reloading(self) -> Iterator[None]:
        """Say that a reload is under way, and that it is over, however it went."""
        # Type=notify-reload wants the clock too: it tells this reload from an earlier one.
        self.send("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")
        try:
            yield
        finally:
            self.send("READY=1")

    async def watch(self, watchdog: float, problems: Callable[[], list[str]]) -> None:
        """Give a sign of life twice in the `watchdog` seconds for which the manager waits, while there are no problems.

        Whatever stops the event loop stops the signs, too.
        """
        said: list[str] = []
        while True:
            found = problems()
            if found != said:
                self.send(f"STATUS={'; '.join(found)[:500]}")
                said = found
            if not found:
                self.send("WATCHDOG=1")
            await asyncio.sleep(watchdog / 2)
