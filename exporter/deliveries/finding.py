"""One session of IMAP in which the recipient waits for the message, and clears it away."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count

from exporter.deliveries.message import SUBJECT
from exporter.model.settings import Role
from exporter.probing import imap_messages
from exporter.probing.dialogue import CannotClear, Work
from exporter.probing.session import Session

POLL = 5.0
"""Seconds between two looks. Meanwhile the server tells of the inbox where it offers IDLE, of spam it never does."""

PATIENCE = 30.0
"""Seconds for the answer to a command."""

IsOurs = Callable[[bytes], bool]
"""Whether a message is one that is looked for, by its header."""


@dataclass(frozen=True, slots=True)
class Found:
    """A message that was found: in which folder, its header, and when, in seconds of `time.perf_counter`."""

    folder: Role
    header: bytes
    at: float


@dataclass(slots=True)
class Mailbox:
    """The folders of a mailbox in a session."""

    session: Session
    capabilities: frozenset[bytes]
    folders: Mapping[Role, bytes]
    tags: Iterator[bytes] = field(default_factory=lambda: (b"d%d" % number for number in count(1)))

    @classmethod
    async def open(cls, session: Session, *wanted: Role) -> Mailbox:
        """Find out what the server offers, and the names of the wanted folders."""
        mailbox = cls(session, session.capabilities, {})
        if not mailbox.capabilities:
            mailbox.capabilities = await session.do(imap_messages.capability(next(mailbox.tags)), PATIENCE)
        listing = imap_messages.list_folders(mailbox.tags, mailbox.capabilities, wanted)
        mailbox.folders = await session.do(listing, PATIENCE)
        return mailbox

    async def wait_for(self, message_id: str, is_it: IsOurs, until: float) -> Found | None:
        """Look for a message in spam and in the inbox until it is there, or until a time of `time.perf_counter`."""
        told_at: float | None = None
        while True:
            for role in (Role.SPAM, Role.INBOX):  # the inbox is then the one that is open, and IDLE tells of it
                if role in self.folders:
                    looking = imap_messages.look_for(self.tags, self.folders[role], message_id, is_it)
                    if found := await self.session.do(looking, PATIENCE):
                        header, at = found
                        return Found(role, header, told_at if told_at is not None and role is Role.INBOX else at)
            left = until - time.perf_counter()
            if left <= 0:
                return None
            told_at = await self._pause(left)

    async def _pause(self, left: float) -> float | None:
        """Wait for something new; return when the server has told of it, None where it does not tell."""
        seconds = min(left, POLL)
        if b"IDLE" in self.capabilities:
            return await self.session.do(imap_messages.idle(next(self.tags), seconds), seconds + PATIENCE)
        await asyncio.sleep(seconds)
        await self.session.do(imap_messages.noop(next(self.tags)), PATIENCE)
        return None

    async def count(self, role: Role, is_ours: IsOurs) -> int:
        """Return how many of our messages there are in a folder; none where it is not visible."""
        if role not in self.folders:
            return 0
        return await self.session.do(imap_messages.survey(self.tags, self.folders[role], SUBJECT, is_ours), PATIENCE)

    async def clear(self, role: Role, is_ours: IsOurs) -> int:
        """Move our messages from a folder to the trash, and return how many there were.

        Raises:
            WorkFailed: they could not be moved.
        """
        if role not in self.folders:
            return 0
        return await self.session.do(self._clearing(self.folders[role], is_ours), PATIENCE)

    def _clearing(self, folder: bytes, is_ours: IsOurs) -> Work[int]:
        if Role.TRASH not in self.folders:
            raise CannotClear("no folder is shown that is marked as \\Trash (RFC 6154)")
        names = folder, self.folders[Role.TRASH]
        return (yield from imap_messages.clear(self.tags, self.capabilities, names, SUBJECT, is_ours))
