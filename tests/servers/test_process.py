"""Servers are found, started and ended as `process.py` claims; nothing of them stays."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.servers.process import Process, ServerError, find_program, free_port, is_listening, is_running


def test_missing_program() -> None:
    """A missing program is a failure that names the package and what installs it."""
    with pytest.raises(
        ServerError, match=r"no-such-program is missing: .* package nothing \(tests/servers/install does\)"
    ):
        find_program("no-such-program", "nothing")


def test_install_is_silent() -> None:
    """Where all is installed, the script says nothing."""
    done = subprocess.run([Path(__file__).with_name("install")], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_free_port() -> None:
    """Nobody listens on a free port."""
    assert not is_listening(free_port())


def test_stop_ends_children(tmp_path: Path) -> None:
    """A child that ignores SIGTERM, and outlives its parent, goes too."""
    child = "trap '' TERM; echo ready; while :; do sleep 0.05; done"
    output = tmp_path / "output"
    process = Process(["/bin/sh", "-c", f"({child}) & wait"], output=output)
    process.wait_until(lambda: "ready" in output.read_text(), log=str)
    members = process.members()
    assert len(members) >= 2
    process.stop(grace=0.1)
    assert not process.members()
    assert not [pid for pid in members if is_running(pid)]


def test_start_fails(tmp_path: Path) -> None:
    """A server that ends at once is a failure with its last words."""
    process = Process(["/bin/sh", "-c", "echo cannot; exit 3"], output=tmp_path / "output")
    with pytest.raises(ServerError, match=r"(?s)ended with 3:\ncannot\n.*said in its log"):
        process.wait_until(lambda: False, log=lambda: "said in its log")
