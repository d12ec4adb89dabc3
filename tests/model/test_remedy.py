"""Remedies by provider and by phase."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import product

import pytest

from exporter.model.outcome import Phase, Target
from exporter.model.reason import ANY_PROVIDER, GOOGLE, Reason, Retry
from exporter.model.remedy import REMEDIES, evidence_at, party_of, remedy_of, token_host
from exporter.model.settings import Account, Endpoint, IpFamily, OAuth2, Protocol, SecretRef, Security
from tests.examples import failure

SECRET = SecretRef(env="X")
PASSWORD = Account("ops", "ops@example.com", app_password=SECRET)
TOKENS = Account("ops", "ops@example.com", oauth2=OAuth2("id", SECRET, SECRET, "https://login.example.com/token"))
OF_GOOGLE = re.compile(r"google|gmail(?!-exporter)|workspace|admin console|postmaster|2-step", re.IGNORECASE)


def at(host: str, phase: Phase, reason: Reason, account: Account | None = TOKENS, **changes: object) -> str:
    """All that is said of a failure at a host."""
    values = {"protocol": Protocol.IMAP, "port": 993, **changes}
    endpoint = Endpoint(name="e", host=host, account=account, **values)  # type: ignore[arg-type]
    failed = failure(Target(endpoint, IpFamily.ANY), phase, reason)
    return f"{failed.summary}: {failed.blame_label}: {failed.remedy}"


def test_every_reason_has_a_remedy() -> None:
    """It is on one line, of whole sentences."""
    assert list(REMEDIES) == list(Reason)
    assert all(text.endswith(".") and "\n" not in text for text in REMEDIES.values())


@pytest.mark.parametrize("reason", [reason for reason in Reason if reason is not Reason.OK])
def test_nobody_is_sent_to_google(reason: Reason) -> None:
    """Nothing that is said of another server, in any phase, speaks of Google; but of the scope that is asked for."""
    for phase, host in product(Phase, ("mail.example.com", "192.0.2.1", "imap.notgmail.com")):
        said = at(host, phase, reason).replace("https://mail.google.com/", "")
        assert not OF_GOOGLE.search(said)


@pytest.mark.parametrize("reason", [reason for reason in Reason if "release" in REMEDIES[reason]])
def test_release(reason: Reason) -> None:
    """What is released in general is released at Google, too."""
    for host in "imap.gmail.com", "mail.example.com":
        assert "release the account ops" in remedy_of(reason, host, PASSWORD)


def test_party() -> None:
    """The provider of a failure is that of the mail server, or that of the token endpoint."""
    assert party_of(Reason.SERVER_BUSY, "imap.gmail.com", TOKENS) == GOOGLE
    assert party_of(Reason.OAUTH_ENDPOINT_ERROR, "imap.gmail.com", TOKENS) == ANY_PROVIDER
    assert party_of(Reason.OAUTH_ENDPOINT_ERROR, "mail.example.com", PASSWORD) == GOOGLE
    assert party_of(Reason.OAUTH_TOKEN_REJECTED, "mail.example.com", PASSWORD) == ANY_PROVIDER
    assert party_of(Reason.OAUTH_GRANT_REVOKED, "imap.gmail.com", None) == GOOGLE


def test_token_host() -> None:
    """The host of the token endpoint is named in the remedy."""
    assert token_host(TOKENS) == "login.example.com"
    assert token_host(Account("ops", "a", service_account=SECRET)) == "oauth2.googleapis.com"
    assert remedy_of(Reason.OAUTH_ENDPOINT_ERROR, "mail.example.com", TOKENS).endswith("reaches login.example.com.")


@pytest.mark.parametrize("reason", [Reason.TIMEOUT, Reason.RESET, Reason.CLOSED])
@pytest.mark.parametrize("host", ["imap.gmail.com", "mail.example.com"])
def test_phases(reason: Reason, host: str) -> None:
    """Where the server falls silent or ends the connection, what to do depends on the phase."""
    said = {phase: at(host, phase, reason).rpartition(": ")[2] for phase in Phase}
    assert len(set(said.values())) == len(Phase)


@pytest.mark.parametrize("reason", [Reason.TIMEOUT, Reason.RESET])
def test_port_25(reason: Reason) -> None:
    """A port that networks block is named where it is the port, and where nobody answers a connect."""
    for phase, port in product(Phase, (25, 465, 587)):
        said = at("mail.example.com", phase, reason, protocol=Protocol.SMTP, port=port, security=Security.STARTTLS)
        assert ("port 25" in said) is (phase is Phase.CONNECT and port == 25)


@pytest.mark.parametrize(
    ("phase", "security", "port", "hint"),
    [
        (Phase.GREETING, Security.STARTTLS, 2143, "set security: tls"),
        (Phase.GREETING, Security.NONE, 2143, "set security: tls"),
        (Phase.GREETING, Security.STARTTLS, 143, ""),
        (Phase.GREETING, Security.TLS, 2993, ""),
        (Phase.TLS, Security.TLS, 2993, "set security: starttls"),
        (Phase.TLS, Security.TLS, 993, ""),
        (Phase.TLS, Security.STARTTLS, 2143, ""),
        (Phase.LOGIN, Security.STARTTLS, 2143, ""),
    ],
)
def test_security(phase: Phase, security: Security, port: int, hint: str) -> None:
    """A port that is not the usual one may begin in another way than the endpoint says."""
    for reason in Reason.TIMEOUT, Reason.CLOSED:
        said = at("mail.example.com", phase, reason, None, security=security, port=port)
        assert ("set security" in said) is bool(hint)
        assert hint in said


def test_evidence() -> None:
    """Nobody can look at Google's log."""
    assert "log" not in evidence_at("imap.gmail.com")
    assert evidence_at("mail.example.com") == "see its log if it is yours"


def test_odd_answers() -> None:
    """Before the login an odd answer may be of another protocol; after it, it is the server's."""
    before, after = (
        at("mail.example.com", phase, Reason.PROTOCOL_VIOLATION) for phase in (Phase.GREETING, Phase.FOLDERS)
    )
    assert "captive portal" in before
    assert "captive portal" not in after


def test_no_account() -> None:
    """Without an account its place in the remedy is a word to be replaced."""
    assert "release the account NAME." in at("mail.example.com", Phase.LOGIN, Reason.ACCOUNT_DISABLED, None)
    changed = replace(PASSWORD, name="other")
    assert "release the account other." in at("mail.example.com", Phase.LOGIN, Reason.ACCOUNT_DISABLED, changed)


ENDED_BY_ANOTHER_SECRET = {
    Reason.AUTH_INVALID_CREDENTIALS,
    Reason.AUTH_APP_PASSWORD_REQUIRED,
    Reason.OAUTH_SCOPE_INSUFFICIENT,
    Reason.OAUTH_GRANT_REVOKED,
    Reason.OAUTH_GRANT_INVALID,
    Reason.OAUTH_KEY_INVALID,
    Reason.OAUTH_CLIENT_DELETED,
    Reason.OAUTH_SUBJECT_INVALID,  # by another user name, which is another mailbox
}


@pytest.mark.parametrize("reason", [each for each in Reason if each.retry is Retry.HOLD])
def test_a_remedy_says_how_a_hold_ends(reason: Reason) -> None:
    """Only another secret or a release ends it: a remedy that changes no secret says so."""
    if reason.value.startswith(("certificate_", "starttls_")):
        return  # no login is made at all
    assert ("release the account {account}" in REMEDIES[reason]) is (reason not in ENDED_BY_ANOTHER_SECRET)
