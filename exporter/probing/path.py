"""A trace of the path to a port: connection requests with a growing time to live, and what answers each.

A router at which the time to live ends says so (ICMP time exceeded, RFC 792, RFC 4443 §3.3); what comes after the last
router is the server's own answer, or a firewall's. Linux keeps the ICMP messages for the socket that sent the request
(IP_RECVERR, ip(7)): that takes no privilege. A firewall treats these requests as it does those of a mail client.

Where connections are spread over several ways, hops of different ways may stand in one trace.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import struct
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

from exporter.model.evidence import Hop, PathEnd, Trace

DEADLINE = 5.0
"""Seconds that a trace takes at most."""

WEB_PORT = 443
"""The port of the same address that a trace is compared with."""

_AT_ONCE = 6
"""Hops that are asked at one time: few, so that the server gets few connections after the one that reaches it, and a
router that limits its ICMP messages (Linux: six at once to one host) answers all."""

_PATIENCE = 0.8
"""Seconds after which farther hops are asked, though some have not answered; those still may."""

_LAST_PATIENCE = 1.3
"""Seconds to wait in the end for hops that have not answered: the kernel sends a request again after one."""

# linux/in.h, linux/in6.h, linux/errqueue.h; the socket module has no names for them.
_IP_RECVERR, _IPV6_RECVERR = 11, 25
_EXTENDED_ERROR = struct.Struct("=IBBBxII")
_FROM_ICMP = {2: socket.AF_INET, 3: socket.AF_INET6}

_TIME_EXCEEDED = {socket.AF_INET: 11, socket.AF_INET6: 3}
_UNREACHABLE = {socket.AF_INET: 3, socket.AF_INET6: 1}
_REJECTED = {socket.AF_INET: {3, 9, 10, 13}, socket.AF_INET6: {1, 4, 5, 6}}
"""Codes by which firewalls reject (RFC 792, RFC 1122 §3.2.2.1, RFC 1812 §5.2.7.1, RFC 4443 §3.1): that a port is
unreachable, too, for a server says that with a RST."""


class _Icmp(NamedTuple):
    """An ICMP message about a request: from whom, and what it ends; None: the time to live."""

    sender: str
    end: PathEnd | None


class _Answer(NamedTuple):
    address: str
    rtt: float
    end: PathEnd | None


async def trace(address: str, port: int, *, max_hops: int = 30, deadline: float = DEADLINE) -> Trace | None:
    """Return the path to `port` at `address`; None where this system does not show it, or has no way there at all.

    It ends every connection that it makes, and takes at most `deadline` seconds.
    """
    path = _Path(address, port)
    try:
        with suppress(TimeoutError):
            async with asyncio.timeout(deadline):
                await path.follow(max_hops)
    except OSError:
        return None
    finally:
        path.close()
    return path.trace()


class Tracer:
    """Traces, but not more often than so many times an hour. `clock` gives seconds."""

    def __init__(self, max_per_hour: int, max_hops: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._max_hops = max_hops
        self._clock = clock
        self._began: deque[float] = deque(maxlen=max_per_hour)

    async def trace(self, address: str, port: int) -> tuple[Trace | None, Trace | None]:
        """Return the path to the port and that to port 443 of the same address, traced at one time.

        Both are None where there were as many traces in the last hour as there may be.
        """
        now = self._clock()
        if self._began.maxlen == 0 or (len(self._began) == self._began.maxlen and now - self._began[0] < 3600):
            return None, None
        self._began.append(now)
        if port == WEB_PORT:
            return await trace(address, port, max_hops=self._max_hops), None
        to_port, to_web = await asyncio.gather(
            trace(address, port, max_hops=self._max_hops), trace(address, WEB_PORT, max_hops=self._max_hops)
        )
        return to_port, to_web


class _Path:
    """The requests that are under way, and what has answered."""

    def __init__(self, address: str, port: int) -> None:
        self._address, self._port = address, port
        self._family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self._loop = asyncio.get_running_loop()
        self._asked: dict[int, float] = {}
        self._waiting: dict[int, socket.socket] = {}
        self._answers: dict[int, _Answer] = {}
        self._answered = asyncio.Event()

    async def follow(self, max_hops: int) -> None:
        """Ask hop after hop, until one ends the path.

        Raises:
            OSError: a system call failed; this system may not have it.
        """
        for first in range(1, max_hops + 1, _AT_ONCE):
            for ttl in range(first, min(first + _AT_ONCE, max_hops + 1)):
                self._ask(ttl)
            await self._wait(_PATIENCE, or_end=True)
            if self._end() is not None:
                break
        await self._wait(_LAST_PATIENCE, or_end=False)

    def _ask(self, ttl: int) -> None:
        asking = self._waiting[ttl] = socket.socket(self._family)
        asking.setblocking(False)
        if self._family == socket.AF_INET6:
            asking.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVERR, 1)
            asking.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, ttl)
        else:
            asking.setsockopt(socket.IPPROTO_IP, _IP_RECVERR, 1)
            asking.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, ttl)
        self._asked[ttl] = time.perf_counter()
        error = asking.connect_ex((self._address, self._port))
        if error == errno.EINPROGRESS:
            # Both loops call a writer as well for a socket that has an error, or only a message in its error queue.
            self._loop.add_writer(asking, self._read, ttl)
            return
        self._note(ttl, error)
        if ttl not in self._answers:
            raise OSError(error, "nothing was sent")

    def _read(self, ttl: int) -> None:
        asking = self._waiting[ttl]
        self._loop.remove_writer(asking)
        with suppress(OSError):
            self._note(ttl, asking.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
        self._answered.set()

    def _note(self, ttl: int, error: int) -> None:
        """Note what answered a request that ended with `error`, and close its socket."""
        rtt = time.perf_counter() - self._asked[ttl]
        with self._waiting.pop(ttl) as asking:
            if icmp := _read_icmp(asking):
                self._answers[ttl] = _Answer(icmp.sender, rtt, icmp.end)
            elif error in (0, errno.ECONNREFUSED, errno.ECONNRESET):
                self._answers[ttl] = _Answer(self._address, rtt, PathEnd.RST if error else PathEnd.SYN_ACK)

    def _end(self) -> int | None:
        """The nearest hop that ended the path so far."""
        return min((ttl for ttl, answer in self._answers.items() if answer.end), default=None)

    async def _wait(self, seconds: float, *, or_end: bool) -> None:
        """Wait until all hops before the end have answered, or for the end alone."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while True:
                    end = self._end()
                    if (or_end and end) or all(end and ttl > end for ttl in self._waiting):
                        return
                    self._answered.clear()
                    await self._answered.wait()

    def close(self) -> None:
        """Close every socket."""
        for asking in self._waiting.values():
            self._loop.remove_writer(asking)
            asking.close()
        self._waiting.clear()

    def trace(self) -> Trace:
        """Return what is known."""
        last = self._end() or max(self._asked)
        hops = []
        for ttl in range(1, last + 1):
            answer = self._answers.get(ttl)
            hops.append(Hop(ttl, answer and answer.address, answer and answer.rtt))
        ending = self._answers[last].end if self._end() else None
        end_hop = None
        if ending:
            # A router checks the time to live before its firewall sees a request: it has answered at its own hop, too.
            end_hop = next(hop.ttl for hop in hops if hop.address == hops[-1].address)
        return Trace(
            self._address, self._port, tuple(hops[:end_hop]), ending or PathEnd.NOTHING, end_hop, at=time.time()
        )


