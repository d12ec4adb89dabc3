"""rspamd does what `rspamd.py` claims, as the milter of Postfix."""

from __future__ import annotations

import uuid
from email.message import EmailMessage
from typing import TYPE_CHECKING

import pytest

from tests.servers.dovecot import OPS_PASSWORD, OPS_USER, PROBE_USER
from tests.servers.rspamd import SPAM
from tests.servers.test_postfix import arrives, open_smtp

if TYPE_CHECKING:
    from tests.servers.authority import Authority
    from tests.servers.postfix import Postfix
    from tests.servers.rspamd import Rspamd


@pytest.mark.parametrize(("with_right_key", "symbol"), [(True, "R_DKIM_ALLOW"), (False, "R_DKIM_REJECT")])
def test_signature(
    postfix: Postfix, authority: Authority, rspamd: Rspamd, symbol: str, *, with_right_key: bool
) -> None:
    """What is submitted is signed, and verified by the public key in the DNS when it is received."""
    rspamd.sign(with_right_key=with_right_key)
    before = rspamd.log_text().count(symbol)
    token = send(postfix, authority, "signed", "There and back.")
    assert arrives(postfix.dovecot, authority, token), postfix.log_text()
    assert rspamd.log_text().count(symbol) == before + 1


def test_advertisement(postfix: Postfix, authority: Authority, rspamd: Rspamd) -> None:
    """The line that Postfix adds to a test message makes it spam, which does not come into the inbox."""
    before = rspamd.log_text().count("S (add header)")
    token = send(postfix, authority, "advertising", "This is a test message of somebody.")
    other = send(postfix, authority, "advertising", "There and back.")
    assert arrives(postfix.dovecot, authority, other)
    assert arrives(postfix.dovecot, authority, token, "Junk")
    assert rspamd.log_text().count("S (add header)") == before + 2  # when it was sent, and when it was received
    assert SPAM not in rspamd.log_text()


def send(postfix: Postfix, authority: Authority, port: str, text: str) -> str:
    """Send a message by this submission port; its subject."""
    message = EmailMessage()
    message["Subject"] = token = uuid.uuid4().hex
    message["From"], message["To"] = OPS_USER, PROBE_USER
    message.set_content(text)
    with open_smtp(postfix, authority, port) as client:
        client.login(OPS_USER, OPS_PASSWORD)
        client.send_message(message)
    return token
