"""Memory that is freed goes back to the kernel."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

from exporter.host import allocator

SCRIPT = r"""
import re, sys
from pathlib import Path
from exporter.host import allocator

def memory():
    return int(re.search(r"VmRSS:\s+(\d+)", Path("/proc/self/status").read_text())[1]) // 1024

if sys.argv[1] == "fixed":
    allocator.give_back()
bytes(16 << 20)  # freed at once: raises a threshold that is not fixed
before = memory()
# What stays lies above what is freed, as that of other connections does.
bodies, stays = zip(*[(bytearray(8 << 20), bytearray(100_000)) for _ in range(12)])
assert memory() - before > 90
del bodies
print(memory() - before)
"""


def kept(how: str) -> int:
    """The MiB that a process keeps of 96 that it has freed."""
    done = subprocess.run([sys.executable, "-c", SCRIPT, how], capture_output=True, text=True, check=True)
    return int(done.stdout)


def test_freed_blocks_go_back_to_the_kernel() -> None:
    """Without it they stay with the process."""
    assert platform.libc_ver()[0] == "glibc"
    assert kept("as it is") > 48
    assert kept("fixed") < 8


def test_another_c_library_has_no_such_option(monkeypatch: pytest.MonkeyPatch) -> None:
    """Or refuses it: the start goes on without, and says so."""
    import ctypes  # noqa: PLC0415

    monkeypatch.setattr(ctypes, "CDLL", lambda _name: object())
    with pytest.raises(AttributeError):
        allocator.give_back()

    class Refusing:
        def mallopt(self, _option: int, _value: int) -> int:
            return 0

    monkeypatch.setattr(ctypes, "CDLL", lambda _name: Refusing())
    with pytest.raises(ValueError, match="mallopt"):
        allocator.give_back()
