"""The commands that pages show, as somebody has to type them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from exporter.commands.invocation import check_command, release_command
from exporter.model.shard import Shard
from tests.examples import SENTINEL

LEDGER = Path("/var/lib/x/ledger.db")


def command(
    environ: Mapping[str, str] | None = None,
    config: str = "",
    shard: Shard | None = None,
    storage: Path | None = LEDGER,
) -> str:
    """Return the command, without the words that start the program."""
    options = argparse.Namespace(config_file=Path(config) if config else None, shard=shard or Shard())
    return " ".join(release_command(options, storage, environ or {}))


def test_flags_in_force(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Files by their absolute paths: it may be typed in another directory."""
    monkeypatch.chdir(tmp_path)
    start = f"{sys.executable} -m exporter accounts release --storage.path={LEDGER}"
    assert command() == start
    assert command(config="gmail.yml") == f"{start} --config.file={tmp_path}/gmail.yml"
    assert command(config="/a.yml", shard=Shard(1, 3)) == f"{start} --config.file=/a.yml --shard=1/3"
    assert command(storage=None) == ""


def test_a_check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the same flags; with budgets in memory it has none of the daemon's."""
    monkeypatch.chdir(tmp_path)
    options = argparse.Namespace(config_file=Path("gmail.yml"), shard=Shard(1, 3))
    start, rest = f"{sys.executable} -m exporter check", f"--config.file={tmp_path}/gmail.yml --shard=1/3"
    assert " ".join(check_command(options, LEDGER)) == f"{start} --storage.path={LEDGER} {rest}"
    assert " ".join(check_command(options, None)) == f"{start} --storage.none {rest}"


def test_account_of_the_environment() -> None:
    """Its variables are in it, where they are in force, but no password."""
    user = {"GMAIL_EXPORTER_USERNAME": "me@gmail.com"}
    of_file = command({**user, "GMAIL_EXPORTER_APP_PASSWORD_FILE": "/run/secret"})
    assert of_file.startswith("env GMAIL_EXPORTER_USERNAME=me@gmail.com GMAIL_EXPORTER_APP_PASSWORD_FILE=/run/secret ")
    of_variable = command({**user, "GMAIL_EXPORTER_APP_PASSWORD": SENTINEL})
    assert "GMAIL_EXPORTER_APP_PASSWORD_FILE=/dev/null " in of_variable
    assert SENTINEL not in of_variable
    assert "GMAIL" not in command({**user, "GMAIL_EXPORTER_APP_PASSWORD": SENTINEL}, config="/a.yml")


def test_program(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """By its name where a shell finds it, else by its path."""
    program = tmp_path / "gmail-exporter"
    program.write_text("#!/bin/sh\n", "utf-8")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "argv", [str(program)])
    monkeypatch.setenv("PATH", "/nonexistent")
    assert command().startswith(f"{program} accounts release ")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert command().startswith("gmail-exporter accounts release ")
