"""SASL: mechanisms as data, the choice of one, and how each protocol refuses a password and an access token."""

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

PASSWORD, ACCESS_TOKEN = Credential(USERNAME, SENTINEL), Credential(USERNAME, TOKEN, is_token=True)


@pytest.mark.parametrize(
    ("credential", "choice", "offered", "name"),
    [
        (PASSWORD, MechanismChoice.AUTO, ["LOGIN", "PLAIN"], "PLAIN"),
        (PASSWORD, MechanismChoice.AUTO, ["LOGIN", "XOAUTH2"], "LOGIN"),
        (PASSWORD, MechanismChoice.AUTO, ["XOAUTH2", "PLAIN-CLIENTTOKEN", "CRAM-MD5"], None),
        (PASSWORD, MechanismChoice.AUTO, [], None),
        (PASSWORD, MechanismChoice.AUTO, ["plain"], None),
        (PASSWORD, MechanismChoice.PLAIN, ["PLAIN", "LOGIN"], "PLAIN"),
        (PASSWORD, MechanismChoice.PLAIN, ["LOGIN"], None),
        (PASSWORD, MechanismChoice.LOGIN, ["PLAIN", "LOGIN"], "LOGIN"),
        (PASSWORD, MechanismChoice.LOGIN, ["PLAIN"], None),
        (PASSWORD, MechanismChoice.XOAUTH2, ["XOAUTH2", "PLAIN", "LOGIN"], None),
        (PASSWORD, MechanismChoice.OAUTHBEARER, ["OAUTHBEARER", "PLAIN", "LOGIN"], None),
        (ACCESS_TOKEN, MechanismChoice.AUTO, ["PLAIN", "OAUTHBEARER", "XOAUTH2"], "XOAUTH2"),
        (ACCESS_TOKEN, MechanismChoice.AUTO, ["PLAIN", "OAUTHBEARER"], "OAUTHBEARER"),
        (ACCESS_TOKEN, MechanismChoice.AUTO, ["PLAIN", "LOGIN", "XOAUTH"], None),
        (ACCESS_TOKEN, MechanismChoice.AUTO, [], None),
        (ACCESS_TOKEN, MechanismChoice.XOAUTH2, ["OAUTHBEARER", "XOAUTH2"], "XOAUTH2"),
        (ACCESS_TOKEN, MechanismChoice.XOAUTH2, ["OAUTHBEARER"], None),
        (ACCESS_TOKEN, MechanismChoice.OAUTHBEARER, ["OAUTHBEARER", "XOAUTH2"], "OAUTHBEARER"),
        (ACCESS_TOKEN, MechanismChoice.OAUTHBEARER, ["XOAUTH2"], None),
        (ACCESS_TOKEN, MechanismChoice.PLAIN, ["PLAIN", "XOAUTH2"], None),
        (ACCESS_TOKEN, MechanismChoice.LOGIN, ["LOGIN", "XOAUTH2"], None),
    ],
)
def test_choose(credential: Credential, choice: MechanismChoice, offered: list[str], name: str | None) -> None:
    """The best mechanism that both sides allow is chosen, and never one for tokens with a password, or the reverse."""
    mechanism = choose(choice, offered, credential)
    assert (mechanism.name if mechanism else None) == name


def test_plain() -> None:
    """PLAIN is one answer that may go with the command: an empty authorization identity, user name, password."""
    mechanism = choose(MechanismChoice.PLAIN, ["PLAIN"], PASSWORD)
    assert mechanism is not None
    assert mechanism.answers == (b"\0probe@gmail.com\0sentinelsentinel",)
    assert mechanism.client_first


def test_login() -> None:
    """LOGIN answers two prompts, and sends nothing before the first."""
    mechanism = choose(MechanismChoice.LOGIN, ["LOGIN"], PASSWORD)
    assert mechanism is not None
    assert mechanism.answers == (b"probe@gmail.com", b"sentinelsentinel")
    assert not mechanism.client_first


@given(username=st.text(st.characters(codec="utf-8")), password=st.text(st.characters(codec="utf-8")))
def test_any_credential(username: str, password: str) -> None:
    """Any text is sent in UTF-8, whole and unchanged."""
    plain = choose(MechanismChoice.PLAIN, ["PLAIN"], Credential(username, password))
    login = choose(MechanismChoice.LOGIN, ["LOGIN"], Credential(username, password))
    assert plain is not None
    assert login is not None
    assert plain.answers == (b"\0" + b"\0".join(login.answers),)
    assert [answer.decode() for answer in login.answers] == [username, password]


def test_repr() -> None:
    """Neither a credential nor a mechanism shows the password."""
    for name in ("PLAIN", "LOGIN"):
        mechanism = choose(MechanismChoice.AUTO, [name], PASSWORD)
        assert name in repr(mechanism)
        assert PASSWORD.password not in repr(mechanism)
    assert repr(PASSWORD) == "Credential(username='probe@gmail.com', is_token=False)"


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
        (MechanismChoice.XOAUTH2, ACCESS_TOKEN, Reason.OAUTH_TOKEN_REJECTED),
        (MechanismChoice.OAUTHBEARER, ACCESS_TOKEN, Reason.OAUTH_TOKEN_REJECTED),
    ],
    ids=["plain", "login", "xoauth2", "oauthbearer"],
)
def test_refused_credential(
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


def _mechanism(name: str, login: Credential) -> Mechanism:
    mechanism = choose(MechanismChoice.AUTO, [name], login)
    assert mechanism is not None
    assert login.password not in repr(mechanism)
    return mechanism


def test_token_examples() -> None:
    """The examples of Google's documentation and of RFC 7628 §4.1, octet for octet."""
    login = Credential("someuser@example.com", "ya29.vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg", is_token=True)
    mechanism = _mechanism("XOAUTH2", login)
    sent, _ = talk(Protocol.SMTP, Plan(CLIENT_NAME, login=login), OFFERS[Protocol.SMTP])
    assert sent[1].data == (
        b"AUTH XOAUTH2 dXNlcj1zb21ldXNlckBleGFtcGxlLmNvbQFhdXRoPUJlYXJlciB5YTI5LnZGOWRmdDRxbVRjMk52YjNSbGNrQmhkSFJo"
        b"ZG1semRHRXVZMjl0Q2cBAQ==\r\n"
    )
    assert mechanism.error_response == b""
    login = Credential("user@example.com", "vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==", is_token=True)
    mechanism = _mechanism("OAUTHBEARER", login)
    assert mechanism.answers == (b"n,a=user@example.com,\1auth=Bearer vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==\1\1",)
    assert mechanism.error_response == b"\1"


@given(username=st.text(st.characters(codec="utf-8", exclude_characters="\1")), token=st.text("abc.-_~+/=", min_size=9))
def test_any_user_name(username: str, token: str) -> None:
    """Any user name can be read back, and ends where it should."""
    login = Credential(username, token, is_token=True)
    (answer,) = _mechanism("XOAUTH2", login).answers
    assert answer.decode() == f"user={username}\1auth=Bearer {token}\1\1"
    (answer,) = _mechanism("OAUTHBEARER", login).answers
    header, bearer, *rest = answer.decode().split("\1")
    assert (bearer, rest) == (f"auth=Bearer {token}", ["", ""])
    flag, name, end = header.split(",")
    assert (flag, name[:2], end) == ("n", "a=", "")
    assert name[2:].replace("=2C", ",").replace("=3D", "=") == username
