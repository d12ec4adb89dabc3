"""The healthy dialogues serve the standard library's clients, and every step of them can be replaced."""

from __future__ import annotations

import asyncio
import imaplib
import poplib
import smtplib
import ssl
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from tests.servers import acts
from tests.servers.client import Client
from tests.servers.dialogues import Imap, Pop3, Smtp, Step
from tests.waiting import PATIENCE

if TYPE_CHECKING:
    from tests.conftest import StartScripted
    from tests.servers.authority import Authority
    from tests.servers.scripted import Behaviour, Security

SECURITIES = ["tls", "starttls"]
# In the order of a conversation; the handshake follows the command that asks for it.
STEPS: list[Step] = ["greeting", "capability", "starttls", "tls", "login", "folders", "logout"]
COMMANDS: dict[Step, bytes] = {
    "capability": b"a CAPABILITY\r\n",
    "starttls": b"a STARTTLS\r\n",
    "login": b"a LOGIN user word\r\n",
    "folders": b'a LIST "" "*"\r\n',
    "logout": b"a LOGOUT\r\n",
}


def open_imap(port: int, context: ssl.SSLContext, security: str) -> imaplib.IMAP4:
    """An encrypted IMAP connection."""
    if security == "tls":
        return imaplib.IMAP4_SSL("127.0.0.1", port, ssl_context=context, timeout=PATIENCE)
    client = imaplib.IMAP4("127.0.0.1", port, timeout=PATIENCE)
    assert {"STARTTLS", "LOGINDISABLED"} <= set(client.capabilities)
    client.starttls(context)
    return client


@pytest.mark.parametrize("security", SECURITIES)
async def test_imap(scripted: StartScripted, authority: Authority, security: Security) -> None:
    """IMAP: capabilities, every kind of login, folders, status, goodbye."""
    server = await scripted(Imap(), security=security)

    def talk() -> None:
        for mechanism in ("LOGIN", "literal", "PLAIN", "AUTH LOGIN"):
            client = open_imap(server.port, authority.client_context, security)
            assert "AUTH=PLAIN" in client.capabilities
            match mechanism:
                case "LOGIN":
                    client.login("user", "word")
                case "literal":
                    client.literal = b"w\xc3\xb6rd"  # type: ignore[assignment]
                    client._simple_command("LOGIN", "user")
                case "PLAIN":
                    client.authenticate("PLAIN", lambda _: b"\0user\0word")
                case "AUTH LOGIN":
                    client.authenticate("LOGIN", lambda _: b"answer")
            client.state = "AUTH"
            assert len(client.list()[1]) == 4
            assert client.status('"[Gmail]/Sent Mail"', "(MESSAGES)")[1] == [b'"[Gmail]/Sent Mail" (MESSAGES 3)']
            assert client.noop()[0] == "OK"
            assert client.logout()[0] == "BYE"

    await asyncio.to_thread(talk)
    await server.wait_idle(4)
    assert b"w\xc3\xb6rd" in server.received[1]


@pytest.mark.parametrize("security", SECURITIES)
async def test_pop3(scripted: StartScripted, authority: Authority, security: Security) -> None:
    """POP3: capabilities, USER and PASS, AUTH, STAT, goodbye."""
    server = await scripted(Pop3(), security=security)

    def talk() -> None:
        client: poplib.POP3
        if security == "tls":
            client = poplib.POP3_SSL("127.0.0.1", server.port, context=authority.client_context, timeout=PATIENCE)
        else:
            client = poplib.POP3("127.0.0.1", server.port, timeout=PATIENCE)
            assert "USER" not in client.capa()
            client.stls(authority.client_context)
        assert "SASL" in client.capa()
        client.user("user")
        client.pass_("word")
        assert client.stat() == (3, 4096)
        assert client._shortcmd("AUTH PLAIN AHVzZXIAd29yZA==") == b"+OK Welcome."  # type: ignore[attr-defined]
        client.quit()

    await asyncio.to_thread(talk)
    await server.wait_idle()


@pytest.mark.parametrize("security", SECURITIES)
async def test_smtp(scripted: StartScripted, authority: Authority, security: Security) -> None:
    """SMTP: EHLO, AUTH with both mechanisms, goodbye."""
    server = await scripted(Smtp(), security=security)

    def talk() -> None:
        client: smtplib.SMTP
        if security == "tls":
            client = smtplib.SMTP_SSL("127.0.0.1", server.port, context=authority.client_context, timeout=PATIENCE)
        else:
            client = smtplib.SMTP("127.0.0.1", server.port, timeout=PATIENCE)
            client.ehlo()
            assert not client.has_extn("auth")
            client.starttls(context=authority.client_context)
        client.ehlo()
        client.user, client.password = "user", "word"
        assert client.auth("PLAIN", client.auth_plain)[0] == 235
        assert client.auth("LOGIN", client.auth_login)[0] == 235
        assert client.quit()[0] == 221

    await asyncio.to_thread(talk)
    await server.wait_idle()


