"""Postfix does what `postfix.py` claims, as seen by the standard library's clients."""

from __future__ import annotations

import base64
import imaplib
import json
import smtplib
import time
import uuid
from email.message import EmailMessage
from typing import TYPE_CHECKING

import pytest

from tests.servers.dovecot import OPS_PASSWORD, OPS_USER, PASSWORDS, PROBE_PASSWORD, PROBE_USER, Dovecot
from tests.servers.process import is_listening, is_running, loopback_addresses
from tests.servers.tokens import TokenServer, bearer
from tests.waiting import PATIENCE

if TYPE_CHECKING:
    from tests.servers.authority import Authority
    from tests.servers.postfix import Postfix

# What the challenge behind a refused token says; what else is in it depends on Dovecot's version.
STATUS = {"XOAUTH2": "401", "OAUTHBEARER": "invalid_token"}


def open_smtp(postfix: Postfix, authority: Authority, port: str) -> smtplib.SMTP:
    """An encrypted SMTP connection."""
    if port == "smtps":
        return smtplib.SMTP_SSL("localhost", postfix.smtps_port, timeout=PATIENCE, context=authority.client_context)
    client = smtplib.SMTP("localhost", getattr(postfix, f"{port}_port"), timeout=PATIENCE)
    client.starttls(context=authority.client_context)
    return client


@pytest.mark.parametrize("port", ["smtps", "submission"])
@pytest.mark.parametrize(("user", "password"), PASSWORDS.items(), ids=["probe", "ops"])
@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
def test_login(postfix: Postfix, authority: Authority, port: str, user: str, password: str, mechanism: str) -> None:
    """Both accounts get in on both submission ports, and Dovecot counts it."""
    before = postfix.dovecot.login_count(user, accepted=True)
    with open_smtp(postfix, authority, port) as client:
        client.ehlo()
        # smtplib itself writes passwords in ASCII only.
        words = [f"\0{user}\0{password}"] if mechanism == "PLAIN" else [user, password]
        answer = client.docmd("AUTH", mechanism)
        for word in words:
            assert answer[0] == 334
            answer = client.docmd(_base64(word))
        assert answer[0] == 235
    assert postfix.dovecot.login_count(user, accepted=True) == before + 1


@pytest.mark.parametrize("port", ["smtps", "submission"])
def test_bad_login(postfix: Postfix, authority: Authority, port: str) -> None:
    """A wrong password is refused on both submission ports, and Dovecot counts it."""
    before = postfix.dovecot.login_count(OPS_USER, accepted=False)
    with open_smtp(postfix, authority, port) as client:
        client.ehlo()
        assert client.docmd("AUTH", f"PLAIN {_base64(f'{chr(0)}{OPS_USER}{chr(0)}wrong')}")[0] == 535
    assert postfix.dovecot.login_count(OPS_USER, accepted=False) == before + 1


@pytest.mark.parametrize("port", ["smtps", "submission"])
@pytest.mark.parametrize("mechanism", ["XOAUTH2", "OAUTHBEARER"])
def test_token(postfix: Postfix, tokens: TokenServer, authority: Authority, port: str, mechanism: str) -> None:
    """Both accounts get in on both submission ports by a token of their own, and Dovecot counts it."""
    before = postfix.dovecot.login_count(accepted=True)
    for user in PASSWORDS:
        words = bearer(mechanism, user, tokens.access_token(user))
        assert present(postfix, authority, port, mechanism, words) == (235, [])
    assert postfix.dovecot.login_count(accepted=True) == before + 2


@pytest.mark.parametrize("port", ["smtps", "submission"])
@pytest.mark.parametrize("mechanism", ["XOAUTH2", "OAUTHBEARER"])
def test_bad_token(postfix: Postfix, tokens: TokenServer, authority: Authority, port: str, mechanism: str) -> None:
    """A token that is not good for the account is refused behind a challenge, and Dovecot counts it."""
    revoked = tokens.access_token(OPS_USER)
    assert present(postfix, authority, port, mechanism, bearer(mechanism, OPS_USER, revoked))[0] == 235
    tokens.revoke(OPS_USER)
    expired = tokens.access_token(OPS_USER, expires_in=-1)
    before = postfix.dovecot.login_count(OPS_USER, accepted=False)
    for token in (revoked, expired, "ya29.unknown"):
        code, challenges = present(postfix, authority, port, mechanism, bearer(mechanism, OPS_USER, token))
        assert code == 535
        assert [each["status"] for each in challenges] == [STATUS[mechanism]]
    # One that is good for another mailbox: Dovecot 2.4 has no challenge for it.
    first = bearer(mechanism, OPS_USER, tokens.access_token(PROBE_USER))
    assert present(postfix, authority, port, mechanism, first)[0] == 535
    assert postfix.dovecot.login_count(OPS_USER, accepted=False) == before + 4


