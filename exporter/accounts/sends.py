"""How many test messages an account may send: counted in the ledger, as logins are, and kept over restarts.

A mailbox has a second budget there, under a provider of its own, so that a limit on what it sends stops no login: at
its daily sending limit, a Gmail account can still log in and receive. What a server refuses because of a recipient
stops the messages to that recipient, and no others.
"""

from __future__ import annotations

import asyncio
import math
import time
from concurrent.futures import Future

from exporter.accounts.budget import PATIENCE
from exporter.accounts.ledger import Entry, Granted, Ledger
from exporter.accounts.ledger_file import Grant
from exporter.accounts.ledger_schema import LedgerError
from exporter.accounts.standing import WHOLE, Request, Verdict
from exporter.model.login import Denial
from exporter.model.mailbox import Mailbox, provider_key, user_of
from exporter.model.plan import REQUESTED
from exporter.model.reason import Reason, Retry
from exporter.model.settings import Delivery

BUSY_SECONDS = 60.0
"""Seconds for which a message waits for another one of its mailbox."""

BETWEEN_TRIES = 0.5

LONGEST = 120.0
"""Seconds after which a submission is over, whatever the server does."""

RCPT = "RCPT"
"""The command at which a server refuses a recipient (RFC 5321 §4.1.1.3)."""

_SECRET = ("sends",)
"""What stands for the secret of a login: a refusal concerns whoever sends."""

_OF_RECIPIENT = frozenset(
    {
        *(Reason.MX_USER_UNKNOWN, Reason.MX_USER_DISABLED, Reason.MX_MAILBOX_FULL),
        *(Reason.MX_RECIPIENT_RATE, Reason.MX_POLICY),
    }
)
_OF_ANYBODY = frozenset({Reason.SERVER_BUSY, Reason.SERVER_REFUSED, Reason.MAILBOX_FULL})
"""Reasons that name nobody: the command tells whom the server means."""


class Sends:
    """The budgets of sends of all mailboxes."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    async def ask(self, delivery: Delivery, *, is_planned: bool) -> Grant | Denial:
        """Grant one message, or return why none may be sent now. No other is granted until `report` is called.

        One that `is_planned` leaves a part for commands; the plan itself asks for less than is then allowed. While
        another message of the mailbox is being sent, this one waits.
        """
        most = delivery.sender.max_sends_per_day
        request = Request(
            place="",
            protocol=user_of(delivery.recipient),  # the scope of what is refused because of the recipient
            interval=delivery.interval,
            most=max(1, math.floor(most * min(1.0, REQUESTED))) if is_planned else most,
            longest=LONGEST,
        )
        give_up_at = time.monotonic() + BUSY_SECONDS
        while True:
            granted = await self._grant(delivery, request)
            if granted is not Denial.BUSY or time.monotonic() > give_up_at:
                return granted
            await asyncio.sleep(BETWEEN_TRIES)

    async def _grant(self, delivery: Delivery, request: Request) -> Grant | Denial:
        future = self._ledger.grant(Entry(_mailbox(delivery)), request, _SECRET)
        try:
            async with asyncio.timeout(PATIENCE):
                granted, _ = await asyncio.wrap_future(future)
        except (LedgerError, TimeoutError):
            future.add_done_callback(self._give_back)
            return Denial.STORAGE
        return granted

    async def report(self, grant: Grant, refused: Reason | None, command: str = "", *, is_made: bool) -> None:
        """End a submission that was granted; it is made where the server may have accepted it, or `refused` a command.

        A success ends the waits of the sender and of this recipient.
        """
        if refused is None:
            verdict = Verdict(is_made, is_good=is_made)
        else:
            # No operator releases sends: what a server refuses for good is tried again hourly.
            retry = Retry.WAIT24 if refused.retry is Retry.HOLD else refused.retry
            of_recipient = refused in _OF_RECIPIENT or (command == RCPT and refused in _OF_ANYBODY)
            verdict = Verdict(is_made, retry=retry, scope=grant.request.protocol if of_recipient else WHOLE)
        await asyncio.wait({asyncio.wrap_future(self._ledger.settle(grant, verdict))}, timeout=PATIENCE)

    def _give_back(self, future: Future[Granted]) -> None:
        """Give back what was granted when nobody waited for it any more."""
        if not future.cancelled() and not future.exception() and isinstance(grant := future.result()[0], Grant):
            self._ledger.settle(grant, Verdict(is_made=False))


def _mailbox(delivery: Delivery) -> Mailbox:
    provider = f"sends/{provider_key(delivery.via.host)}"
    return Mailbox(user_of(delivery.sender), frozenset({provider}), (delivery.sender,))
