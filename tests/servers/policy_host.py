"""The policy host of a domain: HTTPS on loopback, with an answer that a test decides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.servers.scripted import Session

ENFORCE = b"version: STSv1\nmode: enforce\nmx: mx1.example.com\nmx: *.example.com\nmax_age: 86400\n"


def policy(mode: str, *patterns: str, max_age: int = 86400) -> bytes:
    """The text of a policy."""
    lines = ["version: STSv1", f"mode: {mode}", *(f"mx: {pattern}" for pattern in patterns), f"max_age: {max_age}"]
    return "".join(f"{line}\r\n" for line in lines).encode()


@dataclass
class PolicyHost:
    """What answers at `/.well-known/mta-sts.txt`; a behaviour of a scripted server with TLS."""

    body: bytes = ENFORCE
    status: bytes = b"200 OK"
    content_type: bytes = b"text/plain"
    is_silent: bool = False
    requests: list[bytes] = field(default_factory=list)

    async def __call__(self, session: Session) -> None:
        """Answer one request."""
        await self.answer(session, await _read_head(session))

    async def answer(self, session: Session, lines: list[bytes]) -> None:
        """Answer a request that was read."""
        self.requests += lines[:1]
        if self.is_silent:
            await session.wait_closed()
            return
        head = b"HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %d\r\nLocation: https://www.example.com/\r\n\r\n"
        await session.write(head % (self.status, self.content_type, len(self.body)) + self.body)


@dataclass
class PolicyHosts:
    """The policy hosts of several domains at one address, by their names."""

    hosts: Mapping[str, PolicyHost]

    async def __call__(self, session: Session) -> None:
        """Answer one request as the host that it names."""
        lines = await _read_head(session)
        named = {name.lower(): value for name, _, value in (line.partition(b": ") for line in lines)}
        await self.hosts[named[b"host"].decode().partition(":")[0]].answer(session, lines)


async def _read_head(session: Session) -> list[bytes]:
    lines = []
    while line := (await session.read_line()).strip():
        lines.append(line)
    return lines
