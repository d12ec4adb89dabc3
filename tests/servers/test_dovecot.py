"""Dovecot does what `dovecot.py` claims, as seen by the standard library's clients."""

from __future__ import annotations

import base64
import imaplib
import json
import poplib
import socket
from typing import TYPE_CHECKING

import pytest

from tests.servers.dovecot import OPS_PASSWORD, OPS_USER, PASSWORDS, PROBE_PASSWORD, PROBE_USER, Dovecot
from tests.servers.dovecot_configuration import version
from tests.servers.process import is_listening, is_running, loopback_addresses
from tests.servers.tokens import TokenServer, bearer
from tests.waiting import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.servers.authority import Authority

ACCOUNTS = [(PROBE_USER, PROBE_PASSWORD), (OPS_USER, OPS_PASSWORD)]
PORTS = ["imap", "imaps", "pop3", "pop3s"]
MECHANISMS = ["XOAUTH2", "OAUTHBEARER"]
# What the challenge behind a refused token says. Dovecot 2.4 has another status for a scope that is too small.
STATUSES = {"XOAUTH2": {"401", "403"}, "OAUTHBEARER": {"invalid_token", "insufficient_scope"}}


@pytest.fixture
def bad_tokens(tokens: TokenServer) -> Mapping[str, str]:
    """Tokens that open no mailbox, by what is wrong with them."""
    revoked = tokens.access_token(PROBE_USER)
    tokens.revoke(PROBE_USER)
    return {
        "unknown": "ya29.unknown",
        "revoked": revoked,
        "expired": tokens.access_token(PROBE_USER, expires_in=-1),
        "of another scope": tokens.access_token(PROBE_USER, scope="https://www.googleapis.com/auth/gmail.modify"),
    }


def open_imap(dovecot: Dovecot, authority: Authority, port: str = "imaps") -> imaplib.IMAP4:
    """An encrypted IMAP connection."""
    if port == "imaps":
        return imaplib.IMAP4_SSL(
            "localhost", dovecot.imaps_port, ssl_context=authority.client_context, timeout=PATIENCE
        )
    client = imaplib.IMAP4("localhost", dovecot.imap_port, timeout=PATIENCE)
    client.starttls(authority.client_context)
    return client


def open_pop3(dovecot: Dovecot, authority: Authority, port: str = "pop3s") -> poplib.POP3:
    """An encrypted POP3 connection."""
    if port == "pop3s":
        return poplib.POP3_SSL("localhost", dovecot.pop3s_port, context=authority.client_context, timeout=PATIENCE)
    client = poplib.POP3("localhost", dovecot.pop3_port, timeout=PATIENCE)
    client.stls(authority.client_context)
    return client


def login(dovecot: Dovecot, authority: Authority, port: str, user: str, password: str) -> str | None:
    """Log in and out through a port; None when accepted, else the server's words."""
    if port.startswith("imap"):
        with open_imap(dovecot, authority, port) as imap:
            try:
                imap.authenticate("PLAIN", lambda _: f"\0{user}\0{password}".encode())
            except imap.error as error:
                return str(error)
            return None
    pop3 = open_pop3(dovecot, authority, port)
    pop3.encoding = "UTF-8"
    try:
        pop3.user(user)
        pop3.pass_(password)
        pop3.stat()
    except poplib.error_proto as error:
        return str(error)
    finally:
        pop3.quit()
    return None


def present(
    dovecot: Dovecot, authority: Authority, port: str, first: tuple[str, bytes], last: bytes = b""
) -> tuple[str | None, list[dict[str, str]]]:
    """Present a token through a port; the server's words (None when accepted), and the challenges it had for us.

    `first` is the mechanism with what is said first, `last` what a challenge is answered with.
    """
    mechanism, words = first
    challenges: list[dict[str, str]] = []
    if port.startswith("imap"):

        def answer(challenge: bytes) -> bytes:
            # Without an initial response, an empty challenge asks for it.
            if not challenge:
                return words
            challenges.append(json.loads(challenge))
            return last

        with open_imap(dovecot, authority, port) as imap:
            try:
                imap.authenticate(mechanism, answer)
            except imap.error as error:
                return str(error), challenges
            return None, challenges
    pop3 = open_pop3(dovecot, authority, port)
    try:
        said = pop3._shortcmd(f"AUTH {mechanism} {base64.b64encode(words).decode()}")  # type: ignore[attr-defined]
        if said.startswith(b"+ "):
            challenges.append(json.loads(base64.b64decode(said[2:])))
            pop3._shortcmd(base64.b64encode(last).decode())  # type: ignore[attr-defined]
        pop3.stat()
    except poplib.error_proto as error:
        return str(error), challenges
    finally:
        pop3.quit()
    return None, challenges


