"""This process: its standard streams, who may read its memory, how many files it may open."""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

_NR_OPEN = Path("/proc/sys/fs/nr_open")
"""The most open files that the kernel allows any process; a hard limit may be above it, in containers of RHEL 9."""

_USUAL_LIMITS = (1 << 20, 1 << 16, 1 << 12)
"""Limits of open files to try where the hard one is refused and the kernel's own is not known."""

_PR_SET_DUMPABLE = 4  # prctl(2)


def open_standard_streams() -> None:
    """Open /dev/null for each standard stream that was closed before the start.

    Otherwise the next file or socket gets its number, and what is printed would be written to that.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free
    if sys.stdout is None:
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 (until the end)
    if sys.stderr is None:
        sys.stderr = open(2, "w", encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115


def attempt(what: str, step: Callable[[], T]) -> T | None:
    """Do what only improves things, and return its result; where the system does not allow it, that is logged."""
    try:
        return step()
    except Exception as error:  # noqa: BLE001 (whatever it is, the program works without)
        import structlog  # noqa: PLC0415 (slow, and hardly ever needed)

        log = structlog.get_logger("process")
        log.warning("not possible on this system", what=what, error=str(error) or type(error).__name__)
        return None


def protect_memory() -> None:
    """Let no other process read the memory and the environment of this one, and no crash write them to a file.

    Only root still may: /proc/PID/environ, /proc/PID/mem and the like belong to it from now on.
    """
    attempt("write no core dump", lambda: resource.setrlimit(resource.RLIMIT_CORE, (0, 0)))
    attempt("protect the memory from other processes of this user", _clear_dumpable)


def _clear_dumpable() -> None:
    import ctypes  # noqa: PLC0415 (here alone, and where it is missing, the rest still works)

    prctl = ctypes.CDLL(None, use_errno=True).prctl
    if prctl(_PR_SET_DUMPABLE, *map(ctypes.c_ulong, (0, 0, 0, 0))) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def open_files() -> int:
    """Return how many files this process may have open."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return sys.maxsize if soft == resource.RLIM_INFINITY else soft


def raise_open_files() -> None:
    """Allow this process as many open files as possible: each connection takes one.

    The usual soft limit of 1,024 is for select(), which is not used.

    Raises:
        OSError, ValueError: Nothing above the soft limit is allowed.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    is_unlimited = hard == resource.RLIM_INFINITY
    if soft in (hard, resource.RLIM_INFINITY):
        return
    refusal: Exception | None = None
    wanted = {*_USUAL_LIMITS, _most_open_files(), sys.maxsize if is_unlimited else hard}
    for limit in sorted((limit for limit in wanted if soft < limit and (is_unlimited or limit <= hard)), reverse=True):
        try:
            # The hard one, too: the kernel refuses one that is above its own limit, even if it stays as it is.
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
        except (OSError, ValueError) as error:
            refusal = error
        else:
            return
    if refusal:
        raise refusal


def _most_open_files() -> int:
    """Return the kernel's own limit of open files; 0 where it is not known."""
    try:
        return int(_NR_OPEN.read_text("ascii"))
    except (OSError, ValueError):
        return 0
