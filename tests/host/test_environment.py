"""Variables of the environment that hold secrets."""

from __future__ import annotations

import os
import subprocess

import pytest

from exporter.host.environment import Environment


def test_a_variable_is_taken_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is found here from then on, and in no child of the process."""
    monkeypatch.setenv("SECRET", "s3ntinel")
    monkeypatch.setenv("OTHER", "seen")
    environment = Environment.of(os.environ)
    environment.take({"SECRET", "MISSING"})
    assert "SECRET" not in os.environ
    children = subprocess.run(["env"], capture_output=True, text=True, check=True).stdout
    assert "s3ntinel" not in children
    assert "OTHER=seen" in children
    for _ in range(2):
        assert environment["SECRET"] == "s3ntinel"
        assert environment["OTHER"] == "seen"
        environment.take(["SECRET"])


def test_it_is_a_mapping() -> None:
    """With every variable once; its text has no value."""
    environment = Environment({"A": "1", "B": "2"})
    environment.take(["A"])
    assert dict(environment) == {"A": "1", "B": "2"}
    assert len(environment) == 2
    assert environment.get("C") is None
    with pytest.raises(KeyError):
        environment["C"]
    assert repr(environment) == "Environment(['A', 'B'])"
    assert Environment.of(environment) is environment


def test_a_variable_that_comes_back() -> None:
    """A child of this program cannot set one; where another part of the program does, the one that was taken counts."""
    source = {"A": "1"}
    environment = Environment(source)
    environment.take(["A"])
    source["A"] = "2"
    assert environment["A"] == "1"
    assert list(environment) == ["A"]
