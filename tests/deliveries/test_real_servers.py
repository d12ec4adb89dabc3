"""Deliveries on a real Postfix and a real Dovecot."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import Any

import pytest

from exporter.deliveries.message import SUBJECT, compose
from exporter.deliveries.tokens import Tokens
from exporter.model.delivery import Stage
from exporter.model.login import Denial
from exporter.model.outcome import Phase, Target
from exporter.model.reason import Reason
from exporter.model.settings import Cleanup, Role
from tests.deliveries.conftest import Lab
from tests.servers.dovecot import OPS_PASSWORD, OPS_USER, PROBE_USER
from tests.waiting import PATIENCE, until


@pytest.mark.parametrize("via", ["submission", "smtps"])
async def test_inbox(lab: Lab, via: str) -> None:
    """A message is sent, found over IMAP and POP3 within moments, and moved to the trash."""
    result = await lab.deliver(lab.delivery(via=lab.endpoints[via]))
    assert (result.failures, result.not_made, result.up) == ((), None, True)
    assert (result.folder, result.found_over_pop3, result.leftover) == (Role.INBOX, True, 0)
    assert 0 < result.stages[Stage.TRANSFER] < PATIENCE
    assert result.stages.keys() == {Stage.SUBMIT, Stage.TRANSFER, Stage.CLEANUP}
    assert [hop.seconds for hop in result.hops] == [pytest.approx(0, abs=PATIENCE)]
    assert lab.counts() == [0, 0, 1]


async def test_the_message(lab: Lab) -> None:
    """What arrives is what was sent, flagged as nothing: it was never marked as read."""
    await lab.deliver(lab.delivery(cleanup=Cleanup.KEEP))
    (received,) = lab.messages("INBOX")
    assert b"Auto-Submitted: auto-generated\r\n" in received
    assert f"To: {PROBE_USER}\r\nMessage-ID: <gmail-exporter.".encode() in received
    with lab.mailbox() as client:
        client.select("INBOX", readonly=True)
        assert client.search(None, "UNSEEN UNDELETED")[1] == [b"1"]


async def test_late(lab: Lab) -> None:
    """A message that is in a queue is missing; when it comes at last, the next run clears it away."""
    lab.postfix.hold()
    try:
        result = await lab.deliver(lab.delivery(timeout=1.0))
        (failure,) = result.failures
        assert (failure.stage, failure.reason) == (Stage.TRANSFER, Reason.MESSAGE_MISSING)
        assert (result.up, result.folder, lab.counts()) == (False, None, [0, 0, 0])
        deliveries = lab.deliveries()
        # The next one waits in the queue, too, until it is released.
        began, before = time.perf_counter(), lab.postfix.deferred
        running = asyncio.create_task(deliveries.run(lab.delivery(timeout=30.0)))
        await until(lambda: lab.postfix.deferred > before)
        await asyncio.sleep(0.5)
    finally:
        lab.postfix.release()
    result = await running
    assert result.up
    assert 0.5 < result.stages[Stage.TRANSFER] < time.perf_counter() - began
    # What is older than any time-out is a leftover of an earlier run.
    deliveries.on_its_way = 0.5
    assert (await deliveries.run(lab.delivery())).leftover == 0
    assert lab.counts() == [0, 0, 3]


async def test_nobody_elses_mail_is_touched(lab: Lab) -> None:
    """Mailboxes full of mail of others, some of which imitates ours, are as they were, byte for byte, flag by flag."""
    stranger = Tokens(b"another key").new(time.time())
    others = [
        compose(OPS_USER, PROBE_USER, stranger, time.time()),
        f"From: a@b\r\nSubject: Re: {SUBJECT}\r\nMessage-ID: <x@y>\r\n\r\nLunch?\r\n".encode(),
        f"From: a@b\r\nSubject: {SUBJECT}\r\n\r\nno identifier\r\n".encode(),
        b"From: a@b\r\nSubject: Lunch?\r\nMessage-ID: <z@y>\r\n\r\nyes\r\n",
    ]
    for user in (PROBE_USER, OPS_USER):
        for folder in ("INBOX", "Junk", "Trash", "Sent"):
            for each in others:
                lab.append(folder, each, user)
    with lab.mailbox() as client:
        client.select("INBOX")
        client.store("2", "+FLAGS", "(\\Deleted \\Flagged)")
        client.store("3", "+FLAGS", "\\Seen")
    before = _everything(lab)
    result = await lab.deliver()
    assert result.ok
    after = _everything(lab)
    (new,) = (one for one in after[PROBE_USER, "Trash"] if one not in before[PROBE_USER, "Trash"])
    after[PROBE_USER, "Trash"].remove(new)
    assert after == before


def _everything(lab: Lab) -> dict[tuple[str, str], list[tuple[bytes, bytes]]]:
    """All messages with their flags, by user and folder."""
    found: dict[tuple[str, str], list[tuple[bytes, bytes]]] = {}
    for user in (PROBE_USER, OPS_USER):
        with lab.mailbox(user) as client:
            for folder in ("INBOX", "Junk", "Trash", "Sent"):
                client.select(folder, readonly=True)
                data: list[Any] = client.fetch("1:*", "(FLAGS BODY.PEEK[])")[1]
                found[user, folder] = [(_flags(one[0]), one[1]) for one in data if one and one != b")"]
    return found


def _flags(line: bytes) -> bytes:
    """The flags in the answer to a FETCH, but for the one that tells whoever looks first that it is the first."""
    return line.partition(b"FLAGS (")[2].partition(b")")[0].replace(b"\\Recent", b"").strip()


async def test_a_crash_between_submission_and_clearing(lab: Lab) -> None:
    """What a crash has left over is found, by the token alone, and cleared away by the next run of a new process."""
    key = await asyncio.wrap_future(lab.ledger.token_key())
    crashed = Tokens(key).new(time.time() - 900)
    lab.append("INBOX", compose(OPS_USER, PROBE_USER, crashed, time.time() - 900))
    on_its_way = Tokens(key).new(time.time() - 10)
    lab.append("INBOX", compose(OPS_USER, PROBE_USER, on_its_way, time.time() - 10))
    lab.restart()
    deliveries = lab.deliveries()
    deliveries.on_its_way = 360
    result = await deliveries.run(lab.delivery())
    assert (result.ok, result.leftover) == (True, 0)
    assert lab.counts() == [1, 0, 2]
    (left,) = lab.messages("INBOX")
    assert on_its_way.encode() in left


async def test_old_spam_is_left_over(lab: Lab) -> None:
    """After 30 days, a message in spam counts as left over, and is left there."""
    key = await asyncio.wrap_future(lab.ledger.token_key())
    for days in (29, 31):
        at = time.time() - days * 86400
        lab.append("Junk", compose(OPS_USER, PROBE_USER, Tokens(key).new(at), at))
    result = await lab.deliver()
    assert (result.up, result.leftover) == (True, 1)
    assert lab.counts() == [0, 2, 1]


async def test_copies_of_the_sender(lab: Lab) -> None:
    """Once a day, the copies in the sender's folder are moved to its trash; a restart does not do it again."""
    key = await asyncio.wrap_future(lab.ledger.token_key())
    lab.append("Sent", compose(OPS_USER, PROBE_USER, Tokens(key).new(1.0), 1.0), OPS_USER)
    lab.append("Sent", b"Subject: mine\r\n\r\n", OPS_USER)
    assert (await lab.deliver()).ok
    assert len(lab.messages("Sent", OPS_USER)) == 1
    assert len(lab.messages("Trash", OPS_USER)) == 1
    lab.append("Sent", compose(OPS_USER, PROBE_USER, Tokens(key).new(2.0), 2.0), OPS_USER)
    lab.restart()
    lab.observed.clear()
    assert (await lab.deliver()).ok
    assert [outcome.target.endpoint.name for outcome in lab.observed] == ["submission", "imap"]
    assert len(lab.messages("Sent", OPS_USER)) == 2
    lab.observed.clear()
    assert (await lab.deliver(lab.delivery(sent_copy=Cleanup.KEEP, sent_at=None))).ok
    assert len(lab.observed) == 2