def present(
    postfix: Postfix, authority: Authority, port: str, mechanism: str, words: bytes
) -> tuple[int, list[dict[str, str]]]:
    """Present a token through a port; the final reply's code, and the challenge where there was one."""
    challenges: list[dict[str, str]] = []

    def answer(challenge: bytes | None = None) -> str:
        if challenge is None:
            return words.decode()
        challenges.append(json.loads(challenge))
        return ""

    with open_smtp(postfix, authority, port) as client:
        client.ehlo()
        assert client.esmtp_features["auth"].split() == ["PLAIN", "LOGIN", "XOAUTH2", "OAUTHBEARER"]
        try:
            return client.auth(mechanism, answer)[0], challenges
        except smtplib.SMTPAuthenticationError as error:
            return error.smtp_code, challenges


def test_tls_comes_first(postfix: Postfix) -> None:
    """Submission offers STARTTLS, no AUTH in the clear, and takes no mail without."""
    with smtplib.SMTP("localhost", postfix.submission_port, timeout=PATIENCE) as client:
        client.ehlo()
        assert client.has_extn("starttls")
        assert not client.has_extn("auth")
        assert client.docmd("MAIL", f"FROM:<{OPS_USER}>")[0] == 530


def test_exchange_port(postfix: Postfix, authority: Authority) -> None:
    """The port for other servers offers STARTTLS, never AUTH, and relays nothing."""
    with open_smtp(postfix, authority, "smtp") as client:
        client.ehlo()
        assert not client.has_extn("auth")
        client.mail("someone@example.net")
        assert client.rcpt("other@example.net")[0] == 554
        assert client.rcpt("nobody@example.com")[0] == 550
        assert client.rcpt(PROBE_USER)[0] == 250


def test_delivery(postfix: Postfix, authority: Authority) -> None:
    """A message sent by submission arrives in the inbox, through LMTP."""
    message = EmailMessage()
    message["Subject"] = token = uuid.uuid4().hex
    message["From"], message["To"] = OPS_USER, PROBE_USER
    message.set_content("There and back.")
    with open_smtp(postfix, authority, "submission") as client:
        client.login(OPS_USER, OPS_PASSWORD)
        client.send_message(message)
    assert arrives(postfix.dovecot, authority, token), postfix.log_text()


def arrives(dovecot: Dovecot, authority: Authority, token: str, folder: str = "INBOX") -> bool:
    """Whether a message with this subject comes into a folder within five seconds."""
    context = authority.client_context
    with imaplib.IMAP4_SSL("localhost", dovecot.imaps_port, ssl_context=context, timeout=PATIENCE) as client:
        client.authenticate("PLAIN", lambda _: f"\0{PROBE_USER}\0{PROBE_PASSWORD}".encode())
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            client.select(folder)
            if client.search(None, "SUBJECT", token)[1] != [b""]:
                return True
            time.sleep(0.05)
    return False


def test_both_families(postfix: Postfix) -> None:
    """Every port answers on 127.0.0.1, and on ::1 where there is one."""
    ports = (postfix.smtp_port, postfix.smtps_port, postfix.submission_port)
    assert all(is_listening(port, host) for port in ports for host in loopback_addresses())


def test_stop_and_start(postfix: Postfix, authority: Authority) -> None:
    """Stopped, it leaves no process and refuses connections; started again, it serves the same ports."""
    members, port = postfix.members(), postfix.smtps_port
    assert members
    postfix.stop()
    assert not [pid for pid in members if is_running(pid)]
    assert not postfix.members()
    with pytest.raises(ConnectionRefusedError):
        open_smtp(postfix, authority, "smtps")
    postfix.start()
    assert postfix.smtps_port == port
    with open_smtp(postfix, authority, "smtps") as client:
        assert client.login(OPS_USER, OPS_PASSWORD)[0] == 235


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
