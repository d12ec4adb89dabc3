"""A connection without a socket: a server that says given lines after given seconds, in a time of its own."""

from __future__ import annotations

import time
from collections.abc import Sequence

from exporter.probing.connection import ConnectionClosed
from exporter.probing.pace import Pace

OWN_TIME = 7.0
"""Seconds that this program takes before each of its steps: they must be in no phase."""


class FakeConnection:
    """A `Stream` for the driver. Each answer is the seconds after the last event until it arrives, and its octets."""

    def __init__(self, *answers: tuple[float, bytes]) -> None:
        self._answers = list(answers)
        self.now = time.perf_counter() + 1000  # of what is after every real time
        self.ready_at = self.now
        self.sent_at = 0.0
        self.received_at = 0.0
        self.received = 0
        self.pace = Pace()
        self.sent: list[bytes] = []
        self._event = self.now
        """When the last octets were sent or arrived, from which on the server counts."""

    def _receive(self) -> bytes:
        if not self._answers:
            raise ConnectionClosed("the server closed the connection")
        seconds, octets = self._answers.pop(0)
        self._event = self.received_at = self._event + seconds
        self.received += len(octets)
        self.now = self.received_at + OWN_TIME
        return octets

    async def read_line(self) -> bytes:
        """Return the next answer without its line end."""
        return self._receive().removesuffix(b"\n").removesuffix(b"\r")

    async def read_bytes(self, count: int) -> bytes:
        """Return the next answer, which must have exactly `count` octets."""
        octets = self._receive()
        assert len(octets) == count
        return octets

    def write(self, data: bytes) -> None:
        """Send `data` after some time of this program's own."""
        self.sent.append(data)
        self._event = self.sent_at = self.now

    async def start_tls(self, seconds: float) -> None:
        """A handshake of so many seconds, after which the server may go on."""
        self._event = self.received_at = self.ready_at = self.now + seconds
        self.now = self._event + OWN_TIME


def lines(*said: bytes, each: float = 1.0) -> Sequence[tuple[float, bytes]]:
    """Answers of so many seconds each."""
    return [(each, line + b"\r\n") for line in said]
