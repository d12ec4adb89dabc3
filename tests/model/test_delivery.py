"""The result of a delivery: what it says of mail, and to whom."""

from __future__ import annotations

import pytest

from exporter.model.delivery import DeliveryFailure, Stage
from exporter.model.reason import Blame, Reason
from tests.deliveries.results import delivered, in_spam, missing, not_made


def test_up() -> None:
    """Mail is up where it arrives in place; a message that stays there is no outage; without one nothing is known."""
    assert (delivered().ok, delivered().up, delivered().duration) == (True, True, 2.5)
    assert (missing().ok, missing().up, missing().duration) == (False, False, None)
    assert (in_spam().ok, in_spam().up) == (False, False)
    assert (not_made().ok, not_made().up) == (False, None)
    kept = delivered(failures=(DeliveryFailure(Stage.CLEANUP, Reason.MESSAGE_NOT_CLEARED, Blame.CLIENT, "x"),))
    assert (kept.ok, kept.up) == (False, True)


@pytest.mark.parametrize("stage", Stage)
@pytest.mark.parametrize("reason", [reason for reason in Reason if reason is not Reason.OK])
def test_texts(stage: Stage, reason: Reason) -> None:
    """Every reason at every stage has a summary and a remedy, with every placeholder filled in."""
    result = delivered(failures=(failure := DeliveryFailure(stage, reason, reason.blame, "x"),))
    for text in (result.summary(failure), result.remedy(failure)):
        assert text
        assert "{" not in text
