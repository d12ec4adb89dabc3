"""A message is submitted after the login: every answer to every command, one by one and all at once."""

from __future__ import annotations

import re
import smtplib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.model.outcome import Phase
from exporter.model.reason import Reason
from exporter.model.settings import Protocol
from exporter.probing.classify import classify
from exporter.probing.connection import ConnectionClosed
from exporter.probing.dialogue import DialogueError, MessageTooLarge, ProtocolViolation, Refusal, Send
from exporter.probing.submission import submit
from tests.probing.catalogue import CATALOGUE, Row
from tests.probing.work import play

GMAIL = ("SIZE 35882577", "8BITMIME", "AUTH LOGIN PLAIN XOAUTH2", "ENHANCEDSTATUSCODES", "PIPELINING", "CHUNKING")
PLAIN: tuple[str, ...] = ()
MESSAGE = b"Subject: a\r\n\r\n.\r\n..b\r\nc\r\n"
SENT = r"M: Subject: a\r\n\r\n..\r\n...b\r\nc\r\n.\r\n"


def submitted(extensions: tuple[str, ...], text: str) -> float:
    """Submit the message to a server that says this."""
    return play(submit(extensions, "ops@example.com", "probe@example.com", MESSAGE), text)


def refused(extensions: tuple[str, ...], text: str) -> DialogueError:
    """Return why that ended early."""
    with pytest.raises(DialogueError) as caught:
        submitted(extensions, text)
    return caught.value


def test_one_by_one() -> None:
    """Without PIPELINING each command waits for its answer; the time is that of the last one."""
    text = rf"""
        C: MAIL FROM:<ops@example.com>
        S: 250 2.1.0 OK
        C: RCPT TO:<probe@example.com>
        S: 250 2.1.5 OK
        C: DATA
        S: 354 Go ahead
        {SENT}
        S: 250-2.0.0 OK
        S: 250 2.0.0 queued
    """
    assert submitted(PLAIN, text) == 9


def test_all_at_once() -> None:
    """With PIPELINING all commands go at once, and SIZE tells how large the message is."""
    text = rf"""
        C: MAIL FROM:<ops@example.com> SIZE=25
        C: RCPT TO:<probe@example.com>
        C: DATA
        S: 250 2.1.0 OK
        S: 250 2.1.5 OK
        S: 354 Go ahead
        {SENT}
        S: 250 2.0.0 OK  1722002949 d2e1a72fcca58-771e39cb4b8sm10429491b3a.92 - gsmtp
    """
    assert submitted(GMAIL, text) == 8
    assert len(MESSAGE) == 25


@pytest.mark.parametrize("code", ["250", "251", "252"])
def test_a_recipient_elsewhere(code: str) -> None:
    """A server that will forward the message, or has not verified its recipient, has taken it (RFC 5321 §4.2.3)."""
    before, (sent, answer) = ONE_BY_ONE["RCPT"], (SENT, "S: 250 OK")
    submitted(PLAIN, "\n".join([*before, f"S: {code} OK", "C: DATA", "S: 354 go ahead", sent, answer]))
    submitted(GMAIL, "\n".join([*TOGETHER, "S: 250 OK", f"S: {code} OK", "S: 354 go ahead", sent, answer]))


# The command that is refused, and what was said before.
ONE_BY_ONE = {
    "MAIL": ["C: MAIL FROM:<ops@example.com>"],
    "RCPT": ["C: MAIL FROM:<ops@example.com>", "S: 250 OK", "C: RCPT TO:<probe@example.com>"],
    "DATA": [
        *("C: MAIL FROM:<ops@example.com>", "S: 250 OK", "C: RCPT TO:<probe@example.com>", "S: 250 OK", "C: DATA"),
    ],
    "the message": [
        *("C: MAIL FROM:<ops@example.com>", "S: 250 OK", "C: RCPT TO:<probe@example.com>", "S: 250 OK"),
        *("C: DATA", "S: 354 go ahead", SENT),
    ],
}
TOGETHER = ["C: MAIL FROM:<ops@example.com> SIZE=25", "C: RCPT TO:<probe@example.com>", "C: DATA"]
AT_ONCE = {
    "MAIL": ([], ["S: 503 5.5.1 MAIL first", "S: 503 5.5.1 RCPT first"]),
    "RCPT": (["S: 250 OK"], ["S: 503 5.5.1 RCPT first"]),
    "DATA": (["S: 250 OK", "S: 250 OK"], []),
    "the message": (["S: 250 OK", "S: 250 OK", "S: 354 go ahead", SENT], []),
}
REFUSALS = [row for row in CATALOGUE[Protocol.SMTP] if row.section != "4.2" and not row.reason.startswith("ehlo")]


