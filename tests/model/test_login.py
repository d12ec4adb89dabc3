"""Denials and the status of a login."""

from __future__ import annotations

import math

from exporter.model.login import Cause, Denial, LoginStatus
from exporter.model.reason import Reason
from tests.examples import budgeted, success


def test_denials_that_protect_the_account() -> None:
    """The usual interval and a login that is running do not hold logins back."""
    assert {denial for denial in Denial if not denial.protects} == {Denial.INTERVAL, Denial.BUSY}


def test_every_denial_has_a_meaning() -> None:
    """It is half a sentence, without a full stop."""
    assert all(denial.meaning and not denial.meaning.endswith(".") for denial in Denial)


def test_an_outcome_shows_its_login_status() -> None:
    """Infinity is not a time; without an account there is no status."""
    assert (success().held_by, success().next_login_at) == (None, None)
    held = budgeted(success(), Denial.HOLD, math.inf)
    assert (held.held_by, held.next_login_at) == (Denial.HOLD, None)
    waiting = budgeted(success(), None, 1.7e9, Denial.INTERVAL)
    assert (waiting.held_by, waiting.next_login_at) == (None, 1.7e9)
    assert waiting.login == LoginStatus(None, 1.7e9, denied=Denial.INTERVAL)


def test_why_logins_are_held_back() -> None:
    """The meaning of the denial, and the refusal that it follows, as far as that is known."""
    meaning = Denial.HOLD.meaning
    assert LoginStatus(None, 1.7e9).why == ""
    assert LoginStatus(Denial.HOLD, math.inf).why == meaning
    assert LoginStatus(Denial.HOLD, math.inf, cause=Cause("imap")).why == f"{meaning}: at imap"
    refused = Cause("imap", Reason.ACCOUNT_DISABLED)
    assert LoginStatus(Denial.HOLD, math.inf, cause=refused).why == f"{meaning}: account_disabled at imap"
