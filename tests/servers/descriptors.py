"""A process without a file descriptor left: this one, or a daemon."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_USED_UP = """
import os
from pathlib import Path
from exporter.monitor import checker

def use_up(*arguments, probe=checker.probe, taken=[], **more):
    while taken and not Path({flag!r}).exists():
        os.close(taken.pop())
    try:
        while Path({flag!r}).exists():
            taken.append(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))
    except OSError:
        pass
    return probe(*arguments, **more)

checker.probe = use_up
"""


def used_up_while(flag: Path) -> str:
    """Code for a daemon's process: each probe begins by taking all that are left, as long as a file exists."""
    return _USED_UP.format(flag=str(flag))


@contextmanager
def used_up() -> Iterator[None]:
    """In this process, until the end of the block; none is taken that is open."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken: list[int] = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (_highest() + 16, limits[1]))
    try:
        try:
            while True:
                taken.append(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))
        except OSError:
            yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        for number in taken:
            os.close(number)


def _highest() -> int:
    return max(int(entry.name) for entry in Path("/proc/self/fd").iterdir())
