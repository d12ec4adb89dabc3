"""The daemon as a user runs it: a process of its own, asked over HTTP."""

from __future__ import annotations

import asyncio
import gc
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
from prometheus_client.parser import text_string_to_metric_families

from exporter.accounts.ledger import Ledger
from exporter.config.load import load
from exporter.daemon.composition import Daemon, DaemonOptions
from exporter.web.server.listening import FIRST_PASSED, listen
from tests.servers.process import send_signal
from tests.waiting import PATIENCE, until

Samples = Mapping[tuple[str, frozenset[tuple[str, str]]], float]


IN_TIME = 15.0
"""Seconds within which it must end. It takes half a second, unless the machine is busy; what hangs takes longer."""

MAIN = "import sys; from exporter.cli import main; raise SystemExit(main(sys.argv[1:]))"
"""The program, for a process in which something is prepared before it."""

EACH_SECOND: Mapping[str, str] = {"interval": "1s", "timeout": "30s", "login_interval": "1s"}
"""Defaults of a configuration whose endpoints are up: a probe each second, which a busy machine may take as it can."""

LENIENT = "from exporter.config import rules; rules._contradict = lambda *_: None"
"""Before it, where that is its configuration: elsewhere `timeout` must be shorter than `interval`."""

UNPLANNED = f"{LENIENT}\nimport math; from exporter.model import plan; plan.PLANNED = plan.REQUESTED = math.inf"
"""The same, where logins follow each other as fast as `login_interval` says: by the plan there are 160 a day."""


PASS_ON = f"""
import os
os.dup2({{}}, {FIRST_PASSED})
os.environ |= {{{{"LISTEN_FDS": "1", "LISTEN_PID": str(os.getpid())}}}}
"""
"""What systemd does with a listening socket (sd_listen_fds(3))."""


class Exporter:
    """One daemon on an ephemeral port; in its process, the Python code `before` runs first.

    `under` is the program that starts it, where there is one; `passed` a listening socket, in place of an address.
    """

    def __init__(
        self,
        log: Path,
        config: Path | None = None,
        *flags: str,
        environ: Mapping[str, str] | None = None,
        before: str = "",
        under: Sequence[str] = (),
        passed: socket.socket | None = None,
    ) -> None:
        self.log = log
        self._passed = passed
        if passed:
            before = f"{PASS_ON.format(passed.fileno())}\n{before}"
        program = ["-c", f"{before}\n{MAIN}"] if before else ["-m", "exporter"]
        self._arguments = [*under, sys.executable, *program, *flags]
        self.listen_address = "127.0.0.1:0"
        if not any(flag.startswith("--storage") for flag in flags) and "STATE_DIRECTORY" not in (environ or {}):
            self._arguments.append("--storage.none")  # a test uses no budget of this machine
        if config:
            self._arguments.append(f"--config.file={config}")
        self._environ = dict(environ or {})
        self.open_files_allowed: int | None = None
        """Its limit of open files (RLIMIT_NOFILE); None: that of the test."""
        self.url = ""
        self.scheme = "http"
        # In the clear nothing is verified, and what would be takes a while to load for each request.
        self.client: dict[str, Any] = {"timeout": PATIENCE, "verify": False}
        """How it is asked: what `httpx.get` takes (`auth`, `verify`, …)."""

    def __enter__(self) -> Self:
        self.begin()
        self.wait_for_start()
        return self

    def begin(self) -> None:
        """Start it, and do not wait."""
        with self.log.open("wb") as sink:
            allowed = self.open_files_allowed
            limited = ["sh", "-c", f'ulimit -n {allowed}; exec "$@"', "sh"] if allowed else []
            listening = "--web.systemd-socket" if self._passed else f"--web.listen-address={self.listen_address}"
            command = [*limited, *self._arguments, listening]
            self._popen = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=sink,
                env=self._environ,
                pass_fds=[self._passed.fileno()] if self._passed else [],
            )

    def wait_for_start(self) -> None:
        """Wait until it says that it has started."""
        found = self._wait(lambda: re.search(r"event=started .*addresses=(\S+)", self.log_text()), "started")
        self.url = f"{self.scheme}://{found[1]}"

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._popen.poll() is None:
            self._popen.kill()
        self._popen.wait()

    def log_text(self) -> str:
        """What it wrote to standard error and standard output."""
        return self.log.read_text("utf-8")

    def get(self, path: str, **headers: str) -> httpx.Response:
        """Ask for a page."""
        return httpx.get(self.url + path, headers=headers, **self.client)

    def post(self, path: str, **headers: str) -> httpx.Response:
        """Press a button."""
        return httpx.post(self.url + path, headers=headers, **self.client)

    def samples(self) -> Samples:
        """Every sample of /metrics."""
        return {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(self.get("/metrics").text)
            for sample in family.samples
        }

    def values(self, name: str, label: str = "endpoint", **labels: str) -> dict[str, float]:
        """The samples of that name and with these labels, by the value of one label."""
        found = {}
        for (sample, its_labels), value in self.samples().items():
            if sample == name and labels.items() <= dict(its_labels).items():
                found[dict(its_labels)[label]] = value
        return found

    def wait_for(self, condition: Callable[[], object]) -> None:
        """Wait until the condition holds."""
        self._wait(condition, "as expected")

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        send_signal(self._popen.pid, number)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> tuple[int, float]:
        """End it; its exit code, and the seconds that it took."""
        begun = time.monotonic()
        self.send(number)
        return self._popen.wait(PATIENCE), time.monotonic() - begun

    def kill(self) -> None:
        """End it at once, as a crash does."""
        self._popen.kill()
        self._popen.wait()

    def open_files(self) -> int:
        """How many file descriptors it has, with that of this question; only root may look into its /proc/PID/fd."""
        return round(self.samples()["process_open_fds", frozenset()])

    def memory(self, *, peak: bool = False) -> int:
        """Its resident memory in octets, now or at its peak (proc(5): VmRSS, VmHWM)."""
        status = Path(f"/proc/{self._popen.pid}/status").read_text()
        found = re.search(rf"^{'VmHWM' if peak else 'VmRSS'}:\s+(\d+) kB$", status, re.MULTILINE)
        return int(found[1]) * 1024 if found else 0

    def _wait(self, condition: Callable[[], object], wanted: str) -> re.Match[str]:
        deadline = time.monotonic() + PATIENCE
        while not (found := condition()):
            if self._popen.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"the daemon is not {wanted}:\n{self.log_text()[-3000:]}")
            time.sleep(0.05)
        return found  # type: ignore[return-value]


@asynccontextmanager
async def daemon_here(config: Path, **options: Any) -> AsyncIterator[tuple[Daemon, str]]:
    """A daemon in the test's own event loop, to look inside, and its address."""
    sockets = listen(["127.0.0.1:0"])
    with Ledger() as ledger:
        daemon = Daemon(load(config, {}), DaemonOptions(config, ledger, sockets, {}, **options))
        serving = asyncio.create_task(daemon.serve())
        await until(lambda: daemon._server.started)
        try:
            yield daemon, f"http://127.0.0.1:{sockets[0].getsockname()[1]}"
        finally:
            daemon.stop()
            await asyncio.wait_for(serving, PATIENCE)
            gc.unfreeze()
