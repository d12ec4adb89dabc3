"""Log lines that nobody reads, or that cannot be written: the writer alone, and the daemon as a process."""

from __future__ import annotations

import fcntl
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Self

import httpx
import pytest

from exporter.daemon import log_writer
from exporter.daemon.log_writer import LogWriter, StandardError
from tests.servers.exporter import IN_TIME, MAIN
from tests.servers.process import free_port
from tests.waiting import PATIENCE


def notice(lines: int) -> bytes:
    """The line that tells of dropped lines."""
    return f"{lines} dropped\n".encode()


class Pipe:
    """A pipe that is full: whoever writes to it waits until somebody reads."""

    def __init__(self) -> None:
        self.reading, self.writing = os.pipe()
        self.is_read = True
        fcntl.fcntl(self.writing, fcntl.F_SETPIPE_SZ, 4096)
        self.filled = os.write(self.writing, b"x" * 4095 + b"\n")

    def read(self, until: Callable[[str], object]) -> str:
        """Read until the text is as wanted; without what the pipe was full of."""
        text, deadline = "", time.monotonic() + PATIENCE
        os.set_blocking(self.reading, False)
        while not until(text):
            assert time.monotonic() < deadline, text[-2000:]
            try:
                octets = os.read(self.reading, 65536)
            except BlockingIOError:
                time.sleep(0.01)
                continue
            skipped = min(self.filled, len(octets))
            self.filled -= skipped
            text += octets[skipped:].decode()
        return text

    def leave(self) -> None:
        """Read no more, ever."""
        if self.is_read:
            os.close(self.reading)
        self.is_read = False


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    """A full pipe."""
    pipe = Pipe()
    yield pipe
    pipe.leave()
    os.close(pipe.writing)


# The writer


def test_lines_are_written_in_order(tmp_path: Path) -> None:
    """All of them, at the latest at the end."""
    with (tmp_path / "log").open("wb") as file:
        writer = LogWriter(file.fileno(), notice)
        for number in range(1000):
            writer.put(f"{number}\n".encode())
        assert writer.close()
    assert (tmp_path / "log").read_text().split() == [str(number) for number in range(1000)]
    assert writer.dropped == 0


