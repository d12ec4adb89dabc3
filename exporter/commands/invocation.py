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
    words = [*_program(), "accounts", "release", f"--storage.path={storage.absolute()}"]
    if options.config_file is not None:
        words.append(f"--config.file={options.config_file.absolute()}")
    elif environ.get(USERNAME):
        file = environ.get(PASSWORD_FILE) or ("/dev/null" if environ.get(PASSWORD) else "")
        words = ["env", f"{USERNAME}={environ[USERNAME]}", f"{PASSWORD_FILE}={file}", *words]
    if options.shard.count > 1:
        words.append(f"--shard={options.shard}")
    return tuple(words)


def _program() -> list[str]:
    """Return the words that start it: its name where a shell finds it, else its path, or that of Python."""
    started = Path(sys.argv[0])
    if started.name != PROGRAM:
        return [sys.executable, "-m", "exporter"]
    found = shutil.which(PROGRAM)
    return [PROGRAM if found and Path(found).resolve() == started.resolve() else str(started.absolute())]
