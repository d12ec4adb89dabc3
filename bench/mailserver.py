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
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self, cast

import uvloop

from tests.servers.authority import Certificate

GREETING = b"* OK Gimap ready for requests from 127.0.0.1\r\n"
CAPABILITY = b"* CAPABILITY IMAP4rev1 UNSELECT IDLE NAMESPACE QUOTA ID XLIST CHILDREN X-GM-EXT-1 UIDPLUS SASL-IR\r\n"


class Seen(NamedTuple):
    """The times of a session at the server, in seconds; `ended` is in Unix seconds."""

    address: str
    """The address of the server, which identifies the endpoint."""
    ended: float
    tls: float
    """From the accepted connection to the end of the handshake, with the wait."""
    greeting: float
    """From the end of the handshake to the greeting."""
    whole: float
    """From the accepted connection to the last answer."""


class _Session(asyncio.Protocol):
    """Greeting, CAPABILITY, LOGOUT; each line is answered when it arrives. It does TLS itself, to know its times."""

    def __init__(self, server: _Server) -> None:
        self._server = server
        self._began = time.perf_counter()
        self._secured = 0.0
        self._greeted = 0.0
        self._rest = b""
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls: ssl.SSLObject | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        if not self._server.hang:
            self._server.later(self._server.accept_delay, self._begin)

    def data_received(self, data: bytes) -> None:
        self._incoming.write(data)
        self._go_on()

    def _begin(self) -> None:
        self._tls = self._server.context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._go_on()

    def _go_on(self) -> None:
        if self._tls is None:
            return
        with suppress(ssl.SSLWantReadError, ssl.SSLZeroReturnError):
            if not self._secured:
                self._tls.do_handshake()
                self._secured = time.perf_counter()
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
        self._greeted = time.perf_counter()

    def _answer(self, tls: ssl.SSLObject, line: bytes) -> None:
        assert self._transport is not None
        tag, _, command = line.rstrip(b"\r").partition(b" ")
        if command == b"CAPABILITY":
            tls.write(CAPABILITY + tag + b" OK Thats all she wrote!\r\n")
        elif command == b"LOGOUT":
            tls.write(b"* BYE LOGOUT Requested\r\n" + tag + b" OK 73 good day (Success)\r\n")
            with suppress(ssl.SSLWantReadError):
                tls.unwrap()
            self._flush()
            self._note(self._transport)
            self._transport.close()
        else:
            tls.write(tag + b" BAD\r\n")

    def _flush(self) -> None:
        if (data := self._outgoing.read()) and self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def _note(self, transport: asyncio.Transport) -> None:
        now = time.perf_counter()
        self._server.seen.append(
            Seen(
                transport.get_extra_info("sockname")[0],
                time.time(),
                self._secured - self._began,
                self._greeted - self._secured,
                now - self._began,
            )
        )


class _Server:
    def __init__(self, arguments: argparse.Namespace) -> None:
        self.context = Certificate(*arguments.certificate).context
        self.accept_delay = arguments.accept_delay
        self.greeting_delay = arguments.greeting_delay
        self.hang = arguments.hang
        self.seen: list[Seen] = []
        self._sockets = listen(arguments.addresses)

    def later(self, delay: float, call: Callable[[], None]) -> None:
        """Call it after this number of seconds, or at once if that is 0."""
        if delay:
            asyncio.get_running_loop().call_later(delay, call)
        else:
            call()

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        for listening in self._sockets:
            await loop.create_server(lambda: _Session(self), sock=listening, backlog=1024)
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
    parser.add_argument("--hang", action="store_true", help="accept, and never answer")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_Server(parser.parse_args(arguments)).run())


if __name__ == "__main__":
    main()
