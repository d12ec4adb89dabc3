"""The process itself, tried in processes of its own."""

from __future__ import annotations

import subprocess
import sys

import pytest


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
    ran = subprocess.run(argv, timeout=20, capture_output=True, text=True, check=False)
    assert ran.returncode == 0
    assert ran.stdout == ("" if "1>&-" in closed else "out\n")
    assert ran.stderr == ("" if "2>&-" in closed else "err\n")


@pytest.mark.parametrize("arguments", [["--help"], ["--no-such-flag"], ["config", "--config.file=/nonexistent"]])
def test_commands_with_closed_streams(arguments: list[str]) -> None:
    """The exit code tells all the same."""
    argv = ["sh", "-c", 'exec "$0" -m exporter "$@" 0<&- 1>&- 2>&-', sys.executable, *arguments]
    ran = subprocess.run(argv, timeout=20, capture_output=True, check=False)
    assert ran.returncode == (0 if arguments == ["--help"] else 2)
