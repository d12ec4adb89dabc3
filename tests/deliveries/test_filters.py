"""Deliveries through what stands between two mailboxes: a filter of spam, signatures, greylisting, a quota."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from exporter.deliveries import finding
from exporter.deliveries import run as module_of_run
from exporter.model.delivery import AuthResult, Method, Stage
from exporter.model.reason import Blame, Reason
from exporter.model.settings import ExpectedFolder, Role
from exporter.probing.session import Session
from exporter.probing.submission import submit
from tests.deliveries.conftest import Lab
from tests.servers.postgrey import DELAY, Postgrey
from tests.servers.rspamd import Rspamd


async def test_a_signed_message(lab: Lab, rspamd: Rspamd) -> None:
    """The receiver's own word on the sender is read, and the way by the exchange; a signature by another key fails."""
    signed = lab.delivery(via=lab.submission("signed"))
    result = await lab.deliver(signed)
    assert (result.failures, result.folder, result.found_over_pop3) == ((), Role.INBOX, True)
    assert result.authentication == {
        Method.SPF: AuthResult.NONE,
        Method.DKIM: AuthResult.PASS,
        Method.DMARC: AuthResult.PASS,
    }
    assert result.hops[0].by == "mx.example.com"
    rspamd.sign(with_right_key=False)
    result = await lab.deliver(signed)
    assert (result.ok, result.folder) == (True, Role.INBOX)  # it arrives all the same
    assert result.authentication[Method.DKIM] is AuthResult.FAIL
    assert result.authentication[Method.DMARC] is AuthResult.FAIL


async def test_spam(lab: Lab, rspamd: Rspamd, monkeypatch: pytest.MonkeyPatch) -> None:
    """A message that a filter takes for spam is found there and stays there; a failure, unless any folder will do."""
    monkeypatch.setattr(finding, "POLL", 0.2)
    advertised = lab.submission("advertising")
    result = await lab.deliver(lab.delivery(via=advertised))
    (failure,) = result.failures
    assert (failure.stage, failure.reason) == (Stage.TRANSFER, Reason.MESSAGE_IN_SPAM)
    assert (result.up, result.folder, result.found_over_pop3, result.leftover) == (False, Role.SPAM, None, 0)
    assert lab.counts() == [0, 1, 0]
    result = await lab.deliver(lab.delivery(via=advertised, expect=ExpectedFolder.ANY))
    assert (result.up, result.folder) == (True, Role.SPAM)
    assert lab.counts() == [0, 2, 0]
    assert "gtube add header pattern has been found" in rspamd.log_text()


@pytest.mark.parametrize("idles", [True, False])
async def test_greylisting(lab: Lab, postgrey: Postgrey, monkeypatch: pytest.MonkeyPatch, *, idles: bool) -> None:
    """A message that the exchange sends away at first is late, and the time told is that at which it was stored."""
    accepted: list[float] = []

    def noted(*arguments: Any) -> Any:
        at = yield from submit(*arguments)
        accepted.append(time.time() - (time.perf_counter() - at))
        return at

    monkeypatch.setattr(module_of_run, "submit", noted)
    monkeypatch.setattr(finding, "POLL", 0.4)
    if not idles:
        offered = Session.capabilities.fget  # type: ignore[attr-defined]
        monkeypatch.setattr(Session, "capabilities", property(lambda session: offered(session) - {b"IDLE"}))
    greylisted = lab.delivery(via=lab.submission("greylisted"), read_at=(lab.endpoints["imap"],))
    delivering = asyncio.create_task(lab.deliver(greylisted))
    while not (await asyncio.wait([delivering], timeout=8))[0]:
        # A busy machine: Postfix has looked through its queue during the first try, and leaves the message for minutes.
        lab.postfix.flush()
    result = await delivering
    assert (result.failures, result.folder) == ((), Role.INBOX)
    assert result.stages[Stage.TRANSFER] > DELAY - 1  # Postgrey counts whole seconds
    assert "action=greylist, reason=new" in postgrey.log_text()
    (stored,) = list(_stored(lab))[-1:]
    # Dovecot tells who idles half a second after the last change of a mailbox (NOTIFY_DELAY_MSECS).
    late = 0.5 if idles else finding.POLL
    assert stored - 0.01 <= accepted[0] + result.stages[Stage.TRANSFER] <= stored + late + 5


def _stored(lab: Lab) -> Iterator[float]:
    """When Dovecot has stored each message, in Unix seconds."""
    line = re.compile(r"^(\S+ \S+) lmtp\(.*stored mail into mailbox 'INBOX'$", re.MULTILINE)
    for found in line.finditer(lab.dovecot.log_text()):
        yield datetime.strptime(found[1], "%Y-%m-%d %H:%M:%S.%f").replace(tzinfo=UTC).timestamp()


async def test_full_mailbox(lab: Lab) -> None:
    """A message that does not come because the mailbox is full is the fault of its owner, and not of the servers."""
    lab.fill()
    result = await lab.deliver(lab.delivery(timeout=1.0))
    (failure,) = result.failures
    assert (failure.stage, failure.reason, failure.blame) == (Stage.TRANSFER, Reason.MX_MAILBOX_FULL, Blame.ACCOUNT)
