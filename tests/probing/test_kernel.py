"""What the kernel tells of a connection, and that a probe does without what it does not tell."""

from __future__ import annotations

import errno
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from exporter.model.evidence import TcpFinding
from exporter.model.outcome import Phase
from exporter.model.reason import Reason
from exporter.probing.connection import connect
from exporter.probing.kernel import ANCILLARY, ARRIVAL_CLOCK, ArrivalClock, tcp_info
from tests.probing import without_inotify
from tests.probing.test_evidence import probed
from tests.servers import acts
from tests.servers.dialogues import Imap
from tests.waiting import PATIENCE

if TYPE_CHECKING:
    from tests.conftest import StartScripted

STAMP = (socket.SOL_SOCKET, 35)


def stamp(at: int) -> list[tuple[int, int, bytes]]:
    """The ancillary data of a read, with a stamp in Unix nanoseconds."""
    return [(*STAMP, struct.pack("@ll", *divmod(at, 1_000_000_000)))]


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """A connection over loopback: the client's end, which has stamps, and the server's."""
    with socket.create_server(("127.0.0.1", 0)) as listening, socket.socket() as client:
        ARRIVAL_CLOCK.enable(client)
        client.connect(listening.getsockname())
        server, _ = listening.accept()
        with server:
            yield client, server


def read(client: socket.socket) -> list[tuple[int, int, bytes]]:
    """Read, and return the ancillary data."""
    return client.recvmsg_into([bytearray(100)], ANCILLARY)[1]


def test_arrival(pair: tuple[socket.socket, socket.socket]) -> None:
    """The time is that of the arrival, not that of the read."""
    client, server = pair
    before = time.perf_counter()
    server.sendall(b"x")
    after = time.perf_counter()
    time.sleep(0.05)
    clock = ArrivalClock()
    assert before - 1e-4 <= clock.time(read(client)) <= after + 1e-3
    assert clock.in_use


@pytest.mark.parametrize("step", [-3600, -1, -0.001, 0.001, 1, 3600])
def test_clock_was_set(monkeypatch: pytest.MonkeyPatch, step: float) -> None:
    """After a step of the wall clock a stamp may be of either side of it: it is dropped, the next one counts."""
    clock = ArrivalClock()
    wall = time.time_ns
    monkeypatch.setattr("exporter.probing.kernel.time.time_ns", lambda: wall() + round(step * 1e9))
    before = time.perf_counter()
    assert clock.time(stamp(wall() - 20_000_000)) >= before
    assert not clock.in_use
    before = time.perf_counter()
    arrived = clock.time(stamp(time.time_ns() - 20_000_000))
    assert before - 0.03 <= arrived <= time.perf_counter() - 0.01
    assert clock.in_use


@pytest.mark.parametrize("age", [-1000.0, -10.0, 61.0, 1e9])
def test_stamp_of_another_clock(age: float) -> None:
    """A stamp in the future, or of long ago, is not of this clock."""
    clock = ArrivalClock()
    before = time.perf_counter()
    assert before <= clock.time(stamp(time.time_ns() - round(age * 1e9))) <= time.perf_counter()
    assert not clock.in_use


@pytest.mark.parametrize("ancillary", [[], [(*STAMP, b"")], [(*STAMP, b"1234567")], [(1, 2, b"x" * 16)]])
def test_no_stamp(ancillary: list[tuple[int, int, bytes]]) -> None:
    """Without a stamp it is the time of the read."""
    clock = ArrivalClock()
    before = time.perf_counter()
    assert before <= clock.time(ancillary) <= time.perf_counter()
    assert not clock.in_use


def test_tcp_info(pair: tuple[socket.socket, socket.socket]) -> None:
    """State, octets and round-trip time of a connection over loopback."""
    client, server = pair
    client.sendall(b"hello")
    server.sendall(b"hi")
    read(client)
    time.sleep(0.05)
    info = tcp_info(client)
    assert info is not None
    assert (info.state, info.unacked, info.retransmits, info.total_retrans) == (1, 0, 0, 0)
    assert 0 < info.rtt < 1
    assert (info.bytes_acked, info.bytes_received) == (6, 2)


class Deaf:
    """A socket whose `getsockopt` fails, or returns these octets."""

    def __init__(self, data: bytes | None) -> None:
        self.data = data

    def getsockopt(self, *_: int) -> bytes:
        if self.data is None:
            raise OSError(errno.ENOPROTOOPT, "Protocol not available")
        return self.data


@pytest.mark.parametrize("length", [None, 0, 1, 71])
def test_no_tcp_info(length: int | None) -> None:
    """Where the kernel has none, or a shorter one than ever was, there is none."""
    assert tcp_info(Deaf(None if length is None else b"\x01" * length)) is None  # type: ignore[arg-type]


