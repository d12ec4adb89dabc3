"""The daemon, which also writes the number of its tasks to a file when it gets SIGUSR1."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from exporter import cli


def main(arguments: Sequence[str]) -> int:
    """Run the daemon with the flags after the name of the file."""
    file, *flags = arguments

    def note(_number: int, _frame: object) -> None:
        Path(file).write_text(str(len(asyncio.all_tasks())))

    signal.signal(signal.SIGUSR1, note)
    return cli.main(flags)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