@pytest.mark.parametrize("port", PORTS)
@pytest.mark.parametrize(("user", "password"), ACCOUNTS, ids=["probe", "ops"])
def test_login(dovecot: Dovecot, authority: Authority, port: str, user: str, password: str) -> None:
    """Both accounts get in on every port, and Dovecot counts it."""
    before = dovecot.login_count(user, accepted=True)
    assert login(dovecot, authority, port, user, password) is None
    assert dovecot.login_count(user, accepted=True) == before + 1


@pytest.mark.parametrize("port", PORTS)
def test_bad_login(dovecot: Dovecot, authority: Authority, port: str) -> None:
    """A wrong password and an unknown user are refused on every port, and Dovecot counts it."""
    before = dovecot.login_count(accepted=False), dovecot.login_count(accepted=True)
    for user in (PROBE_USER, "nobody@example.com"):
        said = login(dovecot, authority, port, user, "wrong")
        assert said is not None
        assert "Authentication failed." in said
    assert (dovecot.login_count(accepted=False), dovecot.login_count(accepted=True)) == (before[0] + 2, before[1])


@pytest.mark.parametrize("port", PORTS)
@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_token(dovecot: Dovecot, tokens: TokenServer, authority: Authority, port: str, mechanism: str) -> None:
    """Both accounts get in on every port by a token of their own, and Dovecot counts it."""
    before = dovecot.login_count(accepted=True)
    for user in PASSWORDS:
        first = mechanism, bearer(mechanism, user, tokens.access_token(user))
        assert present(dovecot, authority, port, first) == (None, [])
    assert dovecot.login_count(accepted=True) == before + 2


@pytest.mark.parametrize("port", ["imaps", "pop3s"])
@pytest.mark.parametrize(
    ("mechanism", "last"),
    # RFC 7628 section 3.2.3 has a client answer the challenge with %x01; Google's clients say nothing.
    [("XOAUTH2", b""), ("OAUTHBEARER", b""), ("OAUTHBEARER", b"\1")],
)
def test_bad_token(
    dovecot: Dovecot, bad_tokens: Mapping[str, str], authority: Authority, port: str, mechanism: str, last: bytes
) -> None:
    """A token that is not good is refused behind a challenge, and Dovecot counts it."""
    before = dovecot.login_count(PROBE_USER, accepted=False)
    for fault, token in bad_tokens.items():
        first = mechanism, bearer(mechanism, PROBE_USER, token)
        said, challenges = present(dovecot, authority, port, first, last)
        assert "Authentication failed." in str(said), fault
        (challenge,) = challenges
        assert challenge["status"] in STATUSES[mechanism], fault
    assert dovecot.login_count(PROBE_USER, accepted=False) == before + len(bad_tokens)


@pytest.mark.parametrize("port", ["imaps", "pop3s"])
@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_token_of_another(
    dovecot: Dovecot, tokens: TokenServer, authority: Authority, port: str, mechanism: str
) -> None:
    """A token that is good for another mailbox is refused, and Dovecot counts it; 2.4 does so without a challenge."""
    before = dovecot.login_count(PROBE_USER, accepted=False)
    first = mechanism, bearer(mechanism, PROBE_USER, tokens.access_token(OPS_USER))
    assert "Authentication failed." in str(present(dovecot, authority, port, first)[0])
    assert dovecot.login_count(PROBE_USER, accepted=False) == before + 1


def test_token_is_asked_for_every_time(dovecot: Dovecot, tokens: TokenServer, authority: Authority) -> None:
    """A token that was good a moment ago is refused as soon as it is revoked: nothing remembers it."""
    first = "XOAUTH2", bearer("XOAUTH2", PROBE_USER, tokens.access_token(PROBE_USER))
    for port in ("imaps", "pop3s", "imaps"):
        assert present(dovecot, authority, port, first) == (None, [])
    tokens.revoke(PROBE_USER)
    for port in ("imaps", "pop3s"):
        assert present(dovecot, authority, port, first)[0] is not None
    assert tokens.introspections == [PROBE_USER] * 3 + [None] * 2


def test_token_server_stopped(dovecot: Dovecot, tokens: TokenServer, authority: Authority) -> None:
    """While the token server is stopped, a token is refused for the time being; a password goes on working.

    Dovecot 2.4 says so in its challenge alone.
    """
    first = "XOAUTH2", bearer("XOAUTH2", PROBE_USER, tokens.access_token(PROBE_USER))
    tokens.stop()
    for port, code in (("imaps", "[UNAVAILABLE]"), ("pop3s", "[SYS/TEMP]")):
        said, challenges = present(dovecot, authority, port, first)
        assert said is not None
        if version(dovecot.program) >= (2, 4):
            assert [each["status"] for each in challenges] == ["500"]
        else:
            assert code in said
            assert challenges == []
    assert login(dovecot, authority, "imaps", OPS_USER, OPS_PASSWORD) is None
    tokens.start()
    assert present(dovecot, authority, "imaps", first) == (None, [])


