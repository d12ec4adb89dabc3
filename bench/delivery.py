"""The difference of the time that a delivery reports from that of the server, which knows how long the message took.

`gmail-exporter check --delivery` as a user calls it, several at once, each for a few mailboxes. A server takes the
message, and shows it in the inbox after a delay of its own: with IDLE it tells of it then, without it the message is
found by a later look. It notes when it says so.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

from bench.result import Lab, Result, Table, milliseconds
from exporter.deliveries.finding import POLL
from tests.servers.dialogues import Imap, Smtp
from tests.servers.scripted import ScriptedServer, Session

COMMANDS = 4
"""Commands at once."""

DELAYS = {"with IDLE": (1.0, 1.5, 2.0), "without IDLE": (0.7,)}
"""Seconds after which the messages of the first command come."""

STEP = {"with IDLE": 0.15, "without IDLE": 1.2}
"""Seconds that each further command adds to them."""

LOOK = 0.05
"""Seconds that a look takes."""

END = b"\r\n.\r\n"


@dataclass
class Message:
    """A message, and the server's own times, in seconds of `time.perf_counter`."""

    delay: float
    header: bytes = b""
    accepted_at: float = 0.0
    shown_at: float = 0.0
    """When it could be seen first: with IDLE, when the client was told of it."""
    arrived: asyncio.Event = field(default_factory=asyncio.Event)

    def accept(self, content: bytes) -> None:
        """Let it come after its delay."""
        self.header, self.accepted_at = content.partition(b"\r\n\r\n")[0] + b"\r\n\r\n", time.perf_counter()
        asyncio.get_running_loop().call_later(self.delay, self._arrive)

    def _arrive(self) -> None:
        self.shown_at = time.perf_counter()
        self.arrived.set()


@dataclass(frozen=True, kw_only=True)
class Submission(Smtp):
    """Takes one message."""

    message: Message

    async def _answer(self, session: Session, words: list[bytes]) -> bool:
        match words[0].upper():
            case b"MAIL" | b"RCPT":
                await session.write(b"250 2.1.0 OK\r\n")
            case b"DATA":
                await session.write(b"354 Go ahead\r\n")
                content = b""
                while not content.endswith(END):
                    content += await session.read_line()
                self.message.accept(content)
                await session.write(b"250 2.0.0 OK\r\n")
            case _:
                return await super()._answer(session, words)
        return True


@dataclass(frozen=True, kw_only=True)
class Inbox(Imap):
    """Shows the message when it has come."""

    message: Message

    async def _answer(self, session: Session, words: list[bytes]) -> bool:
        message, tag = self.message, words[0]
        match words[1].upper():
            case b"SELECT" | b"EXAMINE":
                session.folder = words[2]  # type: ignore[attr-defined]
                await session.write(tag + b" OK opened\r\n")
            case b"UID" if words[2].upper() == b"SEARCH":
                is_there = message.arrived.is_set() and session.folder == b'"INBOX"'  # type: ignore[attr-defined]
                await session.write(b"* SEARCH%s\r\n%s OK done\r\n" % (b" 1" if is_there else b"", tag))
            case b"UID" if words[2].upper() == b"FETCH":
                head = b"* 1 FETCH (UID 1 BODY[HEADER.FIELDS (MESSAGE-ID)]<0> {%d}\r\n" % len(message.header)
                await session.write(head + message.header + b")\r\n" + tag + b" OK done\r\n")
            case b"IDLE":
                await session.write(b"+ idling\r\n")
                telling = asyncio.create_task(self._tell(session))
                await session.read_line()
                telling.cancel()
                await session.write(tag + b" OK done\r\n")
            case _:
                return await super()._answer(session, words)
        return True

    async def _tell(self, session: Session) -> None:
        await self.message.arrived.wait()
        self.message.shown_at = time.perf_counter()
        await session.write(b"* 1 EXISTS\r\n")


