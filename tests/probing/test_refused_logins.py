"""The words of servers of many makes that refuse a login → reasons."""

from __future__ import annotations

import pytest

from exporter.model.outcome import Phase
from exporter.model.reason import Reason, Retry
from exporter.model.settings import MechanismChoice, Protocol
from exporter.probing.classify import classify
from exporter.probing.dialogue import Credential, Plan, Refusal
from tests.probing.login_texts import LOGIN_TEXTS
from tests.probing.transcript import CLIENT_NAME, SENTINEL, TOKEN, USERNAME, talk

PASSWORD, ACCESS_TOKEN = Credential(USERNAME, SENTINEL), Credential(USERNAME, TOKEN, is_token=True)
OFFERS = {
    Protocol.IMAP: [b"* OK ready", b"* CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN AUTH=LOGIN AUTH=XOAUTH2", b"a1 OK done"],
    Protocol.POP3: [b"+OK ready", b"+OK list", b"SASL PLAIN LOGIN XOAUTH2", b"."],
    Protocol.SMTP: [b"220 ready", b"250-hello", b"250 AUTH PLAIN LOGIN XOAUTH2"],
}
OLDER_OFFERS = {
    Protocol.IMAP: [b"* OK ready", b"* CAPABILITY IMAP4rev1", b"a1 OK done"],
    Protocol.POP3: [b"+OK ready", b"-ERR unknown command", b"+OK send PASS"],
}
PROMPT = {Protocol.IMAP: b"+ ", Protocol.POP3: b"+ ", Protocol.SMTP: b"334 "}


def refused_login(protocol: Protocol, plan: Plan, lines: list[bytes]) -> Reason:
    """Return the reason of a whole session in which the login is refused."""
    _, error = talk(protocol, plan, lines)
    assert isinstance(error, Refusal)
    assert isinstance(plan.login, Credential)
    return classify(error, Phase.LOGIN, protocol, with_token=plan.login.is_token)


@pytest.mark.parametrize(
    ("protocol", "text", "reason"),
    [pytest.param(protocol, *row, id=f"{protocol} {row[0]}") for protocol, rows in LOGIN_TEXTS.items() for row in rows],
)
def test_refused_login(protocol: Protocol, text: str, reason: Reason) -> None:
    """A refused login has the reason of its text, whichever way the credential was sent, and in any case."""
    answers = [line.encode() for line in text.split("\n")]
    prompts = [PROMPT[protocol] + b"VXNlcm5hbWU6", PROMPT[protocol] + b"UGFzc3dvcmQ6"]
    for changed in (answers, [line[:4] + line[4:].swapcase() for line in answers]):
        plain = [*OFFERS[protocol], *changed]
        assert refused_login(protocol, Plan(CLIENT_NAME, login=PASSWORD), plain) is reason
        login = [*OFFERS[protocol], *prompts, *changed]
        plan = Plan(CLIENT_NAME, login=PASSWORD, mechanism=MechanismChoice.LOGIN)
        assert refused_login(protocol, plan, login) is reason
        if protocol in OLDER_OFFERS:
            older = [*OLDER_OFFERS[protocol], *changed]
            assert refused_login(protocol, Plan(CLIENT_NAME, login=PASSWORD), older) is reason
    expected = Reason.OAUTH_TOKEN_REJECTED if reason is Reason.AUTH_INVALID_CREDENTIALS else reason
    with_token = [*OFFERS[protocol], *answers]
    assert refused_login(protocol, Plan(CLIENT_NAME, login=ACCESS_TOKEN), with_token) is expected


@pytest.mark.parametrize("protocol", Protocol)
def test_wrong_password_is_held(protocol: Protocol) -> None:
    """Most of these texts, and every text without a known word, hold the logins: no password is refused twice."""
    reasons = [reason for _, reason in LOGIN_TEXTS[protocol]]
    assert reasons.count(Reason.AUTH_INVALID_CREDENTIALS) > len(reasons) / 4
    assert Reason.AUTH_INVALID_CREDENTIALS.retry is Retry.HOLD
    assert Reason.OAUTH_TOKEN_REJECTED.retry is Retry.HOLD


@pytest.mark.parametrize(
    ("protocol", "lines", "reason"),
    [
        (Protocol.IMAP, [b"* OK ready", b"* CAPABILITY IMAP4rev1 AUTH=PLAIN", b"a1 OK", b"a2 NO no"],
         Reason.SERVER_REFUSED),
        (Protocol.IMAP, [b"* OK ready", b"* CAPABILITY IMAP4rev1 AUTH=PLAIN", b"a1 OK", b"+", b"a2 NO no"],
         Reason.AUTH_INVALID_CREDENTIALS),
        (Protocol.POP3, [b"+OK ready", b"+OK", b"SASL LOGIN", b".", b"-ERR no"], Reason.SERVER_REFUSED),
        (Protocol.POP3, [b"+OK ready", b"+OK", b"SASL LOGIN", b".", b"+", b"-ERR no"], Reason.AUTH_INVALID_CREDENTIALS),
        (Protocol.POP3, [b"+OK ready", b"-ERR", b"-ERR no"], Reason.AUTH_INVALID_CREDENTIALS),
        (Protocol.SMTP, [b"220 ready", b"250-hello", b"250 AUTH LOGIN", b"550 no"], Reason.SERVER_REFUSED),
        (Protocol.SMTP, [b"220 ready", b"250-hello", b"250 AUTH LOGIN", b"334", b"550 no"],
         Reason.AUTH_INVALID_CREDENTIALS),
        (Protocol.SMTP, [b"220 ready", b"250-hello", b"250 AUTH LOGIN", b"334", b"334", b"550 no"],
         Reason.AUTH_INVALID_CREDENTIALS),
    ],
)  # fmt: skip
def test_before_the_credential(protocol: Protocol, lines: list[bytes], reason: Reason) -> None:
    """What is refused before the user name was sent is not the credential."""
    assert refused_login(protocol, Plan(CLIENT_NAME, login=PASSWORD), lines) is reason
