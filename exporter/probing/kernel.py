"""What the kernel knows of a TCP connection: when octets arrived, and what became of those that were sent.

All of it only adds something. Where the platform has none of it (macOS, gVisor, WSL 1), a time is that of the read, and
a fact is None.
"""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple

_SO_TIMESTAMPNS = 35  # asm-generic/socket.h; the socket module has no name for it
_TIMESPEC = struct.Struct("@ll")

ANCILLARY = socket.CMSG_SPACE(_TIMESPEC.size) if hasattr(socket, "CMSG_SPACE") else 0
"""Octets of ancillary data that a read must have room for."""

_MOST_DRIFT = 100_000
"""Nanoseconds between two readings of the clocks' difference above which the wall clock was set. Both run at one rate:
only a step, or a delay between the two readings, changes the difference."""

_OLDEST = 60_000_000_000
"""Nanoseconds: a stamp that is older was made by another clock."""


class ArrivalClock:
    """Turns the kernel's stamps, which are wall-clock times, into times of `time.perf_counter`."""

    def __init__(self) -> None:
        self.in_use = False
        """Whether the last time was the kernel's."""
        self._difference = _difference()
        self._keeper: int | None = None
        """The descriptor of a socket, which is open until the process ends; a socket object would warn of that."""

    def enable(self, connection: socket.socket) -> None:
        """Let the kernel stamp what arrives; to be called before the connect, or the first octets have no stamp."""
        with suppress(OSError):
            if self._keeper is None:
                # With the first socket that wants stamps the kernel changes its own code, and again with the end of the
                # last one, which takes half a millisecond each: this one, which nothing is sent to, stays open.
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as keeper:
                    keeper.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
                    self._keeper = keeper.detach()
            connection.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)

    def time(self, ancillary: Sequence[tuple[int, int, bytes]]) -> float:
        """Return when the last octet of a read arrived; without a stamp that can be trusted, now."""
        now = time.perf_counter_ns()
        if ancillary and self._is_steady(now):
            for level, kind, data in ancillary:
                if level == socket.SOL_SOCKET and kind == _SO_TIMESTAMPNS and len(data) >= _TIMESPEC.size:
                    seconds, nanoseconds = _TIMESPEC.unpack_from(data)
                    arrived: int = seconds * 1_000_000_000 + nanoseconds - self._difference
                    if 0 <= now - arrived <= _OLDEST:
                        self.in_use = True
                        return arrived / 1e9
        self.in_use = False
        return now / 1e9

    def _is_steady(self, now: int) -> bool:
        """Whether the wall clock was not set since the difference was taken; if it was, take the difference again."""
        if abs(time.time_ns() - now - self._difference) < _MOST_DRIFT:
            return True
        before, self._difference = self._difference, _difference()
        return abs(self._difference - before) < _MOST_DRIFT  # this thread was only delayed between the two readings


def _difference() -> int:
    """Return the wall clock minus the performance counter, in nanoseconds, from the fastest of several readings."""
    readings = []
    for _ in range(5):
        before, wall, after = time.perf_counter_ns(), time.time_ns(), time.perf_counter_ns()
        readings.append((after - before, wall - (before + after) // 2))
    return min(readings)[1]


_TCP_INFO = struct.Struct("=BxB21xI40xI28xI16xQQ")
"""Of linux/tcp.h: the fields of `TcpInfo`, in its order."""


class TcpInfo(NamedTuple):
    """Linux's struct tcp_info, as much of it as is used. What an old kernel does not have is None."""

    state: int
    retransmits: int
    """Times in a row that the oldest segment was sent again."""
    unacked: int
    """Segments that were sent and are not acknowledged."""
    rtt: float
    """The estimate of the round-trip time, in seconds."""
    total_retrans: int | None
    """Segments that were sent again since the connect."""
    bytes_acked: int | None
    """Octets that the server acknowledged, the connection request among them."""
    bytes_received: int | None


def tcp_info(connection: socket.socket) -> TcpInfo | None:
    """Return what the kernel knows of a connection; None where it does not tell."""
    if not hasattr(socket, "TCP_INFO"):
        return None
    try:
        data = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
    except OSError:
        return None
    if len(data) < 72:
        return None
    whole = data if len(data) >= _TCP_INFO.size else data.ljust(_TCP_INFO.size, b"\0")
    state, retransmits, unacked, rtt, total, acked, received = _TCP_INFO.unpack_from(whole)
    if len(data) < _TCP_INFO.size:
        total, acked, received = total if len(data) >= 104 else None, None, None
    return TcpInfo(state, retransmits, unacked, rtt / 1e6, total, acked, received)


ARRIVAL_CLOCK = ArrivalClock()
"""The one of this process: the clocks' difference is the same for all connections."""