@pytest.mark.parametrize(("length", "known"), [(72, 0), (103, 0), (104, 1), (135, 1), (136, 3), (512, 3)])
def test_short_tcp_info(length: int, known: int) -> None:
    """What an old kernel does not tell is None."""
    info = tcp_info(Deaf(b"\x01" * length))  # type: ignore[arg-type]
    assert info is not None
    assert sum(value is not None for value in (info.total_retrans, info.bytes_acked, info.bytes_received)) == known


def test_no_such_constant(monkeypatch: pytest.MonkeyPatch, pair: tuple[socket.socket, socket.socket]) -> None:
    """A platform without TCP_INFO."""
    monkeypatch.delattr(socket, "TCP_INFO")
    assert tcp_info(pair[0]) is None


OPTIONAL = {
    "no stamps": (socket.SOL_SOCKET, 35),
    "no TCP_NODELAY": (socket.IPPROTO_TCP, socket.TCP_NODELAY),
    "no TCP_INFO": (socket.IPPROTO_TCP, socket.TCP_INFO),
}


class Poor(socket.socket):
    """A socket of a kernel without one option."""

    missing: tuple[int, int]

    def setsockopt(self, *arguments: Any) -> None:
        """Set any other option."""
        if arguments[:2] == self.missing:
            raise OSError(errno.ENOPROTOOPT, "Protocol not available")
        super().setsockopt(*arguments)

    def getsockopt(self, *arguments: Any) -> Any:
        """Return any other option."""
        if arguments[:2] == self.missing:
            raise OSError(errno.EOPNOTSUPP, "Operation not supported")
        return super().getsockopt(*arguments)


class Short(socket.socket):
    """A socket of a kernel whose TCP_INFO ends early."""

    def getsockopt(self, *arguments: Any) -> Any:
        """Return the first 71 octets at most."""
        found: object = super().getsockopt(*arguments)
        return found[:71] if isinstance(found, bytes) else found


@pytest.mark.parametrize("missing", OPTIONAL)
async def test_connection_without(scripted: StartScripted, monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    """A system call that only adds something fails: the connection works, and the round-trip time may be absent."""
    monkeypatch.setattr(Poor, "missing", OPTIONAL[missing], raising=False)
    monkeypatch.setattr("exporter.probing.tcp.socket.socket", Poor)
    server = await scripted(acts.in_order(acts.say(b"hello\r\n"), acts.silence))
    began = time.perf_counter()
    connection = await connect("127.0.0.1", server.port)
    assert isinstance(connection.tcp._socket, Poor)
    assert await connection.read_line() == b"hello"
    assert began < connection.tcp.connected_at < connection.received_at < time.perf_counter()
    assert (connection.tcp.rtt is None) is (missing == "no TCP_INFO")
    connection.abort()


@pytest.mark.parametrize("missing", [*OPTIONAL, "short TCP_INFO"])
async def test_probe_without(scripted: StartScripted, monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    """A probe succeeds, and one that fails has its reason, without what the kernel does not tell."""
    monkeypatch.setattr(Poor, "missing", OPTIONAL.get(missing), raising=False)
    monkeypatch.setattr("exporter.probing.tcp.socket.socket", Poor if missing in OPTIONAL else Short)
    outcomes = [await probed((await scripted(act)).port) for act in (Imap(), acts.close)]
    assert [(outcome.phase, outcome.reason) for outcome in outcomes] == [
        (Phase.LOGOUT, Reason.OK),
        (Phase.GREETING, Reason.CLOSED),
    ]
    assert all(0 <= seconds < 30 for outcome in outcomes for seconds in outcome.phases.values())
    has_info = not missing.endswith("TCP_INFO")
    for outcome in outcomes:
        assert (outcome.observed.tcp_rtt is not None, outcome.observed.retransmits is not None) == (has_info, has_info)
    evidence = outcomes[1].observed.tcp
    assert evidence is not None
    assert (evidence.finding, evidence.received is not None) == (TcpFinding.CLOSED, has_info)


def test_without_inotify() -> None:
    """Where no inotify instance can be had, names are looked up all the same, and nothing is said on standard error."""
    limited = 'echo 0 > /proc/sys/user/max_inotify_instances && exec "$@"'
    unshare = ["unshare", "--user", "--map-root-user", "--net", "sh", "-c", limited, "sh"]
    command = [*unshare, sys.executable, "-m", without_inotify.__name__]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "EMFILE; ok in logout; ok in logout\n", "")
