"""The policy host of a domain: HTTPS on loopback, with an answer that a test decides."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.servers.scripted import Session

ENFORCE = b"version: STSv1\nmode: enforce\nmx: mx1.example.com\nmx: *.example.com\nmax_age: 86400\n"


@dataclass
class PolicyHost:
    """What answers at `/.well-known/mta-sts.txt`; a behaviour of a scripted server with TLS."""

    body: bytes = ENFORCE
    status: bytes = b"200 OK"
    content_type: bytes = b"text/plain"
    requests: list[bytes] = field(default_factory=list)

    async def __call__(self, session: Session) -> None:
        """Answer one request."""
        lines = []
        while line := (await session.read_line()).strip():
            lines.append(line)
        self.requests += lines[:1]
        head = b"HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %d\r\nLocation: https://www.example.com/\r\n\r\n"
        await session.write(head % (self.status, self.content_type, len(self.body)) + self.body)
