"""How many test messages may be sent, by whom, over restarts."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from exporter.accounts import sends as module
from exporter.accounts.ledger import Ledger
from exporter.accounts.ledger_file import Grant
from exporter.accounts.sends import RCPT, Sends
from exporter.accounts.storage import Storage
from exporter.model.login import Denial
from exporter.model.reason import Reason
from exporter.model.settings import Account, Delivery, Endpoint, Protocol, SecretRef
from tests.accounts.ledgers import steady
from tests.examples import Clock


def delivery(name: str = "plain", **changes: object) -> Delivery:
    """A delivery of an account that may send so much."""
    values: dict[str, object] = {"name": "ops", "username": "ops@gmail.com", "max_sends_per_day": 5, **changes}
    sender = Account(app_password=SecretRef(env="OPS"), **values)  # type: ignore[arg-type]
    recipient = Account(name="probe", username="probe@gmail.com", app_password=SecretRef(env="PROBE"))
    via = Endpoint(name="s", protocol=Protocol.SMTP, host="smtp.gmail.com", port=587, account=sender)
    imap = Endpoint(name="i", protocol=Protocol.IMAP, host="imap.gmail.com", port=993, account=recipient)
    return Delivery(name=name, sender=sender, via=via, recipient=recipient, read_at=(imap,))


def to(username: str, of: Delivery) -> Delivery:
    """The delivery, to another recipient."""
    return replace(of, name=username, recipient=replace(of.recipient, username=username))


async def send(
    sends: Sends, of: Delivery, refused: Reason | None = None, command: str = "", **how: bool
) -> Denial | None:
    """Send a message; return why that was not allowed."""
    granted = await sends.ask(of, is_planned=how.get("is_planned", True))
    if isinstance(granted, Denial):
        return granted
    await sends.report(granted, refused, command, is_made=how.get("is_made", True))
    return None


async def test_a_day(tmp_path: Path) -> None:
    """The schedule leaves a part for commands, over restarts; after 24 hours there is room again."""
    clock = Clock()
    with Ledger(Storage(tmp_path / "ledger.db"), steady(clock)) as ledger:
        assert [await send(Sends(ledger), delivery()) for _ in range(3)] == [None, None, None]
    with Ledger(Storage(tmp_path / "ledger.db"), steady(clock)) as ledger:
        sends = Sends(ledger)
        assert [await send(sends, delivery("other")) for _ in range(2)] == [None, Denial.CEILING]
        assert await send(sends, delivery(), is_planned=False) is None
        assert await send(sends, delivery(), is_planned=False) is Denial.CEILING
        # Another name of the same mailbox is the same mailbox; another one has a budget of its own.
        assert await send(sends, delivery(name="x", username="o.p.s+x@googlemail.com")) is Denial.CEILING
        assert await send(sends, delivery(username="other@gmail.com")) is None
        clock.now += 86401
        assert await send(sends, delivery()) is None


async def test_what_was_not_sent_does_not_count(tmp_path: Path) -> None:
    """A message that was never offered to the server is given back."""
    with Ledger(Storage(tmp_path / "ledger.db"), steady(Clock())) as ledger:
        sends = Sends(ledger)
        assert [await send(sends, delivery(), is_made=False) for _ in range(9)] == [None] * 9


@pytest.mark.parametrize(
    ("reason", "denial", "seconds"),
    [
        (Reason.SENDING_LIMIT, Denial.WAIT24, 3600),
        (Reason.SERVER_BUSY, Denial.BACKOFF, 3600),
        (Reason.ACCOUNT_DISABLED, Denial.WAIT24, 3600),
    ],
)
async def test_refusals(tmp_path: Path, reason: Reason, denial: Denial, seconds: float) -> None:
    """A limit of the server, and any 4xx, let messages wait; a success ends that, and no refusal is for good."""
    clock = Clock()
    with Ledger(Storage(tmp_path / "ledger.db"), steady(clock)) as ledger:
        sends = Sends(ledger)
        assert await send(sends, delivery(), reason) is None
        assert await send(sends, delivery()) is denial
        clock.now += seconds - 2
        assert await send(sends, delivery()) is denial
        clock.now += 4
        assert await send(sends, delivery(), reason) is None
        assert await send(sends, delivery()) is denial


async def test_refusals_that_are_no_limit(tmp_path: Path) -> None:
    """A recipient that does not exist says nothing of the sender."""
    with Ledger(Storage(tmp_path / "ledger.db"), steady(Clock())) as ledger:
        sends = Sends(ledger)
        assert await send(sends, delivery(), Reason.MX_USER_UNKNOWN) is None
        assert await send(sends, delivery()) is None


@pytest.mark.parametrize(
    ("reason", "command", "of_recipient"),
    [
        (Reason.MX_MAILBOX_FULL, RCPT, True),
        (Reason.MX_MAILBOX_FULL, "the message", True),
        (Reason.MX_RECIPIENT_RATE, RCPT, True),
        (Reason.SERVER_BUSY, RCPT, True),
        (Reason.SERVER_REFUSED, RCPT, True),
        (Reason.SERVER_BUSY, "MAIL", False),
        (Reason.SERVER_REFUSED, "the message", False),
        (Reason.SENDING_LIMIT, RCPT, False),
        (Reason.ACCOUNT_DISABLED, RCPT, False),
        (Reason.TEMPORARY_SYSTEM_ERROR, RCPT, False),
        (Reason.MX_RATE_LIMITED, RCPT, False),
    ],
)
async def test_a_refused_recipient(tmp_path: Path, reason: Reason, command: str, *, of_recipient: bool) -> None:
    """What a server refuses because of a recipient lets the messages to others go on, over restarts."""
    clock, own, other = Clock(), delivery(), to("other@gmail.com", delivery())
    with Ledger(Storage(tmp_path / "ledger.db"), steady(clock)) as ledger:
        assert await send(Sends(ledger), own, reason, command) is None
    with Ledger(Storage(tmp_path / "ledger.db"), steady(clock)) as ledger:
        sends = Sends(ledger)
        assert await send(sends, to("Pro.be+x@gmail.com", own)) in (Denial.BACKOFF, Denial.WAIT24)
        assert (await send(sends, other) is None) is of_recipient
        # A success is one of its own recipient.
        assert await send(sends, own) in (Denial.BACKOFF, Denial.WAIT24)
        clock.now += 3601
        assert await send(sends, own) is None
        assert await send(sends, own) is None


async def test_one_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While one message is being sent, another of the same mailbox waits, and not for ever."""
    monkeypatch.setattr(module, "BETWEEN_TRIES", 0.01)
    with Ledger(Storage(tmp_path / "ledger.db"), steady(Clock())) as ledger:
        sends = Sends(ledger)
        granted = await sends.ask(delivery(), is_planned=True)
        assert isinstance(granted, Grant)
        waiting = asyncio.create_task(send(sends, delivery()))
        await asyncio.sleep(0.05)
        assert not waiting.done()
        await sends.report(granted, None, is_made=True)
        assert await waiting is None
        monkeypatch.setattr(module, "BUSY_SECONDS", 0.05)
        assert isinstance(await sends.ask(delivery(), is_planned=True), Grant)
        assert await send(sends, delivery()) is Denial.BUSY


async def test_no_storage(tmp_path: Path) -> None:
    """Where budgets cannot be stored, nothing is sent."""
    path = tmp_path / "ledger.db"
    path.write_text("no database")
    with Ledger(Storage(path), steady(Clock())) as ledger:
        assert await send(Sends(ledger), delivery()) is Denial.STORAGE
