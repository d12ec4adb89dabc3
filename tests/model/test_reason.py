"""The reasons: their blame, retry and remedy."""

from __future__ import annotations

import pytest

from exporter.model.reason import CERTIFICATE_REASONS, Blame, Reason, Retry


@pytest.mark.parametrize("reason", list(Reason))
def test_reason(reason: Reason) -> None:
    """A reason has its name as code, a blame, a retry, and a remedy on one line that ends with a full stop."""
    assert reason.value == reason.name.lower()
    assert isinstance(reason.blame, Blame)
    assert isinstance(reason.retry, Retry)
    assert reason.remedy.endswith(".")
    assert "\n" not in reason.remedy


def test_certificate_reasons() -> None:
    """Every failure of a certificate holds logins: no credential is sent again before an operator acts."""
    assert {reason for reason in Reason if reason.value.startswith("certificate_")} == CERTIFICATE_REASONS
    assert {reason.retry for reason in CERTIFICATE_REASONS} == {Retry.HOLD}


@pytest.mark.parametrize("blame", list(Blame))
def test_every_blame_is_used(blame: Blame) -> None:
    """Every blame belongs to at least one reason."""
    assert any(reason.blame is blame for reason in Reason)
