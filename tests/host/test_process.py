"""The process itself, tried in processes of its own."""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from exporter.host import process
from tests.waiting import PATIENCE


@pytest.mark.parametrize("closed", ["0<&-", "1>&-", "2>&-", "0<&- 1>&- 2>&-"])
def test_closed_standard_streams(closed: str) -> None:
    """No file that is opened later gets their numbers, and what is printed goes nowhere."""
    program = """
import os, sys, tempfile
from exporter.host.process import open_standard_streams
open_standard_streams()
with tempfile.TemporaryFile() as file:
    print("out", flush=True)
    print("err", file=sys.stderr, flush=True)
    raise SystemExit(0 if file.fileno() > 2 and os.fstat(file.fileno()).st_size == 0 else 1)
"""
    argv = ["sh", "-c", f'exec "$0" -c "$1" {closed}', sys.executable, program]
    ran = subprocess.run(argv, timeout=PATIENCE, capture_output=True, text=True, check=False)
    assert ran.returncode == 0
    assert ran.stdout == ("" if "1>&-" in closed else "out\n")
    assert ran.stderr == ("" if "2>&-" in closed else "err\n")


@pytest.mark.parametrize("arguments", [["--help"], ["--no-such-flag"], ["config", "--config.file=/nonexistent"]])
def test_commands_with_closed_streams(arguments: list[str]) -> None:
    """The exit code tells all the same."""
    argv = ["sh", "-c", 'exec "$0" -m exporter "$@" 0<&- 1>&- 2>&-', sys.executable, *arguments]
    ran = subprocess.run(argv, timeout=PATIENCE, capture_output=True, check=False)
    assert ran.returncode == (0 if arguments == ["--help"] else 2)


# Who may read the memory

NOBODY = 65534

STRANGER = f"""
import ctypes, os, resource
from exporter.host.process import protect_memory
from prometheus_client import CollectorRegistry, ProcessCollector
libc = ctypes.CDLL(None)
if os.getuid() == 0:
    os.setresgid({NOBODY}, {NOBODY}, {NOBODY})
    os.setresuid({NOBODY}, {NOBODY}, {NOBODY})
    libc.prctl(4, 1, 0, 0, 0)  # as a process that this user has started
def readable(pid):
    found = []
    for name in ("environ", "mem", "maps", "cmdline", "stat"):
        try:
            open(f"/proc/{{pid}}/{{name}}", "rb").close()
            found.append(name)
        except PermissionError:
            pass
    return " ".join(found)
print(readable(os.getpid()), flush=True)
protect_memory()
protected = os.getpid()
if os.fork() == 0:
    print(readable(protected), flush=True)
    os._exit(0)
os.wait()
print(libc.prctl(3, 0, 0, 0, 0), *resource.getrlimit(resource.RLIMIT_CORE))
registry = CollectorRegistry()
ProcessCollector(registry=registry)
print(*sorted(family.name for family in registry.collect()))
"""


def test_protect_memory() -> None:
    """Another process of the same user can read neither memory nor environment; its own metrics go on."""
    ran = subprocess.run(
        [sys.executable, "-c", STRANGER],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
        env={"SECRET": "x"},
    )
    before, after, limits, metrics = ran.stdout.splitlines()
    assert before == "environ mem maps cmdline stat"
    assert after == "cmdline stat"
    assert limits == "0 0 0"
    assert {"process_open_fds", "process_resident_memory_bytes", "process_max_fds"} <= set(metrics.split())


@pytest.mark.parametrize("arguments", [["--web.listen-address=127.0.0.1:0"], ["config"], ["check", "127.0.0.1:993"]])
def test_every_command_protects_its_memory_before_it_reads_a_secret(arguments: list[str]) -> None:
    """Before it reads its configuration, even."""
    program = """
import ctypes, os, sys
from exporter.config import load
def told(*_):
    print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0), flush=True)
    os._exit(0)
load.load_with_web = told
from exporter.cli import main
main(sys.argv[1:])
"""
    ran = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=True)
    assert ran.stdout == "0\n"


