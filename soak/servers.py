"""Hostile mail servers, or one that takes logins, in a process of its own.

It prints its ports. For each line on its standard input it prints the logins so far, by user name. It ends with its
input.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import re
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from itertools import count
from pathlib import Path

from tests.servers import acts
from tests.servers.authority import Certificate
from tests.servers.dialogues import Dialogue, Imap, Pop3, Smtp, Step
from tests.servers.scripted import Behaviour, ScriptedServer, Session

LINK = b"https://accounts.google.com/"
EMOJI = "\U0001f600".encode()

GREETING = {Imap: b"* OK ", Pop3: b"+OK ", Smtp: b"220-"}
ANSWER = {Imap: b"* CAPABILITY ", Pop3: b"+OK\r\n", Smtp: b"250-first\r\n"}
"""How an answer to the question for capabilities begins."""
LINE = {Imap: b"* CAPABILITY ", Pop3: b"X-", Smtp: b"250-"}
"""How each of its lines begins."""


async def _garbage(session: Session) -> None:
    await session.write(b"\x16\x03\x03\x40\x00" + os.urandom(4096))
    await session.close()


def hostile(kind: type[Dialogue]) -> list[tuple[Step, Behaviour]]:
    """Return what a hostile server does, and instead of which step."""
    greeting, answer, line = GREETING[kind], ANSWER[kind], LINE[kind]
    long = answer + (line + LINK * (8000 // len(LINK)) + b"\r\n") * 126
    talk = answer + (line + EMOJI * 120 + b"\r\n") * 600
    flood = acts.in_order(acts.say(answer), acts.endless(line + b"X" * 500 + b"\r\n"))
    return [
        ("tls", acts.silence),
        ("tls", _garbage),
        ("greeting", acts.silence),
        ("greeting", acts.reset),
        ("greeting", acts.drip(greeting)),
        ("greeting", acts.endless(greeting + b"flood\r\n")),
        ("greeting", acts.endless(b"x")),
        ("capability", acts.in_order(acts.say(long), acts.silence)),
        ("capability", acts.in_order(acts.say(talk), acts.close)),
        ("capability", flood),
        ("capability", acts.drip(answer)),
        ("capability", acts.reset),
    ]


class InTurn:
    """A server that is hostile in another way at each connection."""

    does_handshake = True

    def __init__(self, kind: type[Dialogue]) -> None:
        self._servers = [kind(at={step: act}) for step, act in hostile(kind)]
        self._numbers = count()

    async def __call__(self, session: Session) -> None:
        await self._servers[next(self._numbers) % len(self._servers)](session)


def logins(received: Iterable[bytes]) -> Mapping[str, int]:
    """Return how often each user has logged in, from what clients sent."""
    found: Counter[str] = Counter()
    for sent in received:
        for code in re.findall(rb"AUTHENTICATE PLAIN (\S+)", sent):
            found[base64.b64decode(code).split(b"\0")[1].decode()] += 1
    return found


def servers_of(which: str) -> Mapping[str, Behaviour]:
    """Return the servers of a process, by name: `hostile` or `login`."""
    if which == "login":
        return {"login": Imap()}
    return {"imap": InTurn(Imap), "pop3": InTurn(Pop3), "smtp": InTurn(Smtp)}


async def serve(kinds: Mapping[str, Behaviour], certificate: Certificate) -> None:
    """Serve until the input ends."""
    async with AsyncExitStack() as stack:
        servers = {
            name: await stack.enter_async_context(ScriptedServer(behave, context=certificate.context, security="tls"))
            for name, behave in kinds.items()
        }
        print(json.dumps({name: server.port for name, server in servers.items()}), flush=True)
        reader = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        while await reader.readline():
            print(json.dumps(logins(sent for server in servers.values() for sent in server.received)), flush=True)


def main(arguments: Sequence[str]) -> None:
    """Run the servers, hostile ones at the lowest priority: they stand for other hosts."""
    which, *files = arguments
    if which == "hostile":
        os.nice(19)
    asyncio.run(serve(servers_of(which), Certificate(*map(Path, files))))


if __name__ == "__main__":
    main(sys.argv[1:])
