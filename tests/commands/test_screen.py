"""What is shown where, on a pipe. On a terminal: tests/commands/test_check.py."""

from __future__ import annotations

import pytest
from rich.table import Table
from rich.text import Text

from exporter.commands.screen import UNBOUNDED, Screen, progress


def test_a_pipe_gets_no_control_codes_and_no_edge(capfd: pytest.CaptureFixture[str]) -> None:
    """A line stays one line, and nothing trails behind it."""
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


def test_what_was_shown_is_not_shown_again(capfd: pytest.CaptureFixture[str]) -> None:
    """Each call writes its own."""
    screen = Screen()
    screen.show("first and longer")
    screen.show("second")
    assert capfd.readouterr().out == "first and longer\nsecond\n"


def test_there_is_no_progress_where_nobody_watches(capfd: pytest.CaptureFixture[str]) -> None:
    """Neither on standard error, which is no terminal here, nor on standard output."""
    with progress(2) as running, running.step("imap"):
        pass
    assert capfd.readouterr() == ("", "")