def test_a_system_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """What only improves things may fail: each is told once, and the program goes on."""

    def no_limit(*_: object) -> None:
        raise ValueError("not allowed to raise maximum limit")

    def no_prctl() -> None:
        raise AttributeError("undefined symbol: prctl")

    monkeypatch.setattr("resource.setrlimit", no_limit)
    monkeypatch.setattr(process, "_clear_dumpable", no_prctl)
    with capture_logs() as logs:
        process.protect_memory()
    assert [(line["log_level"], line["error"]) for line in logs] == [
        ("warning", "not allowed to raise maximum limit"),
        ("warning", "undefined symbol: prctl"),
    ]


def test_a_refusal_of_the_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told with its reason, not taken for a success."""
    monkeypatch.setattr(process, "_PR_SET_DUMPABLE", 12345)
    with pytest.raises(OSError, match="Invalid argument"):
        process._clear_dumpable()


# Open files


class Kernel:
    """The limits of a process, and the rule of the kernel for them: none above its own limit, not even the hard one."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, soft: int, hard: int, nr_open: int | None, most: int) -> None:
        self.limits, self.most = (soft, hard), most
        file = Path(tempfile.mkdtemp()) / "nr_open"
        if nr_open is not None:
            file.write_text(f"{nr_open}\n", "ascii")
        monkeypatch.setattr(process, "_NR_OPEN", file)
        monkeypatch.setattr("resource.getrlimit", lambda _: self.limits)
        monkeypatch.setattr("resource.setrlimit", self.set)

    def set(self, _: int, limits: tuple[int, int]) -> None:
        soft, hard = limits
        assert soft <= hard
        if hard > self.most:
            raise ValueError("not allowed to raise maximum limit")
        self.limits = limits


INFINITE = resource.RLIM_INFINITY


@pytest.mark.parametrize(
    ("soft", "hard", "nr_open", "most", "expected"),
    [
        (1024, 524_288, 1 << 20, 1 << 20, 524_288),
        (1024, 1 << 30, 1 << 20, 1 << 20, 1 << 20),
        (1024, 1 << 30, 123_456, 123_456, 123_456),
        (1024, 1 << 30, None, 1 << 20, 1 << 20),
        (1024, 1 << 30, None, 70_000, 1 << 16),
        (1024, INFINITE, 1 << 20, 1 << 20, 1 << 20),
        (1024, INFINITE, None, 5000, 4096),
        (1024, INFINITE, None, sys.maxsize, sys.maxsize),
        (1024, 1024, 1 << 20, 1 << 20, 1024),
        (INFINITE, INFINITE, 1 << 20, 0, INFINITE),
        (65_536, 1 << 30, 1 << 20, 1 << 20, 1 << 20),
    ],
)
def test_raise_open_files(
    monkeypatch: pytest.MonkeyPatch, soft: int, hard: int, nr_open: int | None, most: int, expected: int
) -> None:
    """As far as the kernel allows, also where the hard limit is above what it allows, or is not known."""
    kernel = Kernel(monkeypatch, soft, hard, nr_open, most)
    process.raise_open_files()
    assert kernel.limits[0] == expected
    assert process.open_files() == (sys.maxsize if expected == INFINITE else expected)


def test_open_files_cannot_be_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limits stay as they are, and that is told."""
    kernel = Kernel(monkeypatch, 1024, 1 << 30, 1 << 20, 0)
    with capture_logs() as logs:
        assert process.attempt("raise it", process.raise_open_files) is None
    assert kernel.limits == (1024, 1 << 30)
    assert [(line["what"], line["error"]) for line in logs] == [("raise it", "not allowed to raise maximum limit")]


def test_an_attempt_that_succeeds() -> None:
    """It has a result, and is not told."""
    with capture_logs() as logs:
        assert process.attempt("count", lambda: 3) == 3
    assert logs == []
