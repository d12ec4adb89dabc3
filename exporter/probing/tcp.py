"""One TCP connection on a non-blocking socket: connect, read, write, and its ends.

asyncio's transports are not used: they read without the time of arrival, which the kernel knows.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import time
from contextlib import suppress
from typing import Protocol, cast

from exporter.probing.kernel import ANCILLARY, ARRIVAL_CLOCK, TcpInfo, tcp_info

_BUFFER = bytearray(256 << 10)
"""What one read takes, of any connection: it is copied from here before the next one."""
_VIEW = memoryview(_BUFFER)
_BUFFERS = [_BUFFER]


class Receiver(Protocol):
    """Whoever is told of what arrives."""

    def receive(self, data: memoryview, at: float) -> None:
        """Take a copy of `data`, which arrived at `at`."""

    def receive_end(self) -> None:
        """The server closed its side, in order: nothing more will arrive, but it may still read."""

    def lose(self, error: OSError | None) -> None:
        """The socket was closed, because of `error` or without one."""


class TcpSocket:
    """A connection to one address. Times are those of `time.perf_counter`.

    What arrives has the time of its arrival, which the kernel takes where it can (`probing/kernel.py`): in the time
    until this process reads it, it may have done other work.
    """

    def __init__(self) -> None:
        self.connected_at = 0.0
        self.sent_at = 0.0
        """When the last octets were handed to the kernel."""
        self.rtt: float | None = None
        """The kernel's first estimate of the round-trip time in seconds; None where there is none."""
        self._info: TcpInfo | None = None
        """What the kernel knew of the connection at its end; None before, or where it does not tell."""
        self._loop = asyncio.get_running_loop()
        self._socket: socket.socket | None = None
        self._receiver: Receiver | None = None
        """None where there is no socket: the receiver has this object, and the two would be a cycle."""
        self._error: OSError | None = None
        """The reset, once the kernel has told it: it tells it once."""
        self._unsent = bytearray()
        self._lost: asyncio.Future[None] | None = None
        self._reading = False
        self._leaving = False
        """Whether the socket is closed as soon as all is sent."""

    @property
    def is_open(self) -> bool:
        """Whether there is a socket."""
        return self._socket is not None

    async def open(self, address: str, port: int, receiver: Receiver) -> None:
        """Connect, and tell `receiver` of what arrives once `resume` is called.

        Raises:
            OSError: from the operating system.
        """
        opened = self._socket = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
        self._receiver = receiver
        try:
            opened.setblocking(False)
            ARRIVAL_CLOCK.enable(opened)
            with suppress(OSError):  # else Nagle's algorithm may delay what is sent, and that is all
                opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await self._connect(opened, (address, port))
        except BaseException:
            self.close()
            raise

    async def _connect(self, opened: socket.socket, address: tuple[str, int]) -> None:
        began = time.perf_counter()
        error = opened.connect_ex(address)
        self.connected_at = time.perf_counter()
        if error == errno.EINPROGRESS:
            connected: asyncio.Future[None] = self._loop.create_future()
            self._loop.add_writer(opened.fileno(), self._note_connect, connected)
            try:
                await connected
            finally:
                self._loop.remove_writer(opened.fileno())
            error = opened.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error:
            raise OSError(error, os.strerror(error))
        if info := tcp_info(opened):
            self.rtt = info.rtt
            if info.total_retrans == 0 and info.rtt:
                # The kernel has measured from the connection request to the answer, and was not late.
                self.connected_at = min(self.connected_at, began + info.rtt)

    def _note_connect(self, connected: asyncio.Future[None]) -> None:
        self.connected_at = time.perf_counter()
        if not connected.done():
            connected.set_result(None)

    def pause(self) -> None:
        """Read no more: the server has to wait."""
        if self._reading and self._socket is not None:
            self._loop.remove_reader(self._socket.fileno())
            self._reading = False

    def resume(self) -> None:
        """Read what arrives from now on, and what has arrived already."""
        if not self._reading and self._socket is not None:
            self._loop.add_reader(self._socket.fileno(), self._read)
            self._reading = True

    def _read(self) -> None:
        """Take what has arrived."""
        if self._socket is None or self._receiver is None:
            return
        try:
            count, ancillary, _, _ = self._socket.recvmsg_into(_BUFFERS, ANCILLARY)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self.close(error)
            return
        if count == 0 and self._error is not None:
            self.close(self._error)
        elif count:
            self._look_for_error(self._socket)
            self._receiver.receive(_VIEW[:count], ARRIVAL_CLOCK.time(ancillary))
        else:
            self.pause()  # an end can be read over and over, as long as something is still to be sent
            self._receiver.receive_end()

    def _look_for_error(self, opened: socket.socket) -> None:
        """Note a reset that came behind the data that was just read, and go on to read what is left.

        Where there is an error, uvloop calls the reader once, and then never again: libuv looks at the socket no more.
        """
        if error := opened.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            if error == errno.ECONNRESET:  # others may be what a router said of one segment, and end nothing
                self._error = OSError(error, os.strerror(error))
            self.pause()
            self.resume()

    def send(self, data: bytes) -> None:
        """Hand `data` to the kernel; what it does not take at once follows when it can."""
        if self._socket is None or self._leaving:
            return
        if self._unsent:
            self._unsent += data
            return
        # Before the call: over loopback the answer may arrive within it.
        self.sent_at = time.perf_counter()
        try:
            sent = self._socket.send(data)
        except (BlockingIOError, InterruptedError):
            sent = 0
        except OSError as error:
            self.close(self._error or error)
            return
        if sent < len(data):
            self._unsent += data[sent:]
            self._loop.add_writer(self._socket.fileno(), self._send_rest)

    def _send_rest(self) -> None:
        assert self._socket is not None  # noqa: S101 (the writer is removed with the socket)
        rest, self._unsent = bytes(self._unsent), bytearray()
        self._loop.remove_writer(self._socket.fileno())
        leaving, self._leaving = self._leaving, False
        self.send(rest)
        if leaving:
            self.leave()

    def leave(self) -> None:
        """Close as soon as all is sent."""
        if self._unsent:
            self._leaving = True
        else:
            self.close()

    def close(self, error: OSError | None = None) -> None:
        """Close now, in any state, because of `error` or without one."""
        gone, self._socket = self._socket, None
        receiver, self._receiver = self._receiver, None
        if gone is None:
            return
        self._info = tcp_info(gone)
        if self._reading:
            self._loop.remove_reader(gone.fileno())
        if self._unsent:
            self._loop.remove_writer(gone.fileno())
        gone.close()
        if receiver is not None:
            receiver.lose(error)
        if self._lost is not None and not self._lost.done():
            self._lost.set_result(None)

    async def wait_closed(self, seconds: float) -> None:
        """Wait until it is closed, at most so many seconds."""
        if self._socket is not None:
            self._lost = self._loop.create_future()
            await asyncio.wait({self._lost}, timeout=seconds)

    def info(self) -> TcpInfo | None:
        """Return what the kernel knows of the connection, or knew at its end; None where it does not tell."""
        return tcp_info(self._socket) if self._socket is not None else self._info

    def local_address(self) -> str:
        """Return this side's IP address."""
        assert self._socket is not None  # noqa: S101 (connected)
        return cast("str", self._socket.getsockname()[0])