def test_what_does_not_fit_is_dropped_counted_and_told(pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    """The count stands where the lines are missing, and is told even if no line follows."""
    monkeypatch.setattr(log_writer, "MAX_WAITING", 100)
    writer = LogWriter(pipe.writing, notice)
    began = time.monotonic()
    for number in range(1000):
        writer.put(f"{number:9}\n".encode())
    assert time.monotonic() - began < 30
    assert 980 <= writer.dropped <= 990
    dropped = writer.dropped
    text = pipe.read(lambda text: "dropped" in text)
    assert text.splitlines() == [*(f"{number:9}" for number in range(1000 - dropped)), f"{dropped} dropped"]
    writer.put(b"more\n")
    assert pipe.read(lambda text: "more" in text) == "more\n"
    assert writer.close()


def test_lines_that_follow_a_gap(pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    """The line that tells of a gap comes before those that follow it."""
    monkeypatch.setattr(log_writer, "MAX_WAITING", 30)
    writer = LogWriter(pipe.writing, notice)
    for number in range(9):
        writer.put(f"{number:9}\n".encode())
    text = pipe.read(lambda text: "dropped" in text)
    writer.put(b"after\n")
    text += pipe.read(lambda text: "after" in text)
    assert text.endswith(" dropped\nafter\n")
    assert len(text.splitlines()) + writer.dropped == 9 + 2
    assert writer.close()


def test_the_end_does_not_wait_for_a_reader(pipe: Pipe) -> None:
    """What cannot be written in time is lost."""
    writer = LogWriter(pipe.writing, notice)
    writer.put(b"never read\n")
    began = time.monotonic()
    assert not writer.close(0.2)
    assert time.monotonic() - began < 30


def test_a_descriptor_that_does_not_block(pipe: Pipe) -> None:
    """Somebody else may have made it non-blocking: whole lines are written all the same, without a busy loop."""
    os.set_blocking(pipe.writing, False)
    writer = LogWriter(pipe.writing, notice)
    line = b"y" * 20_000 + b"\n"
    began = time.thread_time()
    for _ in range(5):
        writer.put(line)
    assert pipe.read(lambda text: len(text) >= 5 * len(line)) == line.decode() * 5
    assert writer.close()
    assert time.thread_time() - began < 1
    assert writer.dropped == 0


def test_a_full_disk(tmp_path: Path) -> None:
    """Lines are dropped one by one, without a loop; once there is room again, the next line says how many."""
    with Path("/dev/full").open("wb", buffering=0) as full, (tmp_path / "log").open("wb") as file:
        writer = LogWriter(full.fileno(), notice)
        for number in range(1, 4):
            writer.put(b"lost\n")
            deadline = time.monotonic() + PATIENCE
            while writer.dropped < number:
                assert time.monotonic() < deadline
                time.sleep(0.001)
        os.dup2(file.fileno(), full.fileno())
        writer.put(b"kept\n")
        assert writer.close()
    assert (tmp_path / "log").read_text() == "3 dropped\nkept\n"
    assert writer.dropped == 3


def test_faults_while_a_line_is_put(pipe: Pipe) -> None:
    """A finalizer may log in the middle of anything, also of this."""
    lines: list[LogWriter] = []

    def told(count: int) -> bytes:
        lines[0].put(b"from a finalizer\n")
        return notice(count)

    writer = LogWriter(pipe.writing, told)
    lines.append(writer)
    writer._untold = 1
    writer.put(b"last\n")
    text = pipe.read(lambda text: "last" in text)
    assert text.splitlines() == ["from a finalizer", "1 dropped", "last"]
    assert writer.close()


def test_standard_error(tmp_path: Path) -> None:
    """What is printed is written line by line, and its end with a flush."""
    with (tmp_path / "log").open("wb") as file:
        writer = LogWriter(file.fileno(), notice)
        stream = StandardError(writer)
        print("one\ntwo", "\ud800", file=stream)
        print("begun", end="", file=stream, flush=True)
        assert writer.close()
    assert (tmp_path / "log").read_text() == "one\ntwo \\ud800\nbegun\n"


# The daemon


SMALL = "import exporter.daemon.log_writer as w; w.MAX_WAITING = 4_000\n"
"""So that the queue is full soon."""


class Daemon:
    """A daemon whose standard error is this descriptor; what it logs is not needed to know when it runs."""

    def __init__(
        self, stderr: int | None, *flags: str, before: str = "", environ: dict[str, str] | None = None
    ) -> None:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        argv = [sys.executable, "-c", before + MAIN, f"--web.listen-address=127.0.0.1:{port}", *flags]
        if stderr is None:
            argv = ["sh", "-c", 'exec "$0" "$@" 2>&-', *argv]
        self._popen = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=stderr, env=environ or {}
        )

    def __enter__(self) -> Self:
        self.wait_for(self.metrics)
        return self

    def __exit__(self, *_: object) -> None:
        if self._popen.poll() is None:
            self._popen.kill()
        self._popen.wait()

    def metrics(self) -> dict[str, float]:
        """Every sample without its labels; of several, the last. Nothing while it does not listen."""
        try:
            text = httpx.get(f"{self.url}/metrics", timeout=PATIENCE).text
        except httpx.ConnectError:
            return {}
        return {found[1]: float(found[2]) for found in re.finditer(r"^(\w+)(?:\{.*\})? (\S+)$", text, re.MULTILINE)}

    def wait_for(self, condition: Callable[[], object]) -> None:
        """Wait until it holds."""
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert self._popen.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)

    def goes_on(self) -> bool:
        """Whether it probes and answers, and is not busy with its log."""
        before = self.metrics()
        self.wait_for(lambda: last_run(self.metrics()) > last_run(before) + 1)
        return self.metrics()["process_cpu_seconds_total"] - before["process_cpu_seconds_total"] < 1

    def stop(self) -> tuple[int, float]:
        """End it with SIGTERM; its exit code and the seconds that it took."""
        began = time.monotonic()
        self._popen.send_signal(signal.SIGTERM)
        return self._popen.wait(PATIENCE), time.monotonic() - began


def told(log: str) -> int:
    """How many lines the log says are lost."""
    return sum(int(found) for found in re.findall(r"log lines were dropped.* lines=(\d+)\n", log))


def last_run(metrics: dict[str, float]) -> float:
    """When the last probe ended."""
    return metrics.get("gmail_probe_last_run_timestamp_seconds", 0.0)


@pytest.fixture
def flags(tmp_path: Path) -> Sequence[str]:
    """Five endpoints that are probed once a second, each with a line of the log."""
    config = tmp_path / "config.yml"
    endpoint = {"protocol": "imap", "host": "127.0.0.1", "port": free_port(), "interval": "1s", "timeout": "500ms"}
    config.write_text(json.dumps({"endpoints": {f"e{number}": endpoint for number in range(5)}}))
    return [f"--config.file={config}", "--log.level=debug"]


