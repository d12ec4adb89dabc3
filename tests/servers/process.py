"""Start a server in a session of its own, and end it and all its children by process id."""

from __future__ import annotations

import errno
import itertools
import os
import random
import shutil
import signal
import socket
import subprocess
import time
from abc import ABC, abstractmethod
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from tests.waiting import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import TracebackType
    from typing import Self

STOP_SECONDS = 10.0

# Below Linux's ephemeral range (32768 and up): while a server is stopped, no outgoing connection can take its port.
# And apart from those of the tests that run beside these: a process of pytest-xdist has a number.
PORTS = 3000
FIRST_PORT = 20000 + PORTS * (int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 4)

# Each in its turn: none is given to a second server before the first one has begun to listen, or while it is stopped.
_TURNS = itertools.cycle(random.sample(range(FIRST_PORT, FIRST_PORT + PORTS), PORTS))


class ServerError(RuntimeError):
    """A server cannot be started, or ended otherwise than asked; says what is missing or what it logged."""


def find_program(name: str, package: str) -> str:
    """The path of a program, by name or absolute path.

    Raises:
        ServerError: it is not installed; names the Debian package.
    """
    # A user's PATH on Debian has no /usr/sbin.
    found = shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin")
    if found is None:
        raise ServerError(f"{name} is missing: install the Debian package {package} (tests/servers/install does)")
    return found


def loopback_addresses() -> list[str]:
    """127.0.0.1, and ::1 where this machine has it."""
    addresses = ["127.0.0.1"]
    with suppress(OSError), socket.socket(socket.AF_INET6) as probe:
        probe.bind(("::1", 0))
        addresses.append("::1")
    return addresses


def free_port() -> int:
    """A TCP port that nobody listens on, on 127.0.0.1 and ::1 alike, and that no outgoing connection takes."""
    return next(filter(_is_free, _TURNS))


def free_ports(count: int) -> list[int]:
    """Several free ports, each once."""
    return [free_port() for _ in range(count)]


def _is_free(port: int) -> bool:
    with suppress(OSError), ExitStack() as sockets:
        for address in loopback_addresses():
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            sockets.enter_context(socket.socket(family)).bind((address, port))
        return True
    return False


def is_listening(port: int, host: str = "127.0.0.1") -> bool:
    """Whether a TCP connection to the port is accepted."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.settimeout(PATIENCE)
        return probe.connect_ex((host, port)) == 0


def session_members(session: int) -> list[int]:
    """The process ids that belong to a session, zombies left out."""
    ids = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal()]
    return sorted(pid for pid in ids if _state_and_session(pid)[1] == session and is_running(pid))


def is_running(pid: int) -> bool:
    """Whether there is such a process; not a zombie, which only waits for its parent to notice."""
    return _state_and_session(pid)[0] not in {"", "Z"}


def _state_and_session(pid: int) -> tuple[str, int]:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return "", 0
    # proc(5): the name in parentheses may hold anything; state is field 3, session field 6.
    fields = stat.rpartition(")")[2].split()
    return fields[0], int(fields[3])


class Process:
    """A server in the foreground of a session of its own, so that its children are known by that session."""

    def __init__(self, argv: Sequence[str], *, output: Path, env: Mapping[str, str] | None = None) -> None:
        self.argv = list(argv)
        self.output = output
        # A file, never a pipe: a server's children keep what they inherit, and a reader would wait for them.
        with output.open("ab") as sink:
            self._popen = subprocess.Popen(
                self.argv,
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=sink,
                env=None if env is None else dict(env),
                start_new_session=True,
                cwd="/",
            )
        self.pid = self._popen.pid

    def members(self) -> list[int]:
        """The ids of this process and its children that are still there."""
        return session_members(self.pid)

    def wait_until(self, ready: Callable[[], bool], *, log: Callable[[], str]) -> None:
        """Wait until the server is ready.

        Raises:
            ServerError: it ended, or was not ready in time; with the end of its log. It is stopped then.
        """
        deadline = time.monotonic() + PATIENCE
        try:
            while not ready():
                ended = self._popen.poll()
                if ended is not None or time.monotonic() > deadline:
                    said = f"{self.output.read_text(errors='replace')}\n{log()}"[-3000:]
                    happened = "is not ready in time" if ended is None else f"ended with {ended}"
                    raise ServerError(f"{self.argv[0]} {happened}:\n{said}")
                time.sleep(0.01)
        except BaseException:
            self.stop()
            raise

    def stop(self, grace: float = STOP_SECONDS, *, server: int | None = None) -> None:
        """End the server with SIGTERM, wait for it and its children; what lingers is killed, by its id.

        Args:
            grace: for how many seconds the children may linger; the process itself always has `STOP_SECONDS`.
            server: the process id to signal, where the server is a child of what was started.
        """
        started = time.monotonic()
        if self._popen.poll() is None:
            send_signal(server or self.pid, signal.SIGTERM)
        while self._popen.poll() is None or self.members():
            lingering = time.monotonic() - started
            for pid in self.members():
                if lingering > (STOP_SECONDS if pid == self.pid else grace):
                    send_signal(pid, signal.SIGKILL)
            time.sleep(0.01)


def send_signal(pid: int, number: signal.Signals) -> None:
    """Signal a process, unless it has ended already."""
    try:
        os.kill(pid, number)
    except OSError as error:
        if error.errno != errno.ESRCH:
            raise


class Server(ABC):
    """What the servers share: a temporary directory of their own, a process, and a log.

    Their ports, and what they keep, stay the same from `start` to `stop` to `start`. The files go with `close`.
    """

    directory: Path
    log_file: Path
    _process: Process | None = None

    @abstractmethod
    def start(self) -> None:
        """Start, and return once it can be used.

        Raises:
            ServerError: it did not start; with what it logged. Or it runs already.
        """

    def stop(self) -> None:
        """End it, and return once it and all its children have gone; its ports refuse connections then."""
        if self._process is not None:
            self._process.stop()
            self._process = None

    def restart(self) -> None:
        """Stop and start, on the same ports, with what it kept."""
        self.stop()
        self.start()

    def close(self) -> None:
        """Stop, and remove every file."""
        self.stop()
        shutil.rmtree(self.directory)

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def members(self) -> list[int]:
        """The ids of its processes; empty when stopped."""
        return [] if self._process is None else self._process.members()

    def log_text(self) -> str:
        """Everything logged so far."""
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""
