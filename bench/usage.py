"""CPU and memory of a process, as the kernel reports them."""

from __future__ import annotations

import os
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    """Return user and system time of all its threads, in seconds (proc(5): fields 14 and 15 of stat)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def main_thread_seconds(pid: int) -> float:
    """Return the CPU seconds of its main thread, which runs the event loop; to the nanosecond."""
    return int(Path(f"/proc/{pid}/task/{pid}/schedstat").read_text().split()[0]) / 1e9


def peak_memory(pid: int) -> int:
    """Return its peak resident memory in octets."""
    return _status(pid, "VmHWM")


def memory(pid: int) -> int:
    """Return its resident memory in octets."""
    return _status(pid, "VmRSS")


def _status(pid: int, name: str) -> int:
    [line] = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith(f"{name}:")]
    return int(line.split()[1]) * 1024
