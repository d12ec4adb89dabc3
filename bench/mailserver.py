"""A fast IMAP server over TLS, in a process of its own, which records the real times of its answers.

It prints its port. For each line on its standard input it prints one line of JSON: the sessions that ended since the
line before. It ends with its input.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import socket
import ssl
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

import uvloop

from tests.servers.authority import Certificate

GREETING = b"* OK Gimap ready for requests from 127.0.0.1\r\n"
CAPABILITY = b"* CAPABILITY IMAP4rev1 UNSELECT IDLE NAMESPACE QUOTA ID XLIST CHILDREN X-GM-EXT-1 UIDPLUS SASL-IR\r\n"

_SO_TIMESTAMPING = 37  # asm-generic/socket.h
_STAMPS = 1 << 1 | 1 << 3 | 1 << 4 | 1 << 11  # linux/net_tstamp.h: TX_SOFTWARE, RX_SOFTWARE, SOFTWARE, OPT_TSONLY
_TIMESPEC = struct.Struct("@ll")


class Seen(NamedTuple):
    """The times of a session at the server, in seconds, by the kernel's stamps; `ended` is in Unix seconds."""

    address: str
    """The address of the server, which identifies the endpoint."""
    ended: float
    tls: float
    """From the arrival of the client's first octets until the last flight of the handshake was sent."""
    greeting: float
    """From the arrival of the client's last flight until the greeting was sent."""
    whole: float
    """From the arrival of the client's first octets until the last answer was sent."""


class _Stream:
    """A socket of which the kernel stamps what arrives, and what is sent; without `stamps` this process does."""

    def __init__(self, connected: socket.socket, stamps: bool) -> None:
        self._socket = connected
        self._stamps = stamps
        connected.setblocking(False)
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sent_at = 0.0
        """When the last octets were given to the network, in Unix seconds."""
        if stamps:
            connected.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPING, _STAMPS)

    def read(self) -> tuple[bytes, float]:
        """Return what has come, nothing at the end, and when the last of it arrived."""
        data, ancillary, _, _ = self._socket.recvmsg(1 << 16, 512)
        return data, _stamp(ancillary) or time.time()

    def send(self, data: bytes) -> None:
        """Send a little: it is taken at once."""
        self.sent_at = time.time()
        if self._socket.send(data) != len(data):
            raise RuntimeError("the client does not read")
        self.take_stamps()

    def take_stamps(self) -> None:
        """Read the stamps of what was sent. Over the loopback there is one as soon as the call returns."""
        with suppress(BlockingIOError):
            while self._stamps:
                self.sent_at = _stamp(self._socket.recvmsg(0, 512, socket.MSG_ERRQUEUE)[1]) or self.sent_at


def _stamp(ancillary: Iterable[tuple[int, int, bytes]]) -> float:
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, _SO_TIMESTAMPING):
            seconds, nanoseconds = _TIMESPEC.unpack_from(data)
            return float(seconds + nanoseconds / 1e9)
    return 0.0


class _Session:
    """Greeting, CAPABILITY, LOGOUT; each line is answered when it arrives. It does TLS itself, to know its times."""

    def __init__(self, server: _Server, connected: socket.socket) -> None:
        self._server = server
        self._socket = connected
        self._stream = _Stream(connected, server.stamps)
        self._loop = asyncio.get_running_loop()
        self._began = self._flown = self._secured = self._greeted = 0.0
        self._rest = b""
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls: ssl.SSLObject | None = None
        self._is_secured = False
        self._loop.add_reader(connected.fileno(), self._receive)
        if not server.hang:
            server.later(server.accept_delay, self._begin)

    def _receive(self) -> None:
        self._stream.take_stamps()  # the kernel wakes us for these, too
        try:
            data, at = self._stream.read()
        except BlockingIOError:
            return
        except OSError:
            data, at = b"", 0.0
        if not data:
            self._close()
            return
        self._began = self._began or at
        self._incoming.write(data)
        self._go_on(at)

    def _begin(self) -> None:
        self._tls = self._server.context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._go_on(self._began)

    def _go_on(self, at: float) -> None:
        if self._tls is None:
            return
        with suppress(ssl.SSLWantReadError, ssl.SSLZeroReturnError):
            if not self._is_secured:
                try:
                    self._tls.do_handshake()
                except ssl.SSLWantReadError:
                    self._flush()
                    self._flown = self._stream.sent_at
                    return
                self._is_secured, self._secured = True, at
                self._server.later(self._server.greeting_delay, self._greet)
            while received := self._tls.read():
                *lines, self._rest = (self._rest + received).split(b"\n")
                for line in lines:
                    self._answer(self._tls, line)
        self._flush()

    def _greet(self) -> None:
        assert self._tls is not None
        self._tls.write(GREETING)
        self._flush()
        self._greeted = self._stream.sent_at

    def _answer(self, tls: ssl.SSLObject, line: bytes) -> None:
        tag, _, command = line.rstrip(b"\r").partition(b" ")
        if command == b"CAPABILITY":
            tls.write(CAPABILITY + tag + b" OK Thats all she wrote!\r\n")
        elif command == b"LOGOUT":
            tls.write(b"* BYE LOGOUT Requested\r\n" + tag + b" OK 73 good day (Success)\r\n")
            with suppress(ssl.SSLWantReadError):
                tls.unwrap()
            self._flush()
            self._note()
            self._close()
        else:
            tls.write(tag + b" BAD\r\n")

    def _flush(self) -> None:
        if (data := self._outgoing.read()) and self._socket.fileno() >= 0:
            try:
                self._stream.send(data)
            except OSError:
                self._close()

    def _note(self) -> None:
        address, ended = self._socket.getsockname()[0], self._stream.sent_at
        self._server.seen.append(
            Seen(address, ended, self._flown - self._began, self._greeted - self._secured, ended - self._began)
        )

    def _close(self) -> None:
        if self._socket.fileno() >= 0:
            self._loop.remove_reader(self._socket.fileno())
            self._socket.close()


