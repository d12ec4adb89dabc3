"""Fuzzers that find something, for the tests; they are made in processes of their own."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from random import Random

from fuzz.fuzzer import Wrong


class Sound:
    """Every case is right."""

    def __init__(self, _directory: Path) -> None:
        pass

    def make(self, random: Random) -> bytes:
        """Return some letters."""
        return bytes(random.choices(b"abcdefghijklmnopqrstuvwxyz", k=40))

    def run(self, case: bytes) -> None:
        """Do nothing."""


class Raising(Sound):
    """A case with an x raises an error, one with a y is wrong."""

    def run(self, case: bytes) -> None:
        """Raise an error."""
        if b"x" in case:
            raise ValueError(f"an x in {case!r}")
        if b"y" in case:
            raise Wrong(f"a letter is wrong: {case!r}")


class Crashing(Sound):
    """A case with an x ends the process."""

    def run(self, case: bytes) -> None:
        """End the process, as a fault in a library in C does."""
        if b"x" in case:
            os.kill(os.getpid(), signal.SIGSEGV)


class NeverReady(Sound):
    """It cannot be made."""

    def __init__(self, _directory: Path) -> None:
        os._exit(3)
