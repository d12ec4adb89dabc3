"""What clients send: requests that are nearly HTTP, to every route, on one connection each.

A case is the octets of a connection. The real application answers, with the real server's protocol on a transport that
keeps what is written: no socket, so that a case takes less than a millisecond.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, cast

import h11
import structlog

from exporter.accounts.ledger import Ledger
from exporter.config.load import load
from exporter.daemon.composition import Daemon, DaemonOptions
from exporter.model.address import HostPattern
from exporter.model.site import Site
from fuzz.fuzzer import Wrong
from fuzz.mutation import SEEDS, Mutator, dictionary
from tests.web.requests_generator import RequestGenerator

if TYPE_CHECKING:
    from uvicorn.protocols.http.h11_impl import RequestResponseCycle

    from exporter.web.server.protocol import HttpConnection

SENTINEL = "s3ntinel-hunter2"
SECONDS = 3.0
"""Seconds in which a request that is complete must be answered."""

PIECES = 20
"""Pieces in which they are waited for: time in which this process was stopped, or got no processor, counts as one."""

CONFIGURATION = """
accounts: {ops: {username: probe@example.com, app_password: {env: PASSWORD}}}
endpoints:
  imap: {protocol: imap, host: 127.0.0.1, port: 9, account: ops, interval: 1d, login_interval: 1d, timeout: 1s}
  pop3: {protocol: pop3, host: 127.0.0.1, port: 9, interval: 1d, timeout: 1s, labels: {tenant: acme}}
modules:
  imaps: {protocol: imap, timeout: 1s}
  login: {protocol: imap, account: ops, timeout: 1s, allow_hosts: ["127.0.0.1:9"]}
probe: {allow: ["127.0.0.1:9"]}
"""
"""Nothing is sent to anywhere but the discard port of this host, where nobody listens."""


class _Transport(asyncio.Transport):
    """A client's connection that takes everything at once."""

    def __init__(self, peer: str) -> None:
        super().__init__({"peername": (peer, 40000), "sockname": ("127.0.0.1", 9993)})
        self.written = bytearray()
        self._is_closing = False

    def write(self, data: Any) -> None:
        self.written += data

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        pass

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass

    def is_closing(self) -> bool:
        return self._is_closing

    def close(self) -> None:
        self._is_closing = True

    def abort(self) -> None:
        self._is_closing = True


class _Faults(logging.Handler):
    """Keeps what is logged as an error: an exception of the application, or a fault in a probe."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.found: list[BaseException] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.name != "check":  # that an endpoint is down is no fault
            error = record.exc_info[1] if record.exc_info else None
            self.found.append(error or Wrong(f"an error is logged: {self.format(record)}"))


class Requests:
    """The seeds are the requests of browsers, of Prometheus and of scripts."""

    def __init__(self, directory: Path) -> None:
        seeds = [path.read_bytes() for path in sorted((SEEDS / "requests").glob("*.http"))]
        self._mutator = Mutator(seeds, dictionary("requests.words"), dictionary("requests.lines"))
        file = directory / "gmail.yml"
        file.write_text(CONFIGURATION)
        environ = {"PASSWORD": SENTINEL}
        self._faults = _Faults()
        logging.getLogger().handlers[:] = [self._faults]
        processors: list[structlog.typing.Processor] = [
            structlog.processors.ExceptionRenderer(),
            structlog.processors.KeyValueRenderer(),
        ]
        structlog.configure(processors, logger_factory=structlog.stdlib.LoggerFactory())
        self._loop = asyncio.new_event_loop()
        self._daemon = self._loop.run_until_complete(self._start(file, environ))
        self._cases = 0

    async def _start(self, file: Path, environ: dict[str, str]) -> Daemon:
        site = Site(allowed_hosts=(HostPattern("*"),))  # whatever the Host is, the pages answer
        options = DaemonOptions(file, Ledger(), [], environ, enable_lifecycle=True, site=site)
        return Daemon(load(file, environ), options)

    def close(self) -> None:
        """Close the event loop, where this is not the end of the process."""
        self._loop.close()

    def make(self, random: Random) -> bytes:
        """Return a case: a seed with a few changes, or requests of odd parts, with a few changes or none."""
        if random.random() < 0.5:
            return self._mutator(random)
        requests = RequestGenerator(random)
        case = b"".join(requests.request().octets for _ in range(random.choice((1, 1, 2))))
        return case if random.random() < 0.5 else self._mutator.change(random, case)

    def run(self, case: bytes) -> None:
        """Let a client send the case, and check the answers.

        Raises:
            Wrong: Something that must be true of every answer is not.
        """
        if not case:
            return  # no event loop gives nothing to a protocol
        self._cases += 1
        self._faults.found.clear()
        written = self._loop.run_until_complete(self._talk(case, f"127.0.{self._cases >> 8 & 255}.{self._cases & 255}"))
        if self._faults.found:
            raise self._faults.found[0]
        if SENTINEL.encode() in written:
            raise Wrong(f"an answer has a secret: {written!r}")
        _check(written)

    async def _talk(self, case: bytes, peer: str) -> bytes:
        """Return everything that the server sends."""
        server = self._daemon._server
        protocol = cast("HttpConnection", server.new_protocol())
        transport = _Transport(peer)
        tasks = server.server_state.tasks
        try:
            protocol.connection_made(transport)
            protocol.data_received(case)
            if not await _end(tasks, lambda: _waits_for_client(protocol)):
                raise Wrong("a request is not answered in time")
            protocol.connection_lost(None)
            if not await _end(tasks):
                raise Wrong("a request goes on when its client has gone")
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return bytes(transport.written)


async def _end(tasks: set[asyncio.Task[None]], suffices: Callable[[], bool] = lambda: False) -> bool:
    """Wait until there is no task, or something else suffices; return whether that took `SECONDS` at most."""
    for _ in range(PIECES):
        while tasks and not suffices():
            if not (await asyncio.wait(set(tasks), timeout=SECONDS / PIECES, return_when=asyncio.FIRST_COMPLETED))[0]:
                break
        else:
            return True
    return False


def _waits_for_client(protocol: HttpConnection) -> bool:
    cycle: RequestResponseCycle | None = protocol.cycle
    return cycle is not None and cycle.more_body


def _check(written: bytes) -> None:
    """Check that the answers are HTTP, and that none is an error of the server's own."""
    client = h11.Connection(h11.CLIENT)
    client.send(h11.Request(method="GET", target="/", headers=[("Host", "a")]))
    client.send(h11.EndOfMessage())
    client.receive_data(written)
    client.receive_data(b"")
    try:
        event = client.next_event()
    except h11.RemoteProtocolError as error:
        if written:
            raise Wrong(f"an answer is not HTTP: {error} in {written[:300]!r}") from None
        return
    if isinstance(event, h11.InformationalResponse):
        event = client.next_event()
    if isinstance(event, h11.Response) and event.status_code >= 500 and event.status_code not in (501, 503):
        raise Wrong(f"an answer is an error of the server's own: {event.status_code}")
