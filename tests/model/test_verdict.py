"""The verdicts and their words."""

from __future__ import annotations

from dataclasses import replace

import pytest

from exporter.model.reason import Blame, fill
from exporter.model.verdict import Judgement, Verdict, server_of
from tests.examples import target


@pytest.mark.parametrize("verdict", Verdict)
def test_words(verdict: Verdict) -> None:
    """A verdict has its name as code, a label of a few words, and a remedy that ends with a full stop."""
    assert verdict.value == verdict.name.lower()
    assert not fill(verdict.label, "Google").endswith(".")
    assert fill(verdict.remedy, "Google").endswith(".")
    assert len(fill(verdict.remedy)) <= 105


def test_every_blame_has_a_verdict() -> None:
    """Each party can be found to be at fault, and nobody."""
    assert {verdict.blame for verdict in Verdict} == set(Blame)


def test_judgement() -> None:
    """Its text has what else is known, where there is something."""
    judgement = Judgement(Verdict.PROVIDER_DOWN, Blame.PROVIDER, "Google is silent")
    assert str(judgement) == "Google is silent"
    whole = replace(judgement, because="others answer", also="it has an incident")
    assert str(whole) == "Google is silent (others answer); it has an incident"
    assert whole.told(" since 09:28") == "Google is silent since 09:28 (others answer); it has an incident"


def test_server() -> None:
    """Google is named by its name, another server by its address."""
    assert server_of(target().endpoint) == "Google's IMAP"
    assert server_of(target(host="2001:db8::1").endpoint) == "the IMAP server [2001:db8::1]:993"
