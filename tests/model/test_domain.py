"""The words for what is wrong with a mail domain."""

from __future__ import annotations

import pytest

from exporter.model.domain import Exchange, Finding, merged
from exporter.model.reason import Blame, Reason


@pytest.mark.parametrize("reason", [reason for reason in Reason if reason is not Reason.OK])
def test_every_reason_has_words(reason: Reason) -> None:
    """No placeholder is left, whatever a look-up fails with."""
    finding = Finding(reason)
    assert "{" not in finding.summary + finding.remedy


def test_order() -> None:
    """The most preferred exchange comes first."""
    assert min(Exchange(20, "a"), Exchange(10, "b"), Exchange(5, "z")).host == "z"


def test_blame() -> None:
    """The domain's administrator is blamed for what is certain."""
    assert Finding(Reason.MTA_STS_POLICY_UNREACHABLE).blame is Blame.ACCOUNT
    assert Finding(Reason.MTA_STS_POLICY_UNREACHABLE, is_certain=False).blame is Blame.UNKNOWN


def test_merged() -> None:
    """There is one finding for each reason and exchange, in the order in which they came."""
    one, two = Finding(Reason.DNS_ERROR, "one"), Finding(Reason.DNS_ERROR, "two")
    other, at = Finding(Reason.TIMEOUT, "other"), Finding(Reason.DNS_ERROR, "one", "mx1.example.com")
    assert merged([one, other, at, two]) == (Finding(Reason.DNS_ERROR, "one; two"), other, at)
