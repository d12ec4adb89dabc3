"""A cheap HTTP/1.1 client, so that its own cost does not disturb the measurement."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Self

PROMETHEUS: Mapping[str, str] = {
    "User-Agent": "Prometheus/2.42.0",
    "Accept": "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
    "Accept-Encoding": "gzip",
    "X-Prometheus-Scrape-Timeout-Seconds": "5",
}
"""The headers of a scrape by Debian's Prometheus."""


class Answer(NamedTuple):
    """A response; `body` is still encoded."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        """The body, decoded."""
        return (gzip.decompress(self.body) if self.headers.get("content-encoding") == "gzip" else self.body).decode()


Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass
class Client:
    """A client of one host, with persistent connections like Prometheus'."""

    host: str
    port: int
    _idle: list[Connection] = field(default_factory=list)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for idle in self._idle:
            idle[1].close()

    async def get(self, path: str, headers: Mapping[str, str] = PROMETHEUS) -> Answer:
        """GET one page."""
        while self._idle:
            idle = self._idle.pop()
            try:
                return await self._ask(idle, path, headers)
            except (asyncio.IncompleteReadError, ConnectionError):
                idle[1].close()  # the server closed it; Go's client tries again, too
        return await self._ask(await asyncio.open_connection(self.host, self.port), path, headers)

    async def _ask(self, connection: Connection, path: str, headers: Mapping[str, str]) -> Answer:
        reader, writer = connection
        lines = [f"GET {path} HTTP/1.1", f"Host: {self.host}:{self.port}", *(f"{k}: {v}" for k, v in headers.items())]
        writer.write("\r\n".join([*lines, "", ""]).encode())
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        answered = {
            name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)
        }
        if answered.get("transfer-encoding") == "chunked":
            body = await _read_chunks(reader)
        else:
            body = await reader.readexactly(int(answered["content-length"]))
        self._idle.append(connection)
        return Answer(int(head[0].split()[1]), answered, body)


async def _read_chunks(reader: asyncio.StreamReader) -> bytes:
    chunks = []
    while size := int(await reader.readuntil(b"\r\n"), 16):
        chunks.append(await reader.readexactly(size))
        await reader.readexactly(2)
    await reader.readexactly(2)
    return b"".join(chunks)
