"""Standard output that may fail, in a process of its own, for it is the process's own that fails."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

CODE = """
import sys
from exporter.commands import output
try:
    output.write(sys.argv[1] * int(sys.argv[2]), sys.argv[3])
except output.CannotWrite as error:
    sys.stderr.write(f"[{error}]")
"""


def write(text: str, times: int = 1, encoding: str = "utf-8", shell: str = "") -> subprocess.CompletedProcess[bytes]:
    """Write, with standard output led where the shell says."""
    command = [sys.executable, "-c", CODE, text, str(times), encoding]
    return subprocess.run(["/bin/sh", "-c", f'"$@" {shell}', "sh", *command], capture_output=True, check=False)


@pytest.mark.parametrize(("encoding", "written"), [("utf-8", "✔ up".encode()), ("ascii", b"? up")])
def test_a_character_that_the_encoding_lacks_is_a_question_mark(encoding: str, written: bytes) -> None:
    """Never a traceback."""
    wrote = write("✔ up", encoding=encoding)
    assert (wrote.stdout, wrote.stderr, wrote.returncode) == (written, b"", 0)


def test_a_full_disk_is_named() -> None:
    """And Python does not try again when it ends."""
    assert Path("/dev/full").exists()
    wrote = write("x", shell="> /dev/full")
    assert (wrote.stderr, wrote.returncode) == (b"[No space left on device]", 0)


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_nothing_is_lost_to_a_slow_reader(unbuffered: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pipe takes 64 KiB at a time; without Python's own buffer a write returns when it is full."""
    monkeypatch.setenv("PYTHONUNBUFFERED", unbuffered)
    wrote = write("x", times=1_000_000, shell="| (sleep 0.2; wc -c)")
    assert (wrote.stdout.strip(), wrote.stderr) == (b"1000000", b"")


def test_a_reader_that_has_left_is_told_nothing() -> None:
    """It has seen enough: the message is empty."""
    wrote = write("x", times=1_000_000, shell="| head -c 1")
    assert (wrote.stdout, wrote.stderr) == (b"x", b"[]")