class _Server:
    def __init__(self, arguments: argparse.Namespace) -> None:
        self.context = Certificate(*arguments.certificate).context
        self.accept_delay = arguments.accept_delay
        self.greeting_delay = arguments.greeting_delay
        self.hang = arguments.hang
        self.stamps = arguments.stamps
        self.seen: list[Seen] = []
        self._sockets = listen(arguments.addresses)

    def later(self, delay: float, call: Callable[[], None]) -> None:
        """Call it after this number of seconds, or at once if that is 0."""
        if delay:
            asyncio.get_running_loop().call_later(delay, call)
        else:
            call()

    def _accept(self, listening: socket.socket) -> None:
        with suppress(BlockingIOError):
            while True:
                _Session(self, listening.accept()[0])

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        for listening in self._sockets:
            listening.setblocking(False)
            loop.add_reader(listening.fileno(), self._accept, listening)
        print(self._sockets[0].getsockname()[1], flush=True)
        reader = asyncio.StreamReader()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        while await reader.readline():
            print(json.dumps(self.seen), flush=True)
            self.seen.clear()


def listen(addresses: int) -> list[socket.socket]:
    """Listen on 127.0.0.1 and on this many more addresses of the loopback, on the same port."""
    while True:
        first = socket.create_server(("127.0.0.1", 0), backlog=1024)
        port = first.getsockname()[1]
        try:
            return [first, *(socket.create_server((address(n), port), backlog=64) for n in range(addresses))]
        except OSError:
            first.close()


def address(number: int) -> str:
    """Return the address of the endpoint with this number, if each has its own."""
    return f"127.1.{number // 250}.{number % 250 + 1}"


class MailServer:
    """The process of the server, for the benchmark."""

    def __init__(self, certificate: Certificate, *flags: str) -> None:
        self._command = [
            sys.executable, "-m", "bench.mailserver", str(certificate.chain_file), str(certificate.key_file), *flags,
        ]  # fmt: skip

    def __enter__(self) -> Self:
        self._popen = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        assert self._popen.stdout is not None
        self.port = int(self._popen.stdout.readline())
        self.pid = self._popen.pid
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._popen.__exit__(kind, error, trace)  # closes the pipes, which ends it, and waits

    def sessions(self) -> list[Seen]:
        """Return the sessions that ended since the last call."""
        assert self._popen.stdin is not None
        assert self._popen.stdout is not None
        self._popen.stdin.write("\n")
        self._popen.stdin.flush()
        return [Seen(*one) for one in json.loads(self._popen.stdout.readline())]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the server."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("certificate", nargs=2, type=Path)
    parser.add_argument("--addresses", type=int, default=0, help="additional addresses to listen on")
    parser.add_argument("--accept-delay", type=float, default=0.0, help="seconds before the handshake")
    parser.add_argument("--greeting-delay", type=float, default=0.0, help="seconds before the greeting")
    parser.add_argument("--stamps", action="store_true", help="take the times of the kernel's stamps")
    parser.add_argument("--hang", action="store_true", help="accept, and never answer")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_Server(parser.parse_args(arguments)).run())


if __name__ == "__main__":
    main()
