"""The same words mean one thing of a password and another of an access token."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.model.outcome import Phase
from exporter.model.reason import Blame, Reason, Retry
from exporter.model.settings import MechanismChoice, Protocol
from exporter.probing.classify import classify
from exporter.probing.dialogue import Credential, Plan, Refusal
from exporter.probing.sasl import Mechanism, choose
from tests.probing.transcript import CLIENT_NAME, SENTINEL, TOKEN, USERNAME, talk

PASSWORD, ACCESS = Credential(USERNAME, SENTINEL), Credential(USERNAME, TOKEN, is_token=True)
CHALLENGE = b"eyJzdGF0dXMiOiI0MDAiLCJzY2hlbWVzIjoiQmVhcmVyIiwic2NvcGUiOiJodHRwczovL21haWwuZ29vZ2xlLmNvbS8ifQ=="

OFFERS = {
    Protocol.IMAP: [
        b"* OK ready",
        b"* CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN AUTH=LOGIN AUTH=XOAUTH2 AUTH=OAUTHBEARER",
        b"a1 OK done",
    ],
    Protocol.POP3: [b"+OK ready", b"+OK list", b"SASL PLAIN LOGIN XOAUTH2 OAUTHBEARER", b"."],
    Protocol.SMTP: [b"220 ready", b"250-hello", b"250 AUTH PLAIN LOGIN XOAUTH2 OAUTHBEARER"],
}
PROMPT = {Protocol.IMAP: b"+ ", Protocol.POP3: b"+ ", Protocol.SMTP: b"334 "}
REFUSALS = [
    (Protocol.IMAP, b"a2 NO [AUTHENTICATIONFAILED] Invalid credentials (Failure)"),
    (Protocol.IMAP, b"a2 NO Invalid credentials d2e1a72fcca58-771e39cb4b8mb10429491b3a"),
    (Protocol.IMAP, b"a2 NO [AUTHORIZATIONFAILED] no"),
    (Protocol.POP3, b"-ERR [AUTH] Invalid credentials."),
    (Protocol.POP3, b"-ERR [AUTH] Username and password not accepted."),
    (Protocol.POP3, b"-ERR [AUTH] [AUTHENTICATIONFAILED] Authentication failed."),
    (Protocol.SMTP, b"535 5.7.8 Username and Password not accepted. Learn more"),
    (Protocol.SMTP, b"535 5.7.8 Error: authentication failed: [AUTHENTICATIONFAILED]"),
]


@pytest.mark.parametrize(("protocol", "refusal"), REFUSALS)
@pytest.mark.parametrize(
    ("choice", "credential", "reason"),
    [
        (MechanismChoice.PLAIN, PASSWORD, Reason.AUTH_INVALID_CREDENTIALS),
        (MechanismChoice.LOGIN, PASSWORD, Reason.AUTH_INVALID_CREDENTIALS),
        (MechanismChoice.XOAUTH2, ACCESS, Reason.OAUTH_TOKEN_REJECTED),
        (MechanismChoice.OAUTHBEARER, ACCESS, Reason.OAUTH_TOKEN_REJECTED),
    ],
    ids=["plain", "login", "xoauth2", "oauthbearer"],
)
def test_a_refused_credential(
    protocol: Protocol, refusal: bytes, choice: MechanismChoice, credential: Credential, reason: Reason
) -> None:
    """A wrong password is the account's fault, a refused token the token's; both hold the logins."""
    exchange = {
        MechanismChoice.LOGIN: [PROMPT[protocol] + b"VXNlcm5hbWU6", PROMPT[protocol] + b"UGFzc3dvcmQ6"],
        MechanismChoice.PLAIN: [],
    }.get(choice, [PROMPT[protocol] + CHALLENGE])
    plan = Plan(CLIENT_NAME, login=credential, mechanism=choice)
    sent, error = talk(protocol, plan, [*OFFERS[protocol], *exchange, refusal])
    assert isinstance(error, Refusal)
    assert classify(error, Phase.LOGIN, protocol, with_token=credential.is_token) is reason
    assert reason.retry is Retry.HOLD
    assert reason.blame is (Blame.TOKEN if credential.is_token else Blame.ACCOUNT)
    if credential.is_token:
        assert sent[-1].data == (b"\r\n" if choice is MechanismChoice.XOAUTH2 else b"AQ==\r\n")


@pytest.mark.parametrize(
    ("choice", "offered", "name"),
    [
        (MechanismChoice.AUTO, ["PLAIN", "OAUTHBEARER", "XOAUTH2"], "XOAUTH2"),
        (MechanismChoice.AUTO, ["PLAIN", "OAUTHBEARER"], "OAUTHBEARER"),
        (MechanismChoice.AUTO, ["PLAIN", "LOGIN", "XOAUTH"], None),
        (MechanismChoice.AUTO, [], None),
        (MechanismChoice.XOAUTH2, ["OAUTHBEARER", "XOAUTH2"], "XOAUTH2"),
        (MechanismChoice.XOAUTH2, ["OAUTHBEARER"], None),
        (MechanismChoice.OAUTHBEARER, ["OAUTHBEARER", "XOAUTH2"], "OAUTHBEARER"),
        (MechanismChoice.OAUTHBEARER, ["XOAUTH2"], None),
        (MechanismChoice.PLAIN, ["PLAIN", "XOAUTH2"], None),
        (MechanismChoice.LOGIN, ["LOGIN", "XOAUTH2"], None),
    ],
)
def test_choose(choice: MechanismChoice, offered: list[str], name: str | None) -> None:
    """A token goes by the mechanisms for tokens and by no other, whatever was asked for."""
    mechanism = choose(choice, offered, ACCESS)
    assert (mechanism.name if mechanism else None) == name


def _mechanism(name: str, login: Credential) -> Mechanism:
    mechanism = choose(MechanismChoice.AUTO, [name], login)
    assert mechanism is not None
    assert login.password not in repr(mechanism) or login.password in "XOAUTHBEARER2"
    return mechanism


def test_what_is_said() -> None:
    """Octet for octet as Google's documentation and RFC 7628 §4.1 have it."""
    login = Credential("someuser@example.com", "ya29.vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg", is_token=True)
    said = _mechanism("XOAUTH2", login)
    assert said.begin(b"AUTH", 8192)[0] == (
        b"AUTH XOAUTH2 dXNlcj1zb21ldXNlckBleGFtcGxlLmNvbQFhdXRoPUJlYXJlciB5YTI5LnZGOWRmdDRxbVRjMk52YjNSbGNrQmhkSFJo"
        b"ZG1semRHRXVZMjl0Q2cBAQ==\r\n"
    )
    assert said.error_response == b""
    login = Credential("user@example.com", "vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==", is_token=True)
    said = _mechanism("OAUTHBEARER", login)
    assert said.answers == (b"n,a=user@example.com,\1auth=Bearer vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==\1\1",)
    assert said.error_response == b"\1"


@given(username=st.text(st.characters(codec="utf-8", exclude_characters="\1")), token=st.text("abc.-_~+/=", min_size=9))
def test_any_user_name(username: str, token: str) -> None:
    """Whatever is in it, the user name ends where it should and can be read back."""
    login = Credential(username, token, is_token=True)
    (said,) = _mechanism("XOAUTH2", login).answers
    assert said.decode() == f"user={username}\1auth=Bearer {token}\1\1"
    (said,) = _mechanism("OAUTHBEARER", login).answers
    header, bearer, *rest = said.decode().split("\1")
    assert (bearer, rest) == (f"auth=Bearer {token}", ["", ""])
    flag, name, end = header.split(",")
    assert (flag, name[:2], end) == ("n", "a=", "")
    assert name[2:].replace("=2C", ",").replace("=3D", "=") == username
