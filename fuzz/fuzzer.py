"""What a fuzzer is, and how one is run: cases in chunks, in processes, each finding made small and kept."""

from __future__ import annotations

import hashlib
import resource
import signal
import time
import traceback
import typing
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

CHUNK = 500
"""Cases of a chunk: it has random numbers of its own, so that it does not matter which process runs it."""

CPU_SECONDS = 10
"""Seconds of the processor's time that a case may take. One that takes longer does not end."""

MEMORY = 4 << 30
"""Octets of address space of a process."""

SHRINKING = 3000
"""Runs in which a case is made smaller, at most."""

SHRINKING_SECONDS = 30.0
"""Seconds in which a case is made smaller, at most."""


class Fuzzer(typing.Protocol):
    """One kind of input from outside, and what must be true of every one."""

    def make(self, random: Random) -> bytes:
        """Return a new case."""

    def run(self, case: bytes) -> None:
        """Run a case. Whatever it raises is a finding."""


class Wrong(AssertionError):
    """Something that must be true of every case is not: what, a colon, and the details of this case."""


class TooLong(Exception):
    """A case took more than `CPU_SECONDS`."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A case that is a finding; `kind` is the same for cases that fail alike."""

    fuzzer: str
    case: bytes
    kind: str

    def save(self, directory: Path) -> Path:
        """Write the case to a file, and return its path."""
        path = directory / f"{self.fuzzer}-{hashlib.sha256(self.case).hexdigest()[:12]}"
        directory.mkdir(parents=True, exist_ok=True)
        path.write_bytes(self.case)
        return path


def limit_process() -> None:
    """Let a case that takes all memory, or that never ends, raise an error in this process."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, resource.RLIM_INFINITY))
    signal.signal(signal.SIGPROF, _too_long)


def _too_long(_number: int, _frame: object) -> None:
    raise TooLong(f"more than {CPU_SECONDS} s of the processor's time")


def failure(fuzzer: Fuzzer, case: bytes) -> BaseException | None:
    """Run a case, and return what it raises."""
    signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS)
    try:
        fuzzer.run(case)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 (a panic of a library in Rust is not even an Exception)
        return error
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    return None


def kind_of(error: BaseException) -> str:
    """Return the type of an error and the place that raised it; for something `Wrong`, what is."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.name != _too_long.__name__]
    ours = [frame for frame in frames if "/exporter/" in frame.filename] or frames[-1:]
    place = f" ({Path(ours[-1].filename).name}:{ours[-1].lineno} {ours[-1].name})" if ours else ""
    return str(error).partition(":")[0] if isinstance(error, Wrong) else type(error).__name__ + place


def chunk(name: str, fuzzer: Fuzzer, seed: int, number: int, cases: int = CHUNK) -> Iterator[bytes]:
    """Yield the cases of a chunk."""
    random = Random(f"{seed}/{name}/{number}")
    for _ in range(cases):
        yield fuzzer.make(random)


def run_chunk(name: str, fuzzer: Fuzzer, seed: int, number: int, cases: int = CHUNK) -> list[Finding]:
    """Run the cases of a chunk, and return what was found, each kind once and small."""
    found: dict[str, Finding] = {}
    for case in chunk(name, fuzzer, seed, number, cases):
        error = failure(fuzzer, case)
        if error is not None and (kind := kind_of(error)) not in found:
            found[kind] = Finding(name, shrink(case, lambda less: _fails_alike(fuzzer, less, kind)), kind)
    return list(found.values())


def _fails_alike(fuzzer: Fuzzer, case: bytes, kind: str) -> bool:
    error = failure(fuzzer, case)
    return error is not None and kind_of(error) == kind


def shrink(case: bytes, fails: Callable[[bytes], bool]) -> bytes:
    """Return a smaller case that fails, too: without pieces that do not matter, the largest pieces first."""
    runs, size, ends = 0, len(case) // 2, time.monotonic() + SHRINKING_SECONDS
    while size and runs < SHRINKING and time.monotonic() < ends:
        at = 0
        while at < len(case) and runs < SHRINKING and time.monotonic() < ends:
            less = case[:at] + case[at + size :]
            runs += 1
            if fails(less):
                case = less
            else:
                at += size
        size = min(size // 2, len(case))
    return case
