"""How this program was started, as somebody has to type it again."""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from exporter.config.environment import PASSWORD, PASSWORD_FILE, USERNAME

PROGRAM = "gmail-exporter"


def release_command(options: argparse.Namespace, storage: Path | None, environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return the command that releases an account, without its name; none where the login budgets are in memory.

    No secret is in it, for a release needs none: /dev/null stands in the place of a password.
    """
    if storage is None:
        return ()
    start = [] if options.config_file else _environment(environ)
    return (*start, *_program(), "accounts", "release", *_flags(options, storage))


def check_command(options: argparse.Namespace, storage: Path | None) -> tuple[str, ...]:
    """Return the command that checks an endpoint or a delivery now, without its name.

    An account of the environment is not in it: the check does not log in then.
    """
    return (*_program(), "check", *_flags(options, storage))


def _flags(options: argparse.Namespace, storage: Path | None) -> list[str]:
    """Return the flags in force that say which configuration and which login budgets are meant."""
    flags = [f"--storage.path={storage.absolute()}" if storage else "--storage.none"]
    if options.config_file is not None:
        flags.append(f"--config.file={options.config_file.absolute()}")
    if options.shard.count > 1:
        flags.append(f"--shard={options.shard}")
    return flags


def _environment(environ: Mapping[str, str]) -> list[str]:
    """Return the words that name the account of the environment, where there is one."""
    if not environ.get(USERNAME):
        return []
    file = environ.get(PASSWORD_FILE) or ("/dev/null" if environ.get(PASSWORD) else "")
    return ["env", f"{USERNAME}={environ[USERNAME]}", f"{PASSWORD_FILE}={file}"]


def _program() -> list[str]:
    """Return the words that start it: its name where a shell finds it, else its path, or that of Python."""
    started = Path(sys.argv[0])
    if started.name != PROGRAM:
        return [sys.executable, "-m", "exporter"]
    found = shutil.which(PROGRAM)
    return [PROGRAM if found and Path(found).resolve() == started.resolve() else str(started.absolute())]
