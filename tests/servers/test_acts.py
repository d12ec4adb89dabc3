"""Each hostile act shows its client what its name says."""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING

import pytest

from tests.servers import acts
from tests.servers.client import Client
from tests.servers.dialogues import Dialogue, Imap, Pop3, Smtp

if TYPE_CHECKING:
    from tests.conftest import StartScripted
    from tests.servers.authority import Authority
    from tests.servers.scripted import Behaviour

GREETINGS = {
    "endless line": (acts.endless_line, b"x" * 200_000),
    "endless untagged lines": (acts.endless_untagged, b"* OK and another thing\r\n" * 8000),
    "endless POP3 lines": (acts.endless_pop3_lines, b"CAPABILITY\r\n" * 8000),
    "endless SMTP lines": (acts.endless_smtp_lines, b"250-EXTENSION\r\n" * 8000),
    "wrong tag": (acts.wrong_tag, b"zz9 OK done\r\n"),
    "huge literal": (acts.huge_literal, b'* LIST (\\HasNoChildren) "/" {4294967296}\r\n'),
    "HTTP": (acts.http_answer, b"HTTP/1.1 400 Bad Request\r\n"),
    "NULs": (acts.nul_greeting, b"* OK \0\0 ready\0\r\n"),
}


@pytest.mark.parametrize("name", GREETINGS)
async def test_says(scripted: StartScripted, name: str) -> None:
    """What the act sends begins as expected, and goes on as long as the client reads."""
    act, expected = GREETINGS[name]
    server = await scripted(act)

    def talk() -> bytes:
        client, heard = Client(server.port), b""
        while len(heard) < len(expected) and (data := client.hear()):
            heard += data
        client.close()
        return heard

    assert (await asyncio.to_thread(talk)).startswith(expected)
    await server.wait_idle()


async def test_drip(scripted: StartScripted) -> None:
    """One byte at a time, with a pause between them, for ever."""
    server = await scripted(acts.drip(b"ab", 0.05))

    def talk() -> list[bytes]:
        client = Client(server.port)
        heard = [client.hear() for _ in range(5)]
        client.close()
        return heard

    assert await asyncio.to_thread(talk) == [b"a", b"b", b"a", b"b", b"a"]
    await server.wait_idle()


async def test_reset(scripted: StartScripted) -> None:
    """The client sees a TCP reset."""
    server = await scripted(acts.reset)

    def talk() -> None:
        client = Client(server.port)
        try:
            with pytest.raises(ConnectionResetError):
                client.hear()
        finally:
            client.close()

    await asyncio.to_thread(talk)
    await server.wait_idle()


@pytest.mark.parametrize(("act", "ragged"), [(acts.close, False), (acts.truncate, True)])
async def test_close(scripted: StartScripted, authority: Authority, act: Behaviour, ragged: bool) -> None:
    """`close` ends TLS properly, `truncate` does not."""
    server = await scripted(act, security="tls")

    def talk() -> None:
        client = Client(server.port, authority.client_context)
        if ragged:
            with pytest.raises(ssl.SSLError, match="EOF"):
                client.hear()
        else:
            assert client.hear() == b""
        client.close()

    await asyncio.to_thread(talk)
    await server.wait_idle()


@pytest.mark.parametrize(
    ("dialogue", "command", "injected"),
    [
        (
            Imap(at={"starttls": acts.imap_starttls_injected}),
            b"a STARTTLS\r\n",
            b"* CAPABILITY IMAP4rev1 AUTH=EVIL\r\n",
        ),
        (Pop3(at={"starttls": acts.pop3_stls_injected}), b"STLS\r\n", b"+OK evil\r\n"),
        (Smtp(at={"starttls": acts.smtp_starttls_injected}), b"STARTTLS\r\n", b"250 evil.example\r\n"),
    ],
    ids=["imap", "pop3", "smtp"],
)
async def test_starttls_injected(
    scripted: StartScripted, authority: Authority, dialogue: Dialogue, command: bytes, injected: bytes
) -> None:
    """The plaintext comes with the reply, in one piece, and the handshake works all the same."""
    server = await scripted(dialogue, security="starttls")

    def talk() -> bytes:
        client = Client(server.port)
        client.hear()
        client.say(command)
        heard = client.hear()
        client.start_tls(authority.client_context)
        client.close(notify=True)
        return heard

    reply, _, rest = (await asyncio.to_thread(talk)).partition(b"\r\n")
    assert reply.startswith((b"a OK", b"+OK", b"220"))
    assert rest == injected
    await server.wait_idle()
    assert server.close_notify == [True]
