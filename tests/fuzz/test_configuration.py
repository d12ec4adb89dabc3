"""The fuzzer of configurations finds what is wrong with how one is read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from random import Random

import pytest

from exporter.config.load import load
from exporter.config.mistake import ConfigError, Mistake
from exporter.config.web import Reading
from exporter.model.settings import Config
from fuzz import configuration
from fuzz.configuration import SENTINEL, Configuration
from fuzz.fuzzer import Wrong

RIGHT = b'main tree\n{"endpoints": {"a": {"protocol": "imap", "host": "a.example"}}}  '


@pytest.fixture
def fuzzer(tmp_path: Path) -> Configuration:
    """A fuzzer."""
    return Configuration(tmp_path)


def test_trees_reach_far(fuzzer: Configuration, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trees of values are right now and then, and have secrets at wrong places."""
    loaded = []

    def keep(path: Path, environ: Mapping[str, str]) -> Config:
        loaded.append(load(path, environ))
        return loaded[-1]

    monkeypatch.setattr(configuration, "load", keep)
    random, secrets = Random(1), 0
    for _ in range(600):
        case = fuzzer.make(random)
        secrets += SENTINEL.encode() in case
        fuzzer.run(case)
    assert loaded
    assert secrets > 100


def test_case_of_both_files(fuzzer: Configuration) -> None:
    """A case that is right is no finding, nor one that is wrong."""
    for case in (RIGHT, b"web tree\n{}", b"web text\n{", b"main text\n\xff", b"main text\n", b"", b"nonsense"):
        fuzzer.run(case)


def raise_key_error(_value: object) -> None:
    """Raise what nothing expects."""
    raise KeyError


def test_unexpected_exception(fuzzer: Configuration, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is no mistake is a finding."""
    monkeypatch.setattr("exporter.config.kinds.check_host", raise_key_error)
    with pytest.raises(KeyError):
        fuzzer.run(RIGHT)


@pytest.mark.parametrize(
    ("mistakes", "wrong"),
    [
        ([Mistake("f", 1, 1, "a", SENTINEL)], "a mistake has a secret"),
        ([Mistake("f", 1, 1, "a\nb", "x")], "a mistake is not one line"),
        ([], "a configuration is refused without a mistake"),
    ],
)
def test_wrong_mistakes(
    fuzzer: Configuration, monkeypatch: pytest.MonkeyPatch, mistakes: list[Mistake], wrong: str
) -> None:
    """Mistakes are checked, of both files."""

    def refuse(*_: object) -> None:
        raise ConfigError(mistakes)

    monkeypatch.setattr(configuration, "load", refuse)
    with pytest.raises(Wrong, match=f"^{wrong}"):
        fuzzer.run(RIGHT)
    if mistakes:
        monkeypatch.setattr(configuration, "read_web", lambda _path: Reading(None, tuple(mistakes)))
        with pytest.raises(Wrong, match=f"^{wrong}"):
            fuzzer.run(b"web tree\n{}")


def test_name_that_tls_refuses(fuzzer: Configuration, monkeypatch: pytest.MonkeyPatch) -> None:
    """A host that no handshake could name is a finding."""
    monkeypatch.setattr("exporter.config.kinds.check_host", lambda host: host)
    with pytest.raises(UnicodeError):
        fuzzer.run(RIGHT.replace(b"a.example", b"a..example"))


@pytest.mark.parametrize(
    ("dumped", "wrong"),
    [
        ("endpoints: {b: {protocol: imap, host: b}}", "the effective configuration means something else"),
        (f"# {SENTINEL}", "the effective configuration has a secret"),
    ],
)
def test_wrong_dump(fuzzer: Configuration, monkeypatch: pytest.MonkeyPatch, dumped: str, wrong: str) -> None:
    """What is written of a configuration is loaded again."""
    monkeypatch.setattr(configuration, "dump", lambda _config: dumped)
    monkeypatch.setattr(configuration, "DUMPED", 1)
    with pytest.raises(Wrong, match=f"^{wrong}"):
        fuzzer.run(RIGHT)
