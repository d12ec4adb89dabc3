"""What is made of the error of a case: its kind, a smaller case, a file; and limits of a process."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fuzz import fuzzer
from fuzz.fuzzer import Finding, TooLong, Wrong, chunk, failure, kind_of, run_chunk, shrink
from tests.fuzz.broken import Raising, Sound


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let a case take a fifth of a second of the processor's time."""
    monkeypatch.setattr(fuzzer, "CPU_SECONDS", 0.2)
    before = signal.signal(signal.SIGPROF, fuzzer._too_long)
    yield
    signal.signal(signal.SIGPROF, before)


class Endless(Sound):
    """No case ends."""

    def run(self, case: bytes) -> None:
        """Run for ever."""
        while True:
            pass


def test_case_that_never_ends(impatient: None, tmp_path: Path) -> None:
    """It is a finding."""
    error = failure(Endless(tmp_path), b"x")
    assert isinstance(error, TooLong)
    assert kind_of(error).startswith("TooLong (test_fuzzer.py:")


def test_all_memory() -> None:
    """A case that takes all memory raises an error, and does not take the machine's."""
    program = "from fuzz.fuzzer import *; limit_process(); b'x' * (MEMORY + 1)"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert ended.stderr.rstrip().endswith("MemoryError")


def test_kind() -> None:
    """The place is that of the innermost frame of the exporter; what is wrong is without its details."""
    from exporter.config.duration import parse_duration  # noqa: PLC0415

    with pytest.raises(ValueError, match="not a duration") as caught:
        parse_duration("x")
    assert kind_of(caught.value).startswith("ValueError (duration.py:")
    assert kind_of(Wrong("a line has a secret: 'x'")) == "a line has a secret"


def test_chunks(tmp_path: Path) -> None:
    """Seed, name and number decide which cases a chunk has."""
    sound = Sound(tmp_path)
    cases = list(chunk("a", sound, 1, 0, 5))
    assert cases == list(chunk("a", sound, 1, 0, 5))
    for other in (("b", 1, 0), ("a", 2, 0), ("a", 1, 1)):
        assert cases != list(chunk(other[0], sound, *other[1:], 5))
    assert {finding.kind for finding in run_chunk("a", Raising(tmp_path), 1, 0, 100)} >= {"a letter is wrong"}


@pytest.mark.parametrize(
    ("case", "smaller"), [(b"abcxdef", b"x"), (b"x", b"x"), (b"aybcx" * 50, b"x"), (b"x" * 1000, b"x")]
)
def test_shrink(case: bytes, smaller: bytes) -> None:
    """What does not matter is taken out."""
    assert shrink(case, lambda less: b"x" in less) == smaller


def test_shrinking_ends() -> None:
    """A case of which everything matters is tried a bounded number of times."""
    tried: list[bytes] = []
    whole = bytes(range(256)) * 60

    def passes(less: bytes) -> bool:
        tried.append(less)
        return False

    assert shrink(whole, passes) == whole
    assert len(tried) == fuzzer.SHRINKING


def test_saved(tmp_path: Path) -> None:
    """The name of a case's file depends on the case alone."""
    one = Finding("dialogues", b"x", "kind")
    path = one.save(tmp_path / "made")
    assert path.read_bytes() == b"x"
    assert path == Finding("dialogues", b"x", "another").save(tmp_path / "made")
    assert path.name.startswith("dialogues-")
