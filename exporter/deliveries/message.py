"""The test message: RFC 5322, small, and with nothing personal in it."""

from __future__ import annotations

from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime

SUBJECT = "gmail-exporter test message"
"""By which messages are searched for. What is found so is ours only if its token says so."""

BODY = """\
This is a test message of gmail-exporter. It was sent from one mailbox of its operator to another, to find out whether
mail arrives. Nobody has to read or answer it. Where it is still here after a day, it can be deleted.
"""


def compose(sender: str, recipient: str, token: str, now: float) -> bytes:
    """Return a test message as 7-bit text in lines that end in CRLF; `now` is in Unix seconds."""
    message = EmailMessage(SMTP.clone(max_line_length=998))  # RFC 5322 §2.1.1; a Message-ID must not be folded
    message["Date"] = format_datetime(datetime.fromtimestamp(int(now), UTC))
    message["From"] = sender
    message["To"] = recipient
    message["Message-ID"] = message_id(token, sender)
    message["Subject"] = SUBJECT
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834 §5: no answer is wanted
    message.set_content(BODY, cte="7bit")
    return message.as_bytes()


def message_id(token: str, sender: str) -> str:
    """Return the Message-ID of the message with a token (RFC 5322 §3.6.4)."""
    return f"<{token}@{sender.rpartition('@')[2]}>"
