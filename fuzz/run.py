"""Runs a fuzzer in several processes, and keeps what it finds."""

from __future__ import annotations

import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from itertools import count
from pathlib import Path

from fuzz.certificates import Certificates
from fuzz.configuration import Configuration
from fuzz.deliveries import Deliveries
from fuzz.dialogues import Dialogues
from fuzz.feeds import Feeds
from fuzz.fuzzer import CHUNK, Finding, Fuzzer, chunk, failure, limit_process, run_chunk
from fuzz.requests import Requests

Make = Callable[[Path], Fuzzer]
"""Makes a fuzzer in a process of its own, with a directory of its own."""

FUZZERS: dict[str, Make] = {
    "dialogues": Dialogues,
    "deliveries": Deliveries,
    "requests": Requests,
    "configuration": Configuration,
    "certificates": Certificates,
    "feeds": Feeds,
}
FINDINGS = Path(__file__).parent / "findings"
# Each process is forked from one that has imported this module, and has run no case.
_PROCESSES = multiprocessing.get_context("forkserver")
_PROCESSES.set_forkserver_preload([__name__])

MAX_KINDS = 10
"""Kinds of findings after which a fuzzer stops."""


@dataclass(frozen=True, slots=True)
class Options:
    """How a fuzzer is run.

    Attributes:
        cases: How many; None: as many as there is time for.
        seconds: The time, where `cases` is None.
        seed: The same seed gives the same cases, however many processes there are.
        jobs: Processes.
        findings: Where the cases that are found are kept.
    """

    cases: int | None
    seconds: float
    seed: int
    jobs: int
    findings: Path = FINDINGS


@contextmanager
def scratch() -> Iterator[Path]:
    """A directory for files, in memory where this host has that: cases are files by the million."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(prefix="fuzz-", dir=memory if os.access(memory, os.W_OK) else None) as made:
        yield Path(made)


@cache
def made(make: Make, directory: Path) -> Fuzzer:
    """Return the fuzzer of this process."""
    own = directory / str(os.getpid())
    own.mkdir()
    return make(own)


def _work(make: Make, name: str, directory: Path, seed: int, number: int, cases: int) -> list[Finding]:
    return run_chunk(name, made(make, directory), seed, number, cases)


def _find_crash(make: Make, name: str, directory: Path, seed: int, number: int, cases: int) -> None:
    """Run a chunk that ended a process, with each case in a file before it is run."""
    limit_process()
    fuzzer = made(make, directory)
    for case in chunk(name, fuzzer, seed, number, cases):
        (directory / "last").write_bytes(case)
        failure(fuzzer, case)
    (directory / "last").unlink()


class Run:
    """One fuzzer, in several processes, for so many cases or so many seconds."""

    def __init__(self, name: str, options: Options, directory: Path) -> None:
        self.name = name
        self._make = FUZZERS[name]
        self.cases = 0
        self.seconds = 0.0
        self.found: dict[str, Finding] = {}
        self._options = options
        self._directory = directory

    def __call__(self) -> None:
        """Run it."""
        began = time.monotonic()
        chunks = self._chunks(began + self._options.seconds)
        running: dict[Future[list[Finding]], tuple[int, int]] = {}
        while len(self.found) < MAX_KINDS:
            try:
                with self._pool() as pool:
                    self._feed(pool, chunks, running)
                break
            except BrokenProcessPool:
                for one in running.values():
                    self._look_for_crash(*one)
                running.clear()
        self.seconds = time.monotonic() - began

    def _pool(self) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(self._options.jobs, mp_context=_PROCESSES, initializer=limit_process)

    def _chunks(self, ends: float) -> Iterator[tuple[int, int]]:
        """Yield the number of each chunk, and its cases."""
        for number in count():
            if self._options.cases is None:
                left = CHUNK if time.monotonic() < ends else 0
            else:
                left = self._options.cases - number * CHUNK
            if left <= 0:
                return
            yield number, min(left, CHUNK)

    def _feed(
        self,
        pool: ProcessPoolExecutor,
        chunks: Iterator[tuple[int, int]],
        running: dict[Future[list[Finding]], tuple[int, int]],
    ) -> None:
        while len(self.found) < MAX_KINDS:
            while len(running) < 2 * self._options.jobs and (one := next(chunks, None)):
                running[pool.submit(_work, self._make, self.name, self._directory, self._options.seed, *one)] = one
            if not running:
                return
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                for finding in future.result():
                    self._keep(finding)
                self.cases += running.pop(future)[1]

    def _look_for_crash(self, number: int, cases: int) -> None:
        arguments = (self._make, self.name, self._directory, self._options.seed, number, cases)
        process = _PROCESSES.Process(target=_find_crash, args=arguments)
        process.start()
        process.join()
        if process.exitcode:
            last = self._directory / "last"
            if not last.exists():
                raise RuntimeError(f"{self.name}: its processes end before they begin")
            self._keep(Finding(self.name, last.read_bytes(), f"the process ends with {process.exitcode}"))
            last.unlink()

    def _keep(self, finding: Finding) -> None:
        if finding.kind in self.found:
            return
        self.found[finding.kind] = finding
        path = os.path.relpath(finding.save(self._options.findings))
        print(f"{self.name}: {finding.kind}\n    python -m fuzz --only {self.name} --case {path}", flush=True)

    def __str__(self) -> str:
        rate = self.cases / self.seconds if self.seconds else 0.0
        return (
            f"{self.name:<14}{self.cases:>12,} cases{len(self.found):>5} findings{self.seconds:>9.1f} s"
            f"{rate:>11,.0f} cases/s   seed {self._options.seed}"
        )
