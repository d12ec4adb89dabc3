"""Words for people."""

from __future__ import annotations

import pytest

from exporter.accounts.budget import Denial
from exporter.reason import Blame, Retry
from exporter.words import HELD, RETRIES, WHO, span


def test_every_member_has_words() -> None:
    """Whoever is to blame, whatever a retry does, whatever holds a login back."""
    assert set(WHO) == set(Blame)
    assert set(RETRIES) == set(Retry)
    assert set(HELD) == {denial for denial in Denial if denial.protects}


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(-1, "0 s"), (0, "0 s"), (119, "119 s"), (120, "2 min"), (7199, "120 min"), (7200, "2 h"), (200_000, "2 d")],
)
def test_a_span_has_one_unit(seconds: float, words: str) -> None:
    """The largest of which it has two."""
    assert span(seconds) == words
