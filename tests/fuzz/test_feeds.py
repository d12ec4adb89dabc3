"""The fuzzer of feeds finds what is wrong with how other servers than those of mail are read."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from exporter.verdict.incidents import FormChanged, Open, read
from exporter.verdict.plain_request import Plain
from fuzz import feeds
from fuzz.feeds import Feeds
from fuzz.fuzzer import Wrong
from fuzz.mutation import SEEDS
from tests.verdict.feed import NOTICE, OUTAGE, encoded

GOOD = read(encoded(OUTAGE, NOTICE))
(INCIDENT,), (NOTED,) = GOOD


@pytest.fixture
def fuzzer(tmp_path: Path) -> Feeds:
    """A fuzzer."""
    return Feeds(tmp_path)


def test_cases(fuzzer: Feeds, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some cases have open incidents, some have none, some are of another form, and some are answers."""
    for path in (SEEDS / "feeds").iterdir():
        fuzzer.run(path.read_bytes())
    kinds: Counter[str] = Counter()

    def counted(body: bytes) -> Open:
        try:
            found = read(body)
        except FormChanged:
            kinds["another form"] += 1
            raise
        kinds["open" if found.incidents else "none"] += 1
        return found

    monkeypatch.setattr(feeds, "read", counted)
    random = Random(1)
    for _ in range(1000):
        fuzzer.run(fuzzer.make(random))
    assert min(kinds["another form"], kinds["open"], kinds["none"], 1000 - kinds.total()) > 50


def test_unexpected_exception(fuzzer: Feeds, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever else is raised is a finding."""
    monkeypatch.setattr(feeds, "read", lambda case: case[1000])
    with pytest.raises(IndexError):
        fuzzer.run(b"[]")


@pytest.mark.parametrize(
    ("found", "wrong"),
    [
        (Open(), "an outage is not told"),
        (Open((NOTED,)), "a notice is taken for an outage"),
        (Open((INCIDENT,) * 11), "too much is kept"),
        (Open((replace(INCIDENT, severity="urgent"),)), "a word without bounds in severity"),
        (Open((replace(INCIDENT, impact="SERVICE_OUTAGE"),)), "a word without bounds in impact"),
        (Open((INCIDENT,), (replace(NOTED, status=""),)), "a word without bounds in status"),
        (Open((replace(INCIDENT, url="https://evil.example/"),)), "a link leads elsewhere"),
        (Open((replace(INCIDENT, begin=math.nan),)), "a time is in no year"),
        (Open((replace(INCIDENT, text="a" * 513),)), "a text is too long"),
        (Open((replace(INCIDENT, text="a\nb"),)), "a text is not one line"),
        (Open((replace(INCIDENT, id="\x1b"),)), "a text is not one line"),
    ],
)
def test_wrong_incidents(fuzzer: Feeds, monkeypatch: pytest.MonkeyPatch, found: Open, wrong: str) -> None:
    """What is read is checked."""
    case = (SEEDS / "feeds" / "open.json").read_bytes()
    monkeypatch.setattr(feeds, "read", lambda _case: found)
    with pytest.raises(Wrong, match=f"^{wrong}"):
        fuzzer.run(case)


def test_another_form_in_more_than_a_line(fuzzer: Feeds, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is said of it is checked, too."""

    def changed(_case: bytes) -> Open:
        raise FormChanged("a\nb")

    monkeypatch.setattr(feeds, "read", changed)
    with pytest.raises(Wrong, match="^a text is not one line"):
        fuzzer.run(b"[]")


@pytest.mark.parametrize(
    ("said", "wrong"),
    [(Plain(False, math.inf), "a clock that is not a number"), (Plain(True, 1.0), "a captive portal has a clock")],
)
def test_wrong_answers(fuzzer: Feeds, monkeypatch: pytest.MonkeyPatch, said: Plain, wrong: str) -> None:
    """What an answer shows is checked."""
    monkeypatch.setattr(feeds, "read_answer", lambda *_: said)
    with pytest.raises(Wrong, match=f"^{wrong}"):
        fuzzer.run(b"204\ndate: x")
