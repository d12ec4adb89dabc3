"""The fuzzer of certificates finds what is wrong with how one is read."""

from __future__ import annotations

import ssl
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from exporter.model.certificate import Certificate, TlsFacts
from exporter.probing import client_tls
from fuzz import certificates
from fuzz.certificates import Certificates
from fuzz.fuzzer import Wrong
from tests.examples import FACTS

GOOD = Certificate("CN=a", "CN=b", ("a",), 1.0, 2.0, "ab" * 32, "01")


@pytest.fixture
def fuzzer(tmp_path: Path) -> Iterator[Certificates]:
    """A fuzzer; it makes errors of warnings, in its process."""
    with warnings.catch_warnings():
        yield Certificates(tmp_path)


def test_cases(fuzzer: Certificates, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many cases are certificates of which something is known, and many are not; the seeds are no findings."""
    for seed in fuzzer._seeds:
        fuzzer.run(seed)
    seen: list[TlsFacts | None] = []
    facts = client_tls.facts

    def keep(presented: ssl.SSLObject, *, verified: bool) -> TlsFacts | None:
        seen.append(facts(presented, verified=verified))
        return seen[-1]

    monkeypatch.setattr(client_tls, "facts", keep)
    random = Random(1)
    for _ in range(500):
        fuzzer.run(fuzzer.make(random))
    known = [one for one in seen if one and one.not_after is not None]
    assert 50 < len(known) < 450


def test_unexpected_exception(fuzzer: Certificates, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is raised is a finding."""
    monkeypatch.setattr(client_tls, "_read", lambda source, read, _otherwise: read(source))
    with pytest.raises(ValueError, match="error parsing asn1"):
        fuzzer.run(b"0\0")


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        ({"subject": "x" * 1000}, "a text is too long"),
        ({"names": ("x" * 1000,)}, "a text is too long"),
        ({"not_after": 1e15}, "a time is in no year"),
        ({"not_before": float("nan")}, "a time is in no year"),
    ],
)
def test_wrong_facts(
    fuzzer: Certificates, monkeypatch: pytest.MonkeyPatch, change: dict[str, object], wrong: str
) -> None:
    """The facts are checked."""
    facts = replace(FACTS, chain=(replace(GOOD, **change),))  # type: ignore[arg-type]
    monkeypatch.setattr(client_tls, "facts", lambda _presented, **_: facts)
    with pytest.raises(Wrong, match=f"^{wrong}"):
        fuzzer.run(b"0\0")


def test_no_facts(fuzzer: Certificates, monkeypatch: pytest.MonkeyPatch) -> None:
    """A certificate that was presented has facts."""
    monkeypatch.setattr(client_tls, "facts", lambda _presented, **_: None)
    with pytest.raises(Wrong, match="^a certificate is presented, and there are no facts"):
        fuzzer.run(b"0\0")


def test_files(fuzzer: Certificates, monkeypatch: pytest.MonkeyPatch) -> None:
    """A case is read from files, too, as an authority and as a certificate of the server."""
    monkeypatch.setattr(certificates, "FILES", 1)
    for seed in fuzzer._seeds:
        fuzzer.run(seed)

    def fail(_path: Path) -> None:
        raise KeyError

    monkeypatch.setattr(certificates, "read_web", fail)
    with pytest.raises(KeyError):
        fuzzer.run(fuzzer._seeds[0])