@pytest.mark.parametrize(
    ("dialogue", "commands", "expected"),
    [
        (
            Imap(refusal=b"NO [AUTHENTICATIONFAILED] Invalid"),
            b"a LOGIN u p\r\n",
            b"a NO [AUTHENTICATIONFAILED] Invalid\r\n",
        ),
        (Pop3(refusal=b"-ERR [AUTH] no"), b"USER u\r\nPASS p\r\n", b"-ERR [AUTH] no\r\n"),
        (Smtp(refusal=b"535 5.7.8 no"), b"AUTH PLAIN AAA=\r\n", b"535 5.7.8 no\r\n"),
        (Imap(starttls_offered=False), b"a CAPABILITY\r\n", b"AUTH=LOGIN\r\na OK Thats all she wrote!\r\n"),
        (Pop3(at={"folders": acts.say(b"-ERR [SYS/PERM] off\r\n")}), b"STAT\r\n", b"-ERR [SYS/PERM] off\r\n"),
        (Imap(at={"capability": acts.nul_reply}), b"a CAPABILITY\r\n", b"a OK \0\0done\0\r\n"),
        (Imap(at={"login": acts.wrong_tag}), b"a LOGIN u p\r\n", b"zz9 OK done\r\n"),
        (Imap(), b"a NONSENSE\r\n", b"a BAD Unknown command\r\n"),
    ],
)
async def test_answers(scripted: StartScripted, dialogue: Imap | Pop3 | Smtp, commands: bytes, expected: bytes) -> None:
    """Refusals, a stripped STARTTLS and acts in place of a step give just the answer that was asked for."""
    server = await scripted(dialogue, security="starttls")

    def talk() -> bytes:
        client = Client(server.port)
        client.hear()
        client.say(commands)
        heard = client.hear_until(expected)
        client.close()
        return heard

    heard = await asyncio.to_thread(talk)
    assert heard.endswith(expected)
    assert b"STARTTLS" not in heard
    await server.wait_idle()


@pytest.mark.parametrize("act", [acts.close, acts.reset, acts.truncate, acts.silence], ids=lambda act: act.__name__)
@pytest.mark.parametrize("step", STEPS)
async def test_every_step(scripted: StartScripted, authority: Authority, step: Step, act: Behaviour) -> None:
    """An act at any step ends the conversation there, and nowhere else."""
    server = await scripted(Imap(at={step: act}), security="starttls")
    silent = step if act is acts.silence else None
    done = await asyncio.to_thread(steps_done, server.port, authority.client_context, silent)
    assert done == STEPS[: STEPS.index(step)]
    await server.wait_idle()


def steps_done(port: int, context: ssl.SSLContext, silent: Step | None) -> list[Step]:
    """The steps of an IMAP conversation that the server went along with; at the silent one it waits less."""
    done: list[Step] = []
    client = Client(port)
    # A step fails by an exception, or by an end of the stream before the answer.
    with suppress(OSError):
        for step in STEPS:
            if step == silent:
                client.socket.settimeout(0.05)
            client.say(COMMANDS.get(step, b""))
            if step == "tls":
                client.start_tls(context)
            elif not client.hear_until(b" OK ").count(b" OK "):
                break
            done.append(step)
    client.close()
    return done


async def test_tls_step(scripted: StartScripted, authority: Authority) -> None:
    """With implicit TLS an act can take the place of the handshake."""
    server = await scripted(Imap(at={"tls": acts.close}), security="tls")
    with pytest.raises(ssl.SSLError, match="EOF"):
        await asyncio.to_thread(Client, server.port, authority.client_context)
    await server.wait_idle()


async def test_greeting_delay(scripted: StartScripted) -> None:
    """The greeting comes when it is due, not before."""
    soon, late = await scripted(Imap(greeting_delay=0.01)), await scripted(Imap(greeting_delay=60))

    def talk(port: int) -> bytes:
        client = Client(port)
        client.socket.settimeout(0.2)
        try:
            return client.hear()
        finally:
            client.close()

    assert await asyncio.to_thread(talk, soon.port)
    with pytest.raises(TimeoutError):
        await asyncio.to_thread(talk, late.port)