async def test_a_refused_sender(lab: Lab) -> None:
    """A wrong password is a failed login, held as ever, and no failed delivery; a new one is tried at once."""
    password = lab.directory / "ops.password"
    password.write_text("wrong", "utf-8")
    result = await lab.deliver()
    assert (result.up, result.failures) == (None, ())
    assert result.not_made is not None
    assert result.not_made.account == "ops"
    assert "user name or password is refused" in result.not_made.text
    assert [(one.phase, one.reason) for one in lab.observed] == [(Phase.LOGIN, Reason.AUTH_INVALID_CREDENTIALS)]
    logins = lab.dovecot.login_count(OPS_USER)
    lab.restart()
    result = await lab.deliver()
    assert result.not_made is not None
    assert result.not_made.denial is Denial.HOLD
    assert lab.dovecot.login_count(OPS_USER) == logins
    password.write_text(OPS_PASSWORD, "utf-8")
    assert (await lab.deliver()).ok
    password.unlink()
    result = await lab.deliver()
    assert result.not_made is not None
    assert "cannot be read: No such file or directory" in str(result.not_made)


async def test_a_refused_recipient(lab: Lab) -> None:
    """Where the recipient cannot log in, that is told once, and then no message is sent any more."""
    (lab.directory / "probe.password").write_text("wrong", "utf-8")
    result = await lab.deliver()
    assert result.not_made is not None
    assert (result.not_made.account, result.up) == ("probe", None)
    assert lab.counts() == [1, 0, 0]