def test_nobody_reads_the_log(pipe: Pipe, flags: Sequence[str]) -> None:
    """Probes and scrapes go on, lost lines are counted; once somebody reads again, the log says how many are lost."""
    with Daemon(pipe.writing, *flags, before=SMALL) as daemon:
        daemon.wait_for(lambda: daemon.metrics()["gmail_exporter_log_lines_dropped_total"] > 0)
        assert daemon.goes_on()
        # Any line may follow a notice, and a short line may bring one while longer ones are still dropped.
        text = pipe.read(lambda text: told(text) == daemon.metrics()["gmail_exporter_log_lines_dropped_total"])
        read: list[str] = []
        reader = threading.Thread(target=lambda: read.append(pipe.read(lambda text: "event=stopped" in text)))
        reader.start()
        code, seconds = daemon.stop()
        reader.join(PATIENCE)
    assert (code, seconds < IN_TIME) == (0, True)
    text += read[0]
    assert all(line.startswith("ts=") for line in text.splitlines())
    assert text.splitlines()[-1].endswith("event=stopped")


def test_sigterm_while_nobody_reads(pipe: Pipe, flags: Sequence[str]) -> None:
    """It ends in time, with exit code 0."""
    with Daemon(pipe.writing, *flags) as daemon:
        assert daemon.goes_on()
        code, seconds = daemon.stop()
    assert (code, seconds < IN_TIME) == (0, True)


def test_the_reader_has_gone(pipe: Pipe, flags: Sequence[str]) -> None:
    """It goes on, and every line counts as dropped."""
    with Daemon(pipe.writing, *flags) as daemon:
        pipe.leave()
        assert daemon.goes_on()
        daemon.wait_for(lambda: daemon.metrics()["gmail_exporter_log_lines_dropped_total"] > 5)
        assert daemon.stop()[0] == 0


def test_the_disk_is_full(flags: Sequence[str]) -> None:
    """It goes on."""
    with Path("/dev/full").open("wb") as full, Daemon(full.fileno(), *flags) as daemon:
        assert daemon.goes_on()
        daemon.wait_for(lambda: daemon.metrics()["gmail_exporter_log_lines_dropped_total"] > 5)
        assert daemon.stop()[0] == 0


def test_standard_error_is_closed(flags: Sequence[str], tmp_path: Path) -> None:
    """It goes on, and nothing that it prints goes to a file or a socket that got the free number."""
    config, storage = tmp_path / "config.yml", tmp_path / "ledger.db"
    document = json.loads(config.read_text("utf-8"))
    document["accounts"] = {"ops": {"username": "probe@gmail.com", "app_password": {"env": "SECRET"}}}
    document["endpoints"]["e0"]["account"] = "ops"  # else the file of the login budgets is not opened
    config.write_text(json.dumps(document), "utf-8")
    with Daemon(None, *flags, f"--storage.path={storage}", environ={"SECRET": "secret"}) as daemon:
        assert daemon.goes_on()
        assert daemon.stop()[0] == 0
    for file in tmp_path.iterdir():
        assert b"event=" not in file.read_bytes()
    assert storage.read_bytes().startswith(b"SQLite format 3\0")
    assert (tmp_path / "ledger.db.history").read_bytes().startswith(b"gmail-exporter history ")


def test_a_fault_that_ends_the_daemon_is_one_line(tmp_path: Path) -> None:
    """With its traceback, and exit code 1; so are warnings, and faults of threads and finalizers."""
    faulty = """
import threading, warnings, asyncio
from exporter.daemon import composition
class Finalized:
    def __del__(self): raise ValueError("in a finalizer")
async def serve(self):
    warnings.warn("a warning")
    Finalized()
    thread = threading.Thread(target=lambda: 1 / 0)
    thread.start()
    thread.join()
    raise LookupError("at the end")
composition.Daemon.serve = serve
"""
    log = tmp_path / "log"
    with log.open("wb") as sink:
        argv = [sys.executable, "-c", faulty + MAIN, "--web.listen-address=127.0.0.1:0"]
        ran = subprocess.run(argv, stderr=sink, stdout=subprocess.DEVNULL, env={}, timeout=PATIENCE, check=False)
    assert ran.returncode == 1
    lines = log.read_text().splitlines()
    assert all(line.startswith("ts=") for line in lines)
    for text in ("a warning", "ValueError: in a finalizer", "ZeroDivisionError", "LookupError: at the end"):
        assert [line for line in lines if text in line], text


def test_a_file_system_that_does_not_answer(pipe: Pipe, flags: Sequence[str]) -> None:
    """It goes on while a thread waits for the configuration file, and ends in time."""
    hanging = """
import time
from exporter.daemon import reload
reload._fingerprints = lambda files: time.sleep(3600)
"""
    with Daemon(pipe.writing, *flags, "--config.auto-reload-interval=1s", before=hanging) as daemon:
        assert daemon.goes_on()
        code, seconds = daemon.stop()
    assert (code, seconds < IN_TIME) == (0, True)
