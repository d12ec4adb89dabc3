"""The daemon that is tried: its clock can be set, its log blocked, its storage locked."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from bench.usage import memory


class Held(NamedTuple):
    """What the process holds: threads, and tasks of its event loop."""

    threads: int
    tasks: int


class Subject:
    """The daemon."""

    def __init__(self, directory: Path, flags: Sequence[str]) -> None:
        self._directory = directory
        self._tasks = directory / "tasks"
        self._clock = directory / "clock"
        self.storage = directory / "budget.db"
        self.log = directory / "log"
        self._reading = threading.Event()
        self._flags = [*flags, f"--storage.path={self.storage}", "--log.level=info"]

    def __enter__(self) -> Self:
        self.set_clock(0)
        libraries = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
        if not libraries:
            raise RuntimeError(
                "libfaketime is missing: install the Debian package faketime (tests/servers/install does)"
            )
        environ = {
            **os.environ,
            "LD_PRELOAD": str(libraries[0]),
            "FAKETIME_TIMESTAMP_FILE": str(self._clock),
            "FAKETIME_CACHE_DURATION": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            # Else libfaketime takes the deadlines of pthread_cond_timedwait for those of the wall clock, long past: a
            # thread that waits for Python's lock never sleeps, and takes it from the one that works, at every step.
            "FAKETIME_FORCE_MONOTONIC_FIX": "0",
        }
        command = [sys.executable, "-m", "soak.watched", str(self._tasks), *self._flags]
        self._popen = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environ
        )
        self.pid = self._popen.pid
        self._reading.set()
        self._reader = threading.Thread(target=self._read_log, daemon=True)
        self._reader.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._reading.set()
        if self._popen.poll() is None:
            self._popen.kill()
        self._popen.wait()
        self._reader.join(10)

    def _read_log(self) -> None:
        assert self._popen.stderr is not None
        with self.log.open("ab", buffering=0) as file:
            while self._reading.wait() and (piece := os.read(self._popen.stderr.fileno(), 4096)):
                file.write(piece)

    def set_clock(self, offset: float) -> None:
        """Set its wall clock to so many seconds from the real time."""
        new = self._clock.with_suffix(".new")
        new.write_text(f"{offset:+.0f}")
        new.rename(self._clock)

    @contextmanager
    def log_blocked(self) -> Iterator[None]:
        """Read nothing of its log in the block."""
        self._reading.clear()
        try:
            yield
        finally:
            self._reading.set()

    @contextmanager
    def storage_locked(self) -> Iterator[None]:
        """Let another process, which this one is, hold its storage in the block."""
        database = sqlite3.connect(self.storage, isolation_level=None, timeout=30)
        try:
            database.execute("BEGIN EXCLUSIVE")
            yield
            database.execute("ROLLBACK")
        finally:
            database.close()

    def reload(self) -> None:
        """Let it read its files again."""
        self._popen.send_signal(signal.SIGHUP)

    @property
    def memory(self) -> int:
        """Its resident memory in octets."""
        return memory(self.pid)

    def held(self) -> Held:
        """Return what it holds now."""
        self._tasks.unlink(missing_ok=True)
        self._popen.send_signal(signal.SIGUSR1)
        deadline = time.monotonic() + 5
        while not (self._tasks.exists() and (tasks := self._tasks.read_text())):
            if time.monotonic() > deadline:
                raise RuntimeError("the daemon does not answer a signal")
            time.sleep(0.01)
        return Held(len(list(Path(f"/proc/{self.pid}/task").iterdir())), int(tasks))

    def stop(self) -> tuple[int, float]:
        """End it as a service manager does, and return its exit code and the seconds that it took."""
        began = time.monotonic()
        self._popen.terminate()
        return self._popen.wait(30), time.monotonic() - began
