"""Words for people."""

from __future__ import annotations

import pytest

from exporter.accounts.budget import Denial
from exporter.model.outcome import Phase
from exporter.model.reason import Blame, Reason, Retry
from exporter.views.words import _SAYS, DURING, HELD, RETRIES, WHO, says, span
from tests.examples import failure


def test_every_member_has_words() -> None:
    """Whoever is to blame, whatever a retry does, whatever holds a login back."""
    assert set(WHO) == set(Blame)
    assert set(RETRIES) == set(Retry)
    assert set(HELD) == {denial for denial in Denial if denial.protects}
    assert set(DURING) == set(Phase)
    assert set(_SAYS) == set(Reason)


def test_every_failure_can_be_said() -> None:
    """In half a sentence that reads on from a name, for each reason in each phase."""
    for phase in Phase:
        for reason in set(Reason) - {Reason.OK}:
            said = says(failure(phase=phase, reason=reason))
            assert not said.endswith(".")
            assert "{" not in said


def test_a_reason_that_tells_little_says_where() -> None:
    """And one of a protocol says of which."""
    assert says(failure(phase=Phase.TLS, reason=Reason.TIMEOUT)) == "no answer in the TLS handshake"
    assert says(failure(phase=Phase.LOGIN, reason=Reason.DISABLED_FOR_ACCOUNT)).endswith("has IMAP switched off")


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(-1, "0 s"), (0, "0 s"), (119, "119 s"), (120, "2 min"), (7199, "120 min"), (7200, "2 h"), (200_000, "2 d")],
)
def test_a_span_has_one_unit(seconds: float, words: str) -> None:
    """The largest of which it has two."""
    assert span(seconds) == words