def configuration(posts: Sequence[tuple[Message, int, int]], directory: Path, ca_file: Path) -> Path:
    """Write a delivery for each message, with two accounts and two endpoints of its own; return the file."""
    secret = directory / "password"
    secret.write_text("abcdefghijklmnop")
    tls = {"ca_file": str(ca_file), "server_name": "localhost"}
    accounts, endpoints, deliveries = {}, {}, {}
    for number, (_, smtp, imap) in enumerate(posts):
        for who in ("from", "to"):
            accounts[f"{who}{number}"] = {
                "username": f"{who}{number}@mail.example",
                "app_password": {"file": str(secret)},
            }
        common = {"host": "127.0.0.1", "security": "tls", "tls": tls}
        endpoints[f"smtp{number}"] = {**common, "protocol": "smtp", "port": smtp, "account": f"from{number}"}
        endpoints[f"imap{number}"] = {**common, "protocol": "imap", "port": imap, "account": f"to{number}"}
        deliveries[f"d{number}"] = {
            "from": f"from{number}",
            "via": f"smtp{number}",
            "to": f"to{number}",
            "read_at": [f"imap{number}"],
            "timeout": "1m",
            "cleanup": "keep",
            "sent_copy": "keep",
        }
    file = directory / f"{os.urandom(4).hex()}.yml"
    file.write_text(json.dumps({"accounts": accounts, "endpoints": endpoints, "deliveries": deliveries}))
    return file


async def command(lab: Lab, how: str, delays: Sequence[float]) -> list[float]:
    """Make a delivery for each delay with one command; return by how many seconds each reported time is late."""
    capabilities = b"IMAP4rev1 SPECIAL-USE SASL-IR AUTH=PLAIN" + (b" IDLE" if how == "with IDLE" else b"")
    async with AsyncExitStack() as stack:

        async def serve(behaviour: Smtp | Imap) -> int:
            server = ScriptedServer(behaviour, context=lab.certificate.context, security="tls")
            return (await stack.enter_async_context(server)).port

        messages = [Message(delay) for delay in delays]
        posts = [
            (one, await serve(Submission(message=one)), await serve(Inbox(message=one, capabilities=capabilities)))
            for one in messages
        ]
        file = configuration(posts, lab.directory, lab.authority.ca_file)
        names = [word for number in range(len(posts)) for word in ("--delivery", f"d{number}")]
        flags = [f"--config.file={file}", "--storage.none", "check", "--output=json", *names]
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "exporter", *flags, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        out, told = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"a delivery failed:\n{told.decode()[-2000:]}\n{out.decode()[-2000:]}")
    return [
        found["duration_seconds"] - (message.shown_at - message.accepted_at)
        for found, message in zip(json.loads(out), messages, strict=True)
    ]


async def several(lab: Lab, how: str) -> list[float]:
    """Make deliveries with several commands at once; return by how many seconds each reported time is late."""
    each = [[delay + STEP[how] * number for delay in DELAYS[how]] for number in range(COMMANDS)]
    return [late for made in await asyncio.gather(*(command(lab, how, one) for one in each)) for late in made]


async def measure(lab: Lab) -> Result:
    """Measure with IDLE and without."""
    result, rows = Result("delivery"), []
    made = await asyncio.gather(*(several(lab, how) for how in DELAYS))
    for how, late in zip(DELAYS, made, strict=True):
        result.data[how] = late
        rows.append([how, str(len(late)), *(milliseconds(value) for value in (min(late), max(late)))])
    with_idle, without = made
    result.limit("error of a delivery's time, with IDLE", max(map(abs, with_idle)) * 1e3, "ms", 50)
    polls = max(map(abs, without)) / (POLL + LOOK)
    result.limit("error of a delivery's time, without IDLE, in looks", polls, "", 1)
    head = ["the server", "messages", "late by at least, ms", "late by at most, ms"]
    result.tables.append(
        Table(
            "Delivery",
            head,
            rows,
            f"Without IDLE there is a look every {POLL:g} s; the error is how late the message is seen.",
        )
    )
    return result