@pytest.mark.parametrize("command", ONE_BY_ONE)
@pytest.mark.parametrize("row", REFUSALS, ids=str)
def test_every_refusal(command: str, row: Row) -> None:
    """Each of Gmail's refusals has its reason after each command; where the session goes on, it is reset."""
    answer = [f"S: {line}" for line in row.text.split("\n")]
    is_over = row.text.startswith("421")
    end = [] if is_over else ["C: RSET", "S: 250 2.0.0 OK"]
    before, after = AT_ONCE[command]
    texts = {
        PLAIN: [*ONE_BY_ONE[command], *answer, *end],
        GMAIL: [*TOGETHER, *before, *answer, *([] if is_over else after), *end],
    }
    for extensions, lines in texts.items():
        error = refused(extensions, "\n".join(lines))
        assert isinstance(error, Refusal)
        assert error.command == command
        assert classify(error, Phase.FOLDERS, Protocol.SMTP) is row.reason
        assert error.in_step is not is_over


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("550 5.1.1 <probe@example.com>: Recipient address rejected: User unknown in virtual", Reason.MX_USER_UNKNOWN),
        ("552 5.2.2 Mailbox is full", Reason.MX_MAILBOX_FULL),
        ("452 4.2.2 over quota", Reason.MX_MAILBOX_FULL),
        ("552 5.3.4 Message size exceeds fixed limit", Reason.MESSAGE_LIMIT),
        ("452 Mailbox full", Reason.MX_MAILBOX_FULL),
        ("552 Mailbox is full", Reason.MX_MAILBOX_FULL),
        ("450 4.7.1 <ops@example.com>: Sender address rejected: quota exceeded", Reason.SERVER_BUSY),
        ("550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address", Reason.MX_USER_UNKNOWN),
        ("550 5.1.2 <probe@example.com>: Recipient address rejected: Domain not found", Reason.MX_USER_UNKNOWN),
        ("450 4.1.2 <probe@example.com>: Recipient address rejected: Domain not found", Reason.SERVER_BUSY),
        ("550 Unknown user", Reason.MX_USER_UNKNOWN),
        ("550 No such user here", Reason.MX_USER_UNKNOWN),
        ("550 Unrouteable address", Reason.MX_USER_UNKNOWN),
        ("501 5.1.7 <ops>: sender address must contain a domain", Reason.SERVER_REFUSED),
        ("552 Message size exceeds maximum permitted", Reason.MESSAGE_LIMIT),
        ("554 5.6.0 Message too large", Reason.MESSAGE_LIMIT),
        ("530 5.7.57 SMTP; Client was not authenticated to send anonymous mail", Reason.AUTH_MISSING),
        (
            "550 Domain example.com has exceeded the max emails per hour (100/100 (100%)) allowed. Message discarded.",
            Reason.SENDING_LIMIT,
        ),
        ("554 5.2.0 STOREDRV.Submission.Exception:SubmissionQuotaExceededException; Failed", Reason.SENDING_LIMIT),
        ("452 4.2.1 Your hourly message limit is reached", Reason.SENDING_LIMIT),
        ("451 4.7.1 Greylisting in effect, please come back later", Reason.SERVER_BUSY),
        ("554 5.7.1 Relay access denied", Reason.SERVER_REFUSED),
        ("550 anything", Reason.SERVER_REFUSED),
        ("450 anything", Reason.SERVER_BUSY),
    ],
)
def test_refusals_of_other_servers(text: str, reason: Reason) -> None:
    """The enhanced status codes are the same at every server (RFC 3463)."""
    error = refused(PLAIN, "\n".join([*ONE_BY_ONE["RCPT"], f"S: {text}", "C: RSET", "S: 250 OK"]))
    assert classify(error, Phase.FOLDERS, Protocol.SMTP) is reason


def test_data_after_a_refused_recipient() -> None:
    """Where a server takes DATA without a recipient, it gets an empty message, which it refuses."""
    text = "\n".join(
        [
            *TOGETHER,
            *("S: 250 OK", "S: 550 5.1.1 no such user", "S: 354 go ahead", "C: .", "S: 554 5.5.1 no valid recipients"),
            *("C: RSET", "S: 250 OK"),
        ]
    )
    error = refused(GMAIL, text)
    assert str(error) == "550 5.1.1 no such user"


def test_the_first_refusal_is_told() -> None:
    """What a server says to the commands behind a refused one, and to RSET, is no finding."""
    text = "\n".join([*TOGETHER, "S: 452 4.3.1 no space", "S: 503 5.5.1 no", "S: 421 4.3.0 closing"])
    error = refused(GMAIL, text)
    assert str(error) == "452 4.3.1 no space"
    text = "\n".join([*ONE_BY_ONE["MAIL"], "S: 452 4.3.1 no space", "C: RSET", "S: 502 5.5.2 what?"])
    assert str(refused(PLAIN, text)) == "452 4.3.1 no space"


def test_a_connection_that_ends() -> None:
    """A server that closes the connection, or answers with another code, is no refusal."""
    with pytest.raises(ConnectionClosed):
        submitted(PLAIN, ONE_BY_ONE["MAIL"][0])
    assert isinstance(refused(PLAIN, "\n".join([*ONE_BY_ONE["DATA"], "S: 250 OK"])), ProtocolViolation)


@pytest.mark.parametrize(("size", "fits"), [("24", False), ("25", True), ("0", True), ("", True), ("many", True)])
def test_size(size: str, fits: bool) -> None:
    """A message that is larger than the server says is not sent at all (RFC 1870 §4)."""
    work = submit((f"SIZE {size}".strip(),), "a@b", "c@d", MESSAGE)
    if fits:
        step = next(work)
        assert isinstance(step, Send)
        assert step.data == b"MAIL FROM:<a@b> SIZE=25\r\n"
    else:
        with pytest.raises(MessageTooLarge, match="takes messages of 24 octets, and this one has 25"):
            next(work)


@given(st.lists(st.text(alphabet=". ab", max_size=5)))
def test_dots(lines: list[str]) -> None:
    """Dots are doubled as the standard library does, and what is sent ends in one dot alone."""
    message = "".join(f"{line}\r\n" for line in lines).encode()
    work = submit((), "a@b", "c@d", message)
    sent = b""
    answers = iter([b"250 OK", b"250 OK", b"354 go ahead", b"250 OK"])
    answer: bytes | None = None
    try:
        while True:
            step = work.send(answer)
            answer = None
            if isinstance(step, Send):
                sent = step.data
                assert b"a@b" not in (step.shown or b"")
            elif type(step).__name__ == "ReadLine":
                answer = next(answers)
    except StopIteration:
        pass
    assert sent == smtplib._quote_periods(message) + b".\r\n"  # type: ignore[attr-defined]
    assert re.search(rb"(?m)^\.\r$", sent) is not None
