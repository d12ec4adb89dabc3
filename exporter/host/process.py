"""This process: its standard streams, and who may read its memory."""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Callable

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


def attempt(what: str, step: Callable[[], object]) -> None:
    """Do what only improves things; where the system does not have it, or forbids it, that is logged."""
    try:
        step()
    except Exception as error:  # noqa: BLE001 (whatever it is, the program works without)
        import structlog  # noqa: PLC0415 (slow, and hardly ever needed)

        log = structlog.get_logger("process")
        log.warning("not possible on this system", what=what, error=str(error) or type(error).__name__)


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