def test_no_token_server(authority: Authority) -> None:
    """Without a token server, Dovecot offers passwords only."""
    with Dovecot(authority.issue()) as dovecot, open_imap(dovecot, authority) as client:
        offered = [each for each in client.capabilities if each.startswith("AUTH=")]
    assert offered == ["AUTH=PLAIN", "AUTH=LOGIN"]


def test_quoted_password(dovecot: Dovecot, authority: Authority) -> None:
    """IMAP's LOGIN takes a password with quotes, backslashes, spaces and non-ASCII letters as a literal."""
    client = open_imap(dovecot, authority)
    client.literal = PROBE_PASSWORD.encode()  # type: ignore[assignment]
    assert client._simple_command("LOGIN", PROBE_USER)[0] == "OK"
    client.logout()


def test_special_use(dovecot: Dovecot, authority: Authority) -> None:
    """The folders carry their roles."""
    with open_imap(dovecot, authority) as client:
        client.login(OPS_USER, OPS_PASSWORD)
        listed = [line.decode() for line in client.list()[1] if isinstance(line, bytes)]
    for folder in ("Sent", "Trash", "Junk", "Drafts"):
        assert [line for line in listed if f"\\{folder})" in line and line.endswith(f" {folder}")], listed


def test_mechanisms(dovecot: Dovecot, authority: Authority) -> None:
    """Passwords and tokens are offered on both protocols."""
    wanted = {"PLAIN", "LOGIN", "XOAUTH2", "OAUTHBEARER"}
    with open_imap(dovecot, authority) as imap:
        assert {each[5:] for each in imap.capabilities if each.startswith("AUTH=")} == wanted
    pop3 = open_pop3(dovecot, authority)
    assert set(pop3.capa()["SASL"]) == wanted
    pop3.quit()


def test_capabilities(dovecot: Dovecot) -> None:
    """STARTTLS and STLS are offered in the clear."""
    with imaplib.IMAP4("localhost", dovecot.imap_port, timeout=PATIENCE) as imap:
        assert "STARTTLS" in imap.capabilities
    pop3 = poplib.POP3("localhost", dovecot.pop3_port, timeout=PATIENCE)
    assert "STLS" in pop3.capa()
    pop3.quit()


def test_no_login_in_the_clear(dovecot: Dovecot) -> None:
    """A client at another address than the server's cannot log in without TLS."""
    with socket.create_connection(("127.0.0.1", dovecot.imap_port), 5, ("127.0.0.2", 0)) as raw:
        lines = raw.makefile("rb")
        assert b"LOGINDISABLED" in lines.readline()
        raw.sendall(f"a LOGIN {OPS_USER} {OPS_PASSWORD}\r\n".encode())
        answer = next(line for line in lines if line.startswith(b"a "))
        assert answer.startswith(b"a NO [PRIVACYREQUIRED]")
        lines.close()


def test_both_families(dovecot: Dovecot) -> None:
    """Every port answers on 127.0.0.1, and on ::1 where there is one."""
    ports = (dovecot.imap_port, dovecot.imaps_port, dovecot.pop3_port, dovecot.pop3s_port)
    assert all(is_listening(port, host) for port in ports for host in loopback_addresses())


def test_set_password(dovecot: Dovecot, authority: Authority) -> None:
    """A changed password is in force at once, and again when changed back."""
    dovecot.set_password(OPS_USER, "another")
    assert login(dovecot, authority, "imaps", OPS_USER, OPS_PASSWORD) is not None
    dovecot.set_password(OPS_USER, OPS_PASSWORD)
    assert login(dovecot, authority, "imaps", OPS_USER, OPS_PASSWORD) is None


def test_stop_and_start(dovecot: Dovecot, authority: Authority) -> None:
    """Stopped, it leaves no process and refuses connections; started again, it serves the same ports."""
    members, port = dovecot.members(), dovecot.imaps_port
    assert members
    dovecot.stop()
    assert not [pid for pid in members if is_running(pid)]
    assert not dovecot.members()
    with pytest.raises(ConnectionRefusedError):
        open_imap(dovecot, authority)
    dovecot.start()
    assert dovecot.imaps_port == port
    assert login(dovecot, authority, "imaps", OPS_USER, OPS_PASSWORD) is None
