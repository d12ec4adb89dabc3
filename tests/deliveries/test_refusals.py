"""A server that does not take the message: what it says to each command, and what comes of it, in Gmail's words."""

from __future__ import annotations

import asyncio
import smtplib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace

import pytest

from exporter.accounts.ledger import Ledger
from exporter.accounts.sends import Sends
from exporter.deliveries import run as module_of_run
from exporter.model.delivery import Stage
from exporter.model.login import Denial
from exporter.model.reason import Blame, Reason
from exporter.model.settings import Delivery, Role
from tests.conftest import StartScripted
from tests.deliveries.conftest import Lab
from tests.servers.acts import close, reset, say, silence
from tests.servers.dialogues import Smtp
from tests.servers.dovecot import OPS_USER, PROBE_USER
from tests.servers.scripted import Behaviour, Session

LIMIT = (
    b"550-5.4.5 Daily user sending limit exceeded. For more information on Gmail\r\n550-5.4.5 sending limits go to\r\n"
    b"550 5.4.5  https://support.google.com/a/answer/166852 d2e1a72fcca58-771e39cb4b8sm10429491b3a.92 - gsmtp"
)
POLICY = b"550-5.7.26 This mail has been blocked because the sender is unauthenticated.\r\n550 5.7.26 Learn more"
FULL = b"552-5.2.2 The recipient's inbox is out of storage space.\r\n552 5.2.2 Learn more - gsmtp"
TEMPORARY = b"451 4.3.0 Mail server temporarily rejected message. - gsmtp"
ANSWERS = {
    b"MAIL": b"250 2.1.0 OK\r\n",
    b"RCPT": b"250 2.1.5 OK\r\n",
    b"DATA": b"354 Go ahead\r\n",
    b".": b"250 2.0.0 OK  1722002949 - gsmtp\r\n",
    b"RSET": b"250 2.1.5 Flushed\r\n",
}
"""What a server says that is well."""


@dataclass(frozen=True, kw_only=True)
class Submission(Smtp):
    """A server that takes messages, or says something else to a command; `.` is the end of the message."""

    says: Mapping[bytes, Behaviour] = field(default_factory=dict)
    take: Callable[[bytes], Awaitable[None]] | None = None
    """What becomes of a message, before its end is answered."""

    async def _answer(self, session: Session, words: list[bytes]) -> bool:
        command = words[0].upper() if words else b""
        if command not in ANSWERS:
            return await super()._answer(session, words)
        await self._say(session, command)
        if command == b"DATA" and command not in self.says:
            message = b""
            while (line := await session.read_line()) not in (b".\r\n", b""):
                message += line
            if self.take:
                await self.take(message)
            await self._say(session, b".")
        return True

    async def _say(self, session: Session, command: bytes) -> None:
        await self.says.get(command, say(ANSWERS[command]))(session)


async def delivery_through(lab: Lab, scripted: StartScripted, server: Submission) -> Delivery:
    """A delivery that is submitted to this server."""
    running = await scripted(server, security="starttls")
    return lab.delivery(via=replace(lab.endpoints["submission"], port=running.port))


