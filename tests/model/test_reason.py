"""The reasons, their blame, their retry and their remedies."""

from __future__ import annotations

import pytest

from exporter.model.reason import CERTIFICATE_REASONS, Blame, Reason, Retry


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_says_what_to_do(reason: Reason) -> None:
    """A member has a code of its own, a blame, a retry and a remedy of one line that ends as a sentence."""
    assert reason.value == reason.name.lower()
    assert isinstance(reason.blame, Blame)
    assert isinstance(reason.retry, Retry)
    assert reason.remedy.endswith(".")
    assert "\n" not in reason.remedy


def test_a_certificate_that_is_not_trusted_ends_logins() -> None:
    """Whatever is wrong with it, no credential is sent again before someone has looked."""
    assert {reason for reason in Reason if reason.value.startswith("certificate_")} == CERTIFICATE_REASONS
    assert {reason.retry for reason in CERTIFICATE_REASONS} == {Retry.HOLD}


@pytest.mark.parametrize("blame", list(Blame))
def test_every_party_has_reasons(blame: Blame) -> None:
    """Nobody is named in the documentation who cannot be to blame."""
    assert any(reason.blame is blame for reason in Reason)
