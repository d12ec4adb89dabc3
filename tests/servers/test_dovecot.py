"""Dovecot does what `dovecot.py` claims, as seen by the standard library's clients."""

from __future__ import annotations

import imaplib
import poplib
import socket
from typing import TYPE_CHECKING

import pytest

from tests.servers.dovecot import OPS_PASSWORD, OPS_USER, PROBE_PASSWORD, PROBE_USER, Dovecot
from tests.servers.process import is_listening, is_running, loopback_addresses

if TYPE_CHECKING:
    from tests.servers.authority import Authority

ACCOUNTS = [(PROBE_USER, PROBE_PASSWORD), (OPS_USER, OPS_PASSWORD)]
PORTS = ["imap", "imaps", "pop3", "pop3s"]


def open_imap(dovecot: Dovecot, authority: Authority, port: str = "imaps") -> imaplib.IMAP4:
    """An encrypted IMAP connection."""
    if port == "imaps":
        return imaplib.IMAP4_SSL("localhost", dovecot.imaps_port, ssl_context=authority.client_context, timeout=5)
    client = imaplib.IMAP4("localhost", dovecot.imap_port, timeout=5)
    client.starttls(authority.client_context)
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
    pop3: poplib.POP3
    if port == "pop3s":
        pop3 = poplib.POP3_SSL("localhost", dovecot.pop3s_port, context=authority.client_context, timeout=5)
    else:
        pop3 = poplib.POP3("localhost", dovecot.pop3_port, timeout=5)
        pop3.stls(authority.client_context)
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


def test_capabilities(dovecot: Dovecot) -> None:
    """STARTTLS and STLS are offered in the clear."""
    with imaplib.IMAP4("localhost", dovecot.imap_port, timeout=5) as imap:
        assert "STARTTLS" in imap.capabilities
    pop3 = poplib.POP3("localhost", dovecot.pop3_port, timeout=5)
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