@pytest.mark.parametrize(
    ("says", "name", "reason", "blame", "then"),
    [
        ({b"MAIL": LIMIT}, "MAIL", Reason.SENDING_LIMIT, Blame.ACCOUNT, Denial.WAIT24),
        ({b".": LIMIT}, "the message", Reason.SENDING_LIMIT, Blame.ACCOUNT, Denial.WAIT24),
        ({b"MAIL": b"550 5.7.0 Mail Sending denied"}, "MAIL", Reason.ACCOUNT_DISABLED, Blame.ACCOUNT, Denial.WAIT24),
        ({b"RCPT": FULL}, "RCPT", Reason.MX_MAILBOX_FULL, Blame.ACCOUNT, Denial.BACKOFF),
        (
            {b"RCPT": FULL, b"DATA": b"503 5.5.1 RCPT first"},
            "RCPT",
            Reason.MX_MAILBOX_FULL,
            Blame.ACCOUNT,
            Denial.BACKOFF,
        ),
        ({b"RCPT": b"452 4.2.2 over quota"}, "RCPT", Reason.MX_MAILBOX_FULL, Blame.ACCOUNT, Denial.BACKOFF),
        ({b"RCPT": b"550 5.1.1 No such user - gsmtp"}, "RCPT", Reason.MX_USER_UNKNOWN, Blame.ACCOUNT, None),
        (
            {b"DATA": b"421 4.4.5 Server busy, try again later."},
            "DATA",
            Reason.SERVER_BUSY,
            Blame.PROVIDER,
            Denial.BACKOFF,
        ),
        ({b".": TEMPORARY}, "the message", Reason.TEMPORARY_SYSTEM_ERROR, Blame.PROVIDER, Denial.BACKOFF),
        ({b".": POLICY}, "the message", Reason.MX_SENDER_UNAUTHENTICATED, Blame.CLIENT, None),
        ({b".": b"552 5.3.4 Too large"}, "the message", Reason.MESSAGE_LIMIT, Blame.CLIENT, None),
    ],
)
async def test_refusals(
    lab: Lab,
    scripted: StartScripted,
    *,
    says: Mapping[bytes, bytes],
    name: str,
    reason: Reason,
    blame: Blame,
    then: Denial | None,
) -> None:
    """A refusal is a failure in its words, at its command; a limit, or a fault for the time being, is waited for."""
    refusing = Submission(says={command: say(text + b"\r\n") for command, text in says.items()})
    delivery = await delivery_through(lab, scripted, refusing)
    result = await lab.deliver(delivery)
    (failure,) = result.failures
    assert (failure.stage, failure.reason, failure.blame) == (Stage.SUBMIT, reason, blame)
    (first, *_) = says.values()
    assert failure.detail.startswith(f"{name}: {first[:3].decode()} {first[4:9].decode()}")
    assert (result.up, result.stages, result.not_made) == (False, {}, None)
    again = await lab.deliver(delivery)
    assert (again.not_made.denial if again.not_made else None) is then
    assert bool(again.failures) is (then is None)


@pytest.mark.parametrize(
    ("act", "reason"),
    [(close, Reason.CLOSED), (reset, Reason.RESET), (silence, Reason.TIMEOUT)],
    ids=["close", "reset", "silence"],
)
async def test_no_word_on_the_message(
    lab: Lab, scripted: StartScripted, monkeypatch: pytest.MonkeyPatch, act: Behaviour, reason: Reason
) -> None:
    """A server that says nothing after the message may have taken it: the next run clears away what came."""
    monkeypatch.setattr(module_of_run, "SUBMIT_SECONDS", 1.0)

    async def take(message: bytes) -> None:
        await asyncio.to_thread(_deliver, lab, message)

    result = await lab.deliver(await delivery_through(lab, scripted, Submission(says={b".": act}, take=take)))
    (failure,) = result.failures
    assert (failure.stage, failure.reason, failure.blame, result.up) == (Stage.SUBMIT, reason, Blame.PROVIDER, False)
    assert failure.detail.endswith("; whether the server has taken the message is not known")
    assert lab.counts() == [1, 0, 0]
    with Ledger() as budgets:
        deliveries = replace(lab.deliveries(), sends=Sends(budgets), on_its_way=0.0)
        result = await deliveries.run(lab.delivery())
    assert (result.ok, result.folder, result.leftover) == (True, Role.INBOX, 0)
    assert lab.counts() == [0, 0, 2]


def _deliver(lab: Lab, message: bytes) -> None:
    host, port = lab.dovecot.lmtp
    with smtplib.LMTP(host, port) as client:
        client.sendmail(OPS_USER, PROBE_USER, message)
