"""Answers of HTTP for the scripted server: each request gets exactly the octets that a test says."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.servers.scripted import Session


def reply(status: int, body: bytes = b"", headers: Mapping[str, str] | None = None) -> bytes:
    """Return a whole answer, with the length of its body unless `headers` says it."""
    said = {"Content-Length": str(len(body)), **(headers or {})}
    head = f"HTTP/1.1 {status} Said\r\n" + "".join(f"{name}: {value}\r\n" for name, value in said.items())
    return head.encode("latin-1") + b"\r\n" + body


class Pages:
    """Answers the first request of each connection; `answer` may be changed at any time.

    With `pause`, it waits so many seconds before each octet of the answer.
    """

    def __init__(self, answer: bytes) -> None:
        self.answer = answer
        self.pause = 0.0
        self.requests: list[bytes] = []

    async def __call__(self, session: Session) -> None:
        lines = []
        while (line := await session.read_line()).strip():
            lines.append(line)
        if not lines:
            return
        self.requests.append(b"".join(lines))
        if not self.pause:
            await session.write(self.answer)
            return
        for octet in self.answer:
            await asyncio.sleep(self.pause)
            await session.write(bytes([octet]))

    def sent(self, name: str) -> str | None:
        """Return a header of the last request; None where it has none."""
        for line in self.requests[-1].decode().splitlines()[1:]:
            key, _, value = line.partition(":")
            if key.lower() == name.lower():
                return value.strip()
        return None
