"""Standard output that may fail, in another process, for it is that of the whole process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from rich.table import Table
from rich.text import Text

from exporter.commands.console import UNBOUNDED, Screen, progress

CODE = """
import sys
from exporter.commands import console
try:
    console.write(sys.argv[1] * int(sys.argv[2]), sys.argv[3])
except console.CannotWrite as error:
    sys.stderr.write(f"[{error}]")
"""


def write(text: str, times: int = 1, encoding: str = "utf-8", shell: str = "") -> subprocess.CompletedProcess[bytes]:
    """Write, with a redirection by the shell."""
    command = [sys.executable, "-c", CODE, text, str(times), encoding]
    return subprocess.run(["/bin/sh", "-c", f'"$@" {shell}', "sh", *command], capture_output=True, check=False)


@pytest.mark.parametrize(("encoding", "written"), [("utf-8", "✔ up".encode()), ("ascii", b"? up")])
def test_a_character_that_the_encoding_lacks_is_a_question_mark(encoding: str, written: bytes) -> None:
    """Never a traceback."""
    wrote = write("✔ up", encoding=encoding)
    assert (wrote.stdout, wrote.stderr, wrote.returncode) == (written, b"", 0)


def test_a_full_disk_is_named() -> None:
    """And Python does not write again when it ends."""
    assert Path("/dev/full").exists()
    wrote = write("x", shell="> /dev/full")
    assert (wrote.stderr, wrote.returncode) == (b"[No space left on device]", 0)


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_nothing_is_lost_to_a_slow_reader(unbuffered: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pipe takes 64 KiB at a time; without Python's own buffer a write returns when it is full."""
    monkeypatch.setenv("PYTHONUNBUFFERED", unbuffered)
    wrote = write("x", times=1_000_000, shell="| (sleep 0.2; wc -c)")
    assert (wrote.stdout.strip(), wrote.stderr) == (b"1000000", b"")


def test_a_closed_pipe_has_an_empty_message() -> None:
    """The reader needs no more output."""
    wrote = write("x", times=1_000_000, shell="| head -c 1")
    assert (wrote.stdout, wrote.stderr) == (b"x", b"[]")


def test_a_pipe_gets_no_control_codes_and_no_wrapping(capfd: pytest.CaptureFixture[str]) -> None:
    """A line stays one line, without spaces at its end."""
    screen = Screen()
    assert screen.width == UNBOUNDED
    table = Table("endpoint", "remedy", box=None)
    table.add_row("imap", Text("word " * 200, style="red"))
    screen.show(table, "[bold]bold[/] :smile:")
    out, err = capfd.readouterr()
    head, row, last = out.splitlines()
    assert head.split() == ["endpoint", "remedy"]
    assert row.split() == ["imap", *["word"] * 200]
    assert last == "bold :smile:"
    assert "\x1b" not in out
    assert all(line == line.rstrip() for line in (head, row, last))
    assert err == ""


def test_each_call_shows_its_own_output(capfd: pytest.CaptureFixture[str]) -> None:
    """And not that of the call before it."""
    screen = Screen()
    screen.show("first and longer")
    screen.show("second")
    assert capfd.readouterr().out == "first and longer\nsecond\n"


def test_no_progress_without_a_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    """On neither output, for both are no terminal here."""
    with progress(2) as running, running.step("imap"):
        pass
    assert capfd.readouterr() == ("", "")
