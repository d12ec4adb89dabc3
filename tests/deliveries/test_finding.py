"""The time at which a message is found, against a delay that the server knows."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest

from exporter.deliveries import finding
from exporter.deliveries.finding import Mailbox
from exporter.model.outcome import Target
from exporter.model.settings import Endpoint, IpFamily, Protocol, Role, Security
from exporter.probing.addresses import Known
from exporter.probing.dialogue import Credential
from exporter.probing.resolve import Resolver
from exporter.probing.search import Secrets
from exporter.probing.session import open_session
from tests.conftest import StartScripted
from tests.servers.dialogues import Imap
from tests.servers.scripted import Session
from tests.waiting import PATIENCE

HEADER = b"Message-ID: <ours@example.com>\r\n\r\n"


@dataclass
class Delivery:
    """When the message comes, and when it did."""

    delay: float
    folder: bytes = b'"INBOX"'
    at: float = 0.0
    lines: list[bytes] = field(default_factory=list)

    def begin(self) -> None:
        """Let it come after the delay."""
        self.at = time.perf_counter() + self.delay

    @property
    def is_there(self) -> bool:
        """Whether it has come."""
        return time.perf_counter() >= self.at


@dataclass(frozen=True, kw_only=True)
class Waiting(Imap):
    """A server to which a message comes in the middle of a session."""

    delivery: Delivery

    async def _answer(self, session: Session, words: list[bytes]) -> bool:
        tag, command = words[0], words[1].upper()
        self.delivery.lines.append(b" ".join(words[1:]))
        if command == b"EXAMINE":
            self.delivery.lines[-1] = b"EXAMINE " + words[2]
            await session.write(tag + b" OK [READ-ONLY] done\r\n")
        elif command == b"UID" and words[2].upper() == b"SEARCH":
            opened = next(line for line in reversed(self.delivery.lines) if line.startswith(b"EXAMINE"))
            found = b" 7" if self.delivery.is_there and opened.endswith(self.delivery.folder) else b""
            await session.write(b"* SEARCH" + found + b"\r\n" + tag + b" OK done\r\n")
        elif command == b"UID":
            head = b"* 1 FETCH (UID 7 BODY[HEADER.FIELDS (MESSAGE-ID)]<0> {%d}\r\n" % len(HEADER)
            await session.write(head + HEADER + b")\r\n" + tag + b" OK done\r\n")
        elif command == b"IDLE":
            await session.write(b"+ idling\r\n")
            telling = asyncio.create_task(self._tell(session))
            await session.read_line()
            telling.cancel()
            await session.write(tag + b" OK IDLE terminated (Success)\r\n")
        else:
            return await super()._answer(session, words)
        return True

    async def _tell(self, session: Session) -> None:
        await asyncio.sleep(max(0.0, self.delivery.at - time.perf_counter()))
        if self.delivery.folder == b'"INBOX"':
            self.delivery.at = time.perf_counter()
            await session.write(b"* 1 EXISTS\r\n")


@pytest.fixture
async def resolver() -> AsyncIterator[Resolver]:
    """A resolver for one test."""
    resolver = Resolver()
    yield resolver
    await resolver.close()


async def find(
    scripted: StartScripted, resolver: Resolver, delivery: Delivery, *, idles: bool, patience: float = PATIENCE
) -> finding.Found | None:
    """Wait for a message, at a server with IDLE or without."""
    capabilities = b"IMAP4rev1 AUTH=PLAIN" + (b" IDLE" if idles else b"")
    server = await scripted(Waiting(delivery=delivery, capabilities=capabilities), security="none")
    endpoint = Endpoint(name="i", protocol=Protocol.IMAP, host="127.0.0.1", port=server.port, security=Security.NONE)
    login = Credential("probe@example.com", "secret-password")
    target = Target(endpoint, IpFamily.IPV4)
    async with open_session(target, resolver, login, Known(), Secrets(["secret-password"])) as session:
        mailbox = await Mailbox.open(session, Role.INBOX, Role.SPAM, Role.TRASH)
        delivery.begin()
        until = time.perf_counter() + patience
        return await mailbox.wait_for("<ours@example.com>", lambda header: header == HEADER, until)


async def test_with_idle(scripted: StartScripted, resolver: Resolver) -> None:
    """The time is that at which the server tells of the message, within 50 ms."""
    found = await find(scripted, resolver, delivery := Delivery(0.4), idles=True)
    assert found is not None
    assert found.folder is Role.INBOX
    assert found.at - delivery.at == pytest.approx(0, abs=0.05)


async def test_without_idle(scripted: StartScripted, resolver: Resolver, monkeypatch: pytest.MonkeyPatch) -> None:
    """The time is that of the first look that finds it: late by one poll at most, with a NOOP before each."""
    monkeypatch.setattr(finding, "POLL", 0.3)
    found = await find(scripted, resolver, delivery := Delivery(0.4), idles=False)
    assert found is not None
    assert 0 <= found.at - delivery.at < 0.3 + 5
    assert b"NOOP" in delivery.lines


async def test_spam_while_it_idles(
    scripted: StartScripted, resolver: Resolver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """IDLE tells nothing of another folder: there is a look into spam between two of them."""
    monkeypatch.setattr(finding, "POLL", 0.3)
    found = await find(scripted, resolver, Delivery(0.4, b'"[Gmail]/Spam"'), idles=True)
    assert found is not None
    assert found.folder is Role.SPAM


async def test_it_does_not_come(scripted: StartScripted, resolver: Resolver) -> None:
    """After the time is over, nothing was found."""
    began = time.perf_counter()
    assert await find(scripted, resolver, Delivery(60.0), idles=True, patience=0.5) is None
    assert 0.5 <= time.perf_counter() - began < 30
