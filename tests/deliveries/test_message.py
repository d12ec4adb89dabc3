"""The test message."""

from __future__ import annotations

import re
from email import message_from_bytes, policy

from hypothesis import given
from hypothesis import strategies as st

from exporter.deliveries.message import SUBJECT, compose, message_id
from exporter.deliveries.tokens import Tokens

ADDRESSES = st.from_regex(r"[a-z0-9.+-]{1,60}@[a-z0-9]{1,60}\.example\.com", fullmatch=True)


def test_text() -> None:
    """All fields of it are these: nothing personal, and no answer is wanted."""
    message = message_from_bytes(compose("ops@example.com", "probe@example.org", "token", 0.5), policy=policy.default)
    assert dict(message.items()) == {
        "Date": "Thu, 01 Jan 1970 00:00:00 +0000",
        "From": "ops@example.com",
        "To": "probe@example.org",
        "Message-ID": "<token@example.com>",
        "Subject": SUBJECT,
        "Auto-Submitted": "auto-generated",
        "Content-Type": 'text/plain; charset="utf-8"',
        "Content-Transfer-Encoding": "7bit",
        "MIME-Version": "1.0",
    }
    assert not message.defects


@given(ADDRESSES, ADDRESSES, st.floats(0, 4e9))
def test_form(sender: str, recipient: str, now: float) -> None:
    """It is 7-bit text in lines of RFC 5322, small, and has its token in one piece."""
    tokens = Tokens(b"key")
    token = tokens.new(now)
    message = compose(sender, recipient, token, now)
    assert message.isascii()
    assert len(message) < 1500
    assert re.fullmatch(rb"(?:[^\r\n]{0,998}\r\n)+", message)
    assert tokens.read(message) == (token, float(int(now)))
    assert f"Message-ID: {message_id(token, sender)}\r\n".encode() in message
    assert f"To: {recipient}\r\n".encode() in message