async def test_sends_of_a_day(lab: Lab) -> None:
    """At most 80 % of max_sends_per_day are sent on the schedule, over restarts; a command may use the rest."""
    sender = replace(lab.accounts["ops"], max_sends_per_day=3)
    lab.accounts["ops"] = sender
    for name in ("submission", "ops-imap"):
        lab.endpoints[name] = replace(lab.endpoints[name], account=sender)
    assert (await lab.deliver()).ok
    lab.restart()
    assert (await lab.deliver()).ok
    lab.restart()
    result = await lab.deliver()
    assert result.not_made is not None
    assert (result.not_made.denial, result.not_made.account) == (Denial.CEILING, "ops")
    assert "max_sends_per_day" in result.not_made.text
    assert (await lab.deliveries().run(lab.delivery(), is_planned=False)).ok
    result = await lab.deliveries().run(lab.delivery(), is_planned=False)
    assert result.not_made is not None
    assert result.not_made.denial is Denial.CEILING


async def test_endpoints_wait_for_a_session(lab: Lab) -> None:
    """While a session holds the account, its endpoints do not log in; it satisfies the login that is due."""
    lab.checker._store.configure(Target(each, each.ip_family) for each in lab.endpoints.values())
    deliveries = lab.deliveries()
    imap = Target(lab.endpoints["imap"], lab.endpoints["imap"].ip_family)
    budget = lab.checker.budget_of(imap)
    assert budget is not None
    with budget.session():
        outcome = await lab.checker.check(imap)
        assert outcome.ok
        assert not outcome.login_reached
        assert outcome.login is not None
        assert outcome.login.denied is Denial.BUSY
        assert outcome.held_by is None
    assert (await deliveries.run(lab.delivery())).ok
    outcome = await lab.checker.check(imap)
    assert outcome.login is not None
    assert outcome.login.denied is Denial.INTERVAL


async def test_server_is_down(lab: Lab) -> None:
    """A server that cannot be reached is a failed delivery at that stage."""
    unreachable = replace(lab.endpoints["submission"], port=1)
    lab.endpoints["submission"] = unreachable
    result = await lab.deliver()
    (failure,) = result.failures
    assert (failure.stage, failure.reason, result.up) == (Stage.SUBMIT, Reason.REFUSED, False)


async def test_unknown_recipient(lab: Lab) -> None:
    """A recipient whom the server does not know is refused at once, in the server's words."""
    result = await lab.deliver(lab.delivery(recipient=replace(lab.accounts["probe"], username="nobody@example.com")))
    (failure,) = result.failures
    assert (failure.stage, failure.reason) == (Stage.SUBMIT, Reason.MX_USER_UNKNOWN)
    assert failure.detail.startswith("RCPT: 550 5.1.1 ")
