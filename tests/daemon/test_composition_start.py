"""What only improves things at the start may fail: the daemon goes on, and says so once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.servers.exporter import Exporter

FAULTS = {
    "raise the limit of open files": """
import resource
resource.getrlimit = lambda which: (1024, 1 << 30)
def refuse(which, limits):
    if which == resource.RLIMIT_NOFILE:
        raise ValueError("not allowed to raise maximum limit")
resource.setrlimit = refuse
""",
    "write no core dump": """
import resource
real = resource.setrlimit
def refuse(which, limits):
    if which == resource.RLIMIT_CORE:
        raise OSError(1, "Operation not permitted")
    real(which, limits)
resource.setrlimit = refuse
""",
    "protect the memory from other processes of this user": "import sys; sys.modules['ctypes'] = None",
    "run on uvloop, which takes a third less CPU": """
import uvloop
def refuse():
    raise OSError(1, "Operation not permitted")
uvloop.new_event_loop = refuse
""",
    "run the garbage collector rarely": "import gc; del gc.freeze",
    "write log lines in a thread": """
import threading
real = threading.Thread.start
def refuse(thread):
    if thread.name == "log":
        raise RuntimeError("can't start new thread")
    real(thread)
threading.Thread.start = refuse
""",
}


@pytest.mark.parametrize("what", FAULTS)
def test_a_start_that_cannot_improve_things(tmp_path: Path, what: str) -> None:
    """It starts, answers, probes and ends as ever; one line of the log says what is missing."""
    with Exporter(tmp_path / "log", before=FAULTS[what]) as exporter:
        exporter.wait_for(lambda: len(exporter.values("gmail_up")) == 4)
        assert exporter.stop()[0] == 0
    told = [line for line in exporter.log_text().splitlines() if "not possible on this system" in line]
    assert len([line for line in told if f'what="{what}"' in line and "level=warning" in line]) == 1
    # What ctypes is needed for is two things.
    assert len(told) == 1 + ("ctypes" in FAULTS[what])
    assert "Traceback" not in exporter.log_text()


def test_no_uvloop_at_all(tmp_path: Path) -> None:
    """Where it is not installed, asyncio's own loop runs."""
    with Exporter(tmp_path / "log", before="import sys; sys.modules['uvloop'] = None") as exporter:
        exporter.wait_for(lambda: len(exporter.values("gmail_up")) == 4)
        assert exporter.stop()[0] == 0
    assert exporter.log_text().count("not possible on this system") == 1


@pytest.mark.parametrize("limits", ["", "Max open files            unlimited            unlimited            files\n"])
def test_a_system_without_linux_files(tmp_path: Path, limits: str) -> None:
    """Without /proc, or with limits that are no numbers, the metrics of the process are missing, and no others."""
    proc = tmp_path / "proc"
    if limits:
        (proc / "self/fd").mkdir(parents=True)
        (proc / "stat").write_text("btime 1700000000\n")
        (proc / "self/stat").write_text(Path("/proc/self/stat").read_text())
        (proc / "self/limits").write_text(limits)
    before = f"""
import functools, prometheus_client.process_collector as of
of.ProcessCollector.__init__ = functools.partialmethod(of.ProcessCollector.__init__, proc={str(proc)!r})
"""
    with Exporter(tmp_path / "log", before=before) as exporter:
        exporter.wait_for(lambda: len(exporter.values("gmail_up")) == 4)
        assert "process_" not in exporter.get("/metrics").text
        assert exporter.stop()[0] == 0
