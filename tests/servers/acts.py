"""What a hostile or broken server does: acts, to be put at any step of a dialogue (see `dialogues.py`).

An act that returns has answered in place of the server, and the dialogue goes on; one that closes or resets the
connection has ended it; the others go on until the client leaves.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.servers.scripted import Behaviour, Session


async def silence(session: Session) -> None:
    """Say nothing more, whatever the client sends."""
    await session.wait_closed()


async def close(session: Session) -> None:
    """Close properly: close_notify where TLS is up, and the end of the stream."""
    await session.close()


async def truncate(session: Session) -> None:
    """End the stream without close_notify."""
    await session.close(notify=False)


async def reset(session: Session) -> None:
    """Reset the TCP connection."""
    # A reset that overtakes the client's connect would be a failure of that.
    await asyncio.sleep(0.02)
    session.reset()


def say(data: bytes) -> Behaviour:
    """Send these bytes, in one write; `{tag}` in them becomes the tag of the client's last IMAP command."""

    async def act(session: Session) -> None:
        await session.write(data.replace(b"{tag}", session.tag))

    return act


def in_order(*acts: Behaviour) -> Behaviour:
    """One act after another."""

    async def act(session: Session) -> None:
        for each in acts:
            await each(session)

    return act


def pause(seconds: float) -> Behaviour:
    """Wait."""

    async def act(_session: Session) -> None:
        await asyncio.sleep(seconds)

    return act


def drip(data: bytes, period: float = 1.0) -> Behaviour:
    """Send one byte, wait, send the next; from the beginning again at the end, for ever."""

    async def act(session: Session) -> None:
        while True:
            for byte in data:
                await session.write(bytes([byte]))
                await asyncio.sleep(period)

    return act


def endless(data: bytes) -> Behaviour:
    """Send the same bytes for ever, as fast as they go."""
    # In large pieces: the client is to be the one that works.
    piece = data * max(1, 16384 // len(data))

    async def act(session: Session) -> None:
        while True:
            await session.write(piece)

    return act


endless_line = endless(b"x")
endless_untagged = endless(b"* OK and another thing\r\n")
endless_pop3_lines = endless(b"CAPABILITY\r\n")
endless_smtp_lines = endless(b"250-EXTENSION\r\n")
wrong_tag = say(b"zz9 OK done\r\n")
huge_literal = in_order(say(b'* LIST (\\HasNoChildren) "/" {4294967296}\r\n'), silence)
http_answer = in_order(
    say(b"HTTP/1.1 400 Bad Request\r\nServer: nginx\r\nContent-Type: text/html\r\nContent-Length: 0\r\n\r\n"), close
)
nul_greeting = say(b"* OK \0\0 ready\0\r\n")
nul_reply = say(b"{tag} OK \0\0done\0\r\n")


def starttls_injected(reply: bytes, plaintext: bytes) -> Behaviour:
    """Answer STARTTLS, with plaintext behind the reply in the same segment, and then do the handshake."""

    async def act(session: Session) -> None:
        await session.write(reply.replace(b"{tag}", session.tag) + plaintext)
        await session.start_tls()

    return act


imap_starttls_injected = starttls_injected(b"{tag} OK begin\r\n", b"* CAPABILITY IMAP4rev1 AUTH=EVIL\r\n")
pop3_stls_injected = starttls_injected(b"+OK begin\r\n", b"+OK evil\r\n")
smtp_starttls_injected = starttls_injected(b"220 2.0.0 ready\r\n", b"250 evil.example\r\n")
