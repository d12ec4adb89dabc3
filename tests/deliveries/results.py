"""Results of deliveries for tests of what shows them."""

from __future__ import annotations

from typing import Any

from exporter.model.delivery import AuthResult, DeliveryFailure, DeliveryResult, Hop, Method, NotMade, Stage
from exporter.model.login import Denial
from exporter.model.reason import Blame, Reason
from exporter.model.settings import Account, Delivery, Endpoint, Protocol, Role, SecretRef

SENDER = Account(name="ops", username="ops@gmail.com", app_password=SecretRef(env="OPS"))
RECIPIENT = Account(name="probe", username="probe@gmail.com", app_password=SecretRef(env="PROBE"))
VIA = Endpoint(name="submission", protocol=Protocol.SMTP, host="smtp.gmail.com", port=587, account=SENDER)
IMAP = Endpoint(name="imap", protocol=Protocol.IMAP, host="imap.gmail.com", port=993, account=RECIPIENT)
POP3 = Endpoint(name="pop3", protocol=Protocol.POP3, host="pop.gmail.com", port=995, account=RECIPIENT)
DELIVERY = Delivery(name="ops-to-probe", sender=SENDER, via=VIA, recipient=RECIPIENT, read_at=(IMAP, POP3))
STAGES = {Stage.SUBMIT: 0.5, Stage.TRANSFER: 2.5, Stage.CLEANUP: 0.25}


def delivered(**changes: Any) -> DeliveryResult:
    """A message that was found in the inbox."""
    values: dict[str, Any] = {
        "delivery": DELIVERY,
        "started_at": 1_700_000_000.0,
        "ended_at": 1_700_000_004.0,
        "stages": STAGES,
        "folder": Role.INBOX,
        "found_over_pop3": True,
        "authentication": {Method.SPF: AuthResult.PASS, Method.DKIM: AuthResult.FAIL},
        "hops": (Hop("mx.google.com", 1.0),),
        "leftover": 0,
        **changes,
    }
    return DeliveryResult(**values)


def missing(**changes: Any) -> DeliveryResult:
    """A message that did not arrive."""
    failure = DeliveryFailure(Stage.TRANSFER, Reason.MESSAGE_MISSING, Blame.PROVIDER, "not visible")
    values: dict[str, Any] = {
        "stages": {Stage.SUBMIT: 0.5},
        "folder": None,
        "found_over_pop3": None,
        "authentication": {},
        "hops": (),
        "failures": (failure,),
        **changes,
    }
    return delivered(**values)


def in_spam(**changes: Any) -> DeliveryResult:
    """A message in spam."""
    failure = DeliveryFailure(Stage.TRANSFER, Reason.MESSAGE_IN_SPAM, Blame.PROVIDER, "found in spam")
    return delivered(folder=Role.SPAM, found_over_pop3=None, failures=(failure,), **changes)


def not_made(**changes: Any) -> DeliveryResult:
    """No message."""
    why = NotMade("ops", Denial.HOLD.meaning, Denial.HOLD)
    values: dict[str, Any] = {"stages": {}, "authentication": {}, "hops": (), "leftover": None, **changes}
    return delivered(folder=None, found_over_pop3=None, not_made=why, **values)
