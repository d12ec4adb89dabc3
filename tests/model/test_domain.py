"""The words for what is wrong with a mail domain."""

from __future__ import annotations

import pytest

from exporter.model.domain import Exchange, Finding
from exporter.model.reason import Reason


@pytest.mark.parametrize("reason", [reason for reason in Reason if reason is not Reason.OK])
def test_every_reason_has_words(reason: Reason) -> None:
    """No placeholder is left, whatever a look-up fails with."""
    finding = Finding(reason)
    assert "{" not in finding.summary + finding.remedy


def test_order() -> None:
    """The most preferred exchange comes first."""
    assert min(Exchange(20, "a"), Exchange(10, "b"), Exchange(5, "z")).host == "z"
