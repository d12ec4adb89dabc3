"""The answer to a request for a release, in words."""

from __future__ import annotations

import pytest

from exporter.model.mailbox import Mailbox
from exporter.model.release import Answer, Release
from exporter.model.settings import Account
from exporter.views.release import told

NOW = 1_800_000_000.0
ALONE = Mailbox("a", frozenset(), (Account("ops", "a"),))
SHARED = Mailbox("a", frozenset(), (Account("ops", "a"), Account("two", "a"), Account("three", "a")))


@pytest.mark.parametrize(
    ("release", "mailbox", "words"),
    [
        (Release(Answer.RELEASED), ALONE, "ops is released: one login is made, "),
        (
            Release(Answer.RELEASED),
            SHARED,
            "ops is released, and so are two, three, of the same mailbox: one login is ",
        ),
        (Release(Answer.RELEASED, NOW + 3600), ALONE, "; before, a limit of the server ends in 60 min, at 2027-01-15 "),
        (
            Release(Answer.ALREADY, NOW + 600),
            ALONE,
            "The next release is possible in 10 min, at 2027-01-15 08:10:00 UTC",
        ),
        (
            Release(Answer.TOO_EARLY, NOW + 90),
            ALONE,
            "The next release is possible in 90 s, at 2027-01-15 08:01:30 UTC",
        ),
        (Release(Answer.ENDS_BY_ITSELF, NOW + 7200), ALONE, "does not end: the next login is possible in 2 h, at 2027"),
        (Release(Answer.NOT_HELD), SHARED, "ops is not held: there is nothing to release."),
    ],
)
def test_words(release: Release, mailbox: Mailbox, words: str) -> None:
    """They say what happens next, and when."""
    text = told(release, mailbox, "ops", NOW)
    assert words in text
    assert text.endswith(".")
