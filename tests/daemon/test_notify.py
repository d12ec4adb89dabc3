"""Messages to the service manager, over real sockets, and from the daemon as a process."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from exporter.daemon.notify import Notifier
from tests.servers.exporter import Exporter
from tests.waiting import PATIENCE


class Manager:
    """The socket of a service manager."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.settimeout(PATIENCE)
        self.socket.bind("\0" + address[1:] if address.startswith("@") else address)

    def read(self) -> dict[str, str]:
        """Return the assignments of the next message."""
        return dict(line.split("=", 1) for line in self.socket.recv(4096).decode().split("\n"))

    def read_until(self, key: str) -> dict[str, str]:
        """Return the next message with this assignment."""
        while key not in (message := self.read()):
            pass
        return message

    def waiting(self) -> list[dict[str, str]]:
        """Return all messages that have arrived."""
        found = []
        self.socket.setblocking(False)
        try:
            while True:
                found.append(self.read())
        except BlockingIOError:
            return found
        finally:
            self.socket.settimeout(PATIENCE)


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Manager]:
    """A service manager, at each kind of address."""
    manager = Manager(str(tmp_path / "notify") if request.param == "path" else f"@gmail-exporter-test/{os.getpid()}")
    with manager.socket:
        yield manager


def test_assignments_go_in_one_message(manager: Manager) -> None:
    """One a line, as sd_notify(3) has it."""
    Notifier({"NOTIFY_SOCKET": manager.address}).send("READY=1", "STATUS=all is well")
    assert manager.waiting() == [{"READY": "1", "STATUS": "all is well"}]


def test_without_a_manager_nothing_happens() -> None:
    """No socket, no watchdog, nothing logged."""
    notifier = Notifier({})
    with capture_logs() as logs:
        notifier.send("READY=1")
    assert notifier.watchdog is None
    assert logs == []


def test_a_manager_that_has_gone_is_logged(tmp_path: Path) -> None:
    """And the daemon goes on."""
    with capture_logs() as logs:
        Notifier({"NOTIFY_SOCKET": str(tmp_path / "gone")}).send("READY=1")
    assert [(line["what"], line["error"]) for line in logs] == [("READY=1", "No such file or directory")]


@pytest.mark.parametrize("address", ["/" + 200 * "x", "vsock:2:1234", "@" + 200 * "x"])
def test_an_address_that_cannot_be_used(address: str) -> None:
    """It is logged, and the daemon goes on."""
    with capture_logs() as logs:
        Notifier({"NOTIFY_SOCKET": address}).send("READY=1")
    assert [line["what"] for line in logs] == ["READY=1"]
    assert logs[0]["error"]


def test_no_socket_can_be_opened(manager: Manager, monkeypatch: pytest.MonkeyPatch) -> None:
    """Too many files are open, or the unit does not allow the family: it is logged, and the daemon goes on."""

    def refuse(*_: object) -> socket.socket:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr("exporter.daemon.notify.socket.socket", refuse)
    with capture_logs() as logs:
        Notifier({"NOTIFY_SOCKET": manager.address}).send("WATCHDOG=1")
    assert [line["error"] for line in logs] == ["Too many open files"]


def test_a_manager_that_does_not_read_is_logged_once(manager: Manager) -> None:
    """Not at each keep-alive; and again only after it has read."""
    notifier = Notifier({"NOTIFY_SOCKET": manager.address})
    with capture_logs() as logs:
        for _ in range(1000):
            notifier.send("WATCHDOG=1")
        assert len(logs) == 1
        manager.waiting()
        notifier.send("WATCHDOG=1")
        for _ in range(1000):
            notifier.send("WATCHDOG=1")
    assert [line["error"] for line in logs] == ["Resource temporarily unavailable"] * 2


def test_a_manager_that_does_not_read_blocks_nothing(tmp_path: Path) -> None:
    """The queue of the socket is full: the message is dropped, and that is logged."""
    manager = Manager(str(tmp_path / "notify"))
    with manager.socket, capture_logs() as logs:
        notifier = Notifier({"NOTIFY_SOCKET": manager.address})
        for _ in range(10_000):
            notifier.send("WATCHDOG=1")
            if logs:
                break
    assert [line["error"] for line in logs] == ["Resource temporarily unavailable"]


@pytest.mark.parametrize(
    ("environ", "seconds"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": ""}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({"WATCHDOG_USEC": "9" * 5000}, None),
        ({"WATCHDOG_USEC": "9" * 400}, None),
    ],
)
def test_the_watchdog_is_set_by_the_environment(environ: dict[str, str], seconds: float | None) -> None:
    """In microseconds, and for this process only."""
    assert Notifier(environ).watchdog == seconds


async def test_keep_alives_stop_while_there_are_problems(tmp_path: Path) -> None:
    """The status has the problems; without them the keep-alives come again."""
    manager = Manager(str(tmp_path / "notify"))
    problems: list[str] = []
    with manager.socket:
        watching = asyncio.create_task(Notifier({"NOTIFY_SOCKET": manager.address}).watch(0.02, lambda: problems))
        assert "WATCHDOG" in await asyncio.to_thread(manager.read)
        problems = ["imap is overdue", "pop3 is overdue"]
        assert await asyncio.to_thread(manager.read_until, "STATUS") == {"STATUS": "imap is overdue; pop3 is overdue"}
        await asyncio.sleep(0.1)
        assert manager.waiting() == []
        problems = []
        assert await asyncio.to_thread(manager.read) == {"STATUS": ""}
        assert await asyncio.to_thread(manager.read) == {"WATCHDOG": "1"}
        watching.cancel()


def test_the_end_of_a_reload_is_sent(tmp_path: Path) -> None:
    """After a fault, too; with the clock that Type=notify-reload compares."""
    manager = Manager(str(tmp_path / "notify"))
    with manager.socket:
        with pytest.raises(ZeroDivisionError), Notifier({"NOTIFY_SOCKET": manager.address}).reloading():
            1 / 0  # noqa: B018 (a fault on purpose)
        begun = manager.read()
        assert begun["RELOADING"] == "1"
        assert int(begun["MONOTONIC_USEC"]) > 0
        assert manager.waiting() == [{"READY": "1"}]


def test_the_daemon_notifies_the_manager(tmp_path: Path) -> None:
    """Ready once it listens, keep-alives while it probes, reloading, stopping, in this order."""
    manager = Manager(str(tmp_path / "notify"))
    environ = {"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "200000"}
    with manager.socket, Exporter(tmp_path / "log", environ=environ) as exporter:
        assert manager.read() == {"READY": "1"}
        assert exporter.get("/-/healthy").status_code == 200
        assert [manager.read() for _ in range(3)] == [{"WATCHDOG": "1"}] * 3
        exporter.send(signal.SIGHUP)
        assert "MONOTONIC_USEC" in manager.read_until("RELOADING")
        manager.read_until("READY")
        assert exporter.stop()[0] == 0
        assert manager.read_until("STOPPING") == {"STOPPING": "1"}
        assert manager.waiting() == []
