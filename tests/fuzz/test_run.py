"""Runs of whole fuzzers, in processes of their own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from fuzz import __main__ as program
from fuzz.run import FUZZERS, MAX_KINDS, Make, Options, Run, scratch
from tests.fuzz.broken import Crashing, NeverReady, Raising, Sound

SMOKE = 200
"""Cases of each fuzzer: few, the same ones each time."""


def test_smoke(tmp_path: Path) -> None:
    """In a few cases of each fuzzer nothing is found, and a line of each says so."""
    command = [sys.executable, "-m", "fuzz", "--cases", str(SMOKE), "--seed", "1", "--jobs", "1"]
    ended = subprocess.run([*command, "--findings", str(tmp_path)], capture_output=True, text=True, check=False)
    assert (ended.stderr, ended.returncode) == ("", 0), ended.stdout
    lines = [line.split() for line in ended.stdout.splitlines()]
    assert [line[:5] for line in lines] == [[name, str(SMOKE), "cases", "0", "findings"] for name in FUZZERS]
    assert [line[-2:] for line in lines] == [["seed", "1"]] * len(FUZZERS)


def run(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cases: int = 1000, jobs: int = 2) -> Run:
    """Run a fuzzer of the tests."""
    monkeypatch.setitem(FUZZERS, "broken", make)
    with scratch() as directory:
        running = Run("broken", Options(cases, 0.0, 1, jobs, tmp_path), directory)
        running()
    return running


def test_findings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Each kind is found once, made small, kept in a file, and shown as a command that runs it again."""
    running = run(Raising, tmp_path, monkeypatch)
    assert running.cases == 1000
    kinds = {finding.kind: finding.case for finding in running.found.values()}
    assert sorted(kinds.values()) == [b"x", b"y"]
    assert kinds["a letter is wrong"] == b"y"
    assert [kind for kind in kinds if kind.startswith("ValueError (broken.py:")]
    printed = capsys.readouterr().out
    for line in printed.splitlines()[1::2]:
        _, file = line.split(" --case ")
        assert line.startswith("    python -m fuzz --only broken --case ")
        assert Path(file).read_bytes() in (b"x", b"y")
        assert program.main(["--only", "broken", "--case", file]) == 1
    assert "2 findings" in str(running)


def test_exit_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The program ends with 1 where something was found, with 0 where nothing was."""
    how = ["--only", "dialogues", "--cases", "600", "--jobs", "1", "--findings", str(tmp_path)]
    monkeypatch.setitem(FUZZERS, "dialogues", Sound)
    assert program.main(how) == 0
    monkeypatch.setitem(FUZZERS, "dialogues", Raising)
    assert program.main(how) == 1
    assert "dialogues: a letter is wrong\n" in capsys.readouterr().out
    (tmp_path / "right").write_bytes(b"abc")
    assert program.main([*how, "--case", str(tmp_path / "right")]) == 0
    assert "nothing is wrong with this case" in capsys.readouterr().out


def test_same_cases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A seed gives the same findings, however many processes there are."""
    one, three = (run(Raising, tmp_path, monkeypatch, jobs=jobs).found for jobs in (1, 3))
    assert one == three


def test_crash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A case that ends its process is found, and the fuzzer stops at so many."""
    (finding,) = run(Crashing, tmp_path, monkeypatch, cases=500, jobs=1).found.values()
    assert finding.kind == "the process ends with -11"
    assert b"x" in finding.case
    assert MAX_KINDS > 1


def test_process_that_never_begins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fuzzer that cannot be made is an error, and no finding."""
    with pytest.raises(RuntimeError, match="its processes end before they begin"):
        run(NeverReady, tmp_path, monkeypatch)


def test_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a number of cases it ends with its time."""
    monkeypatch.setitem(FUZZERS, "broken", Sound)
    with scratch() as directory:
        running = Run("broken", Options(None, 1.0, 1, 1, tmp_path), directory)
        running()
    assert running.cases > 0
    assert running.seconds >= 1.0