def _read_icmp(asking: socket.socket) -> _Icmp | None:
    """Return the ICMP message that came for a socket; None where there is none that is understood."""
    try:
        _, ancillary, _, _ = asking.recvmsg(0, 512, socket.MSG_ERRQUEUE)
    except OSError:
        return None  # nothing is queued
    for level, kind, data in ancillary:
        if (level, kind) in ((socket.IPPROTO_IP, _IP_RECVERR), (socket.IPPROTO_IPV6, _IPV6_RECVERR)):
            return _parse_icmp(data)
    return None


def _parse_icmp(data: bytes) -> _Icmp | None:
    """Parse Linux's struct sock_extended_err, behind which the sender's address is."""
    if len(data) < _EXTENDED_ERROR.size:
        return None
    _, origin, kind, code, _, _ = _EXTENDED_ERROR.unpack_from(data)
    family = _FROM_ICMP.get(origin)
    if family is None:
        return None
    # A struct sockaddr_in has the address after four octets, a struct sockaddr_in6 after eight.
    start, length = (4, 4) if family == socket.AF_INET else (8, 16)
    packed = data[_EXTENDED_ERROR.size + start :][:length]
    if len(packed) < length:
        return None
    sender = socket.inet_ntop(family, packed)
    if kind == _TIME_EXCEEDED[family]:
        return _Icmp(sender, None)
    if kind != _UNREACHABLE[family]:
        return None
    return _Icmp(sender, PathEnd.ICMP_REJECTED if code in _REJECTED[family] else PathEnd.ICMP_UNREACHABLE)
