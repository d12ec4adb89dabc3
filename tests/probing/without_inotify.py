"""Run in a namespace without inotify: probes by name, across the end of a resolver's channel. Prints their results."""

from __future__ import annotations

import asyncio
import ctypes
import errno
import sys

from exporter.model.outcome import Target
from exporter.model.settings import Endpoint, IpFamily, Protocol, Security
from exporter.probing.probe import probe
from exporter.probing.resolve import MAX_AGE, Resolver
from tests.probing.dead_path import set_loopback
from tests.servers.dns import NameServer

ANSWERS = (b"* CAPABILITY IMAP4rev1\r\na1 OK\r\n", b"* BYE\r\nbye OK\r\n")


def inotify_error() -> str:
    """The name of the error with which inotify fails; empty where it does not."""
    c = ctypes.CDLL(None, use_errno=True)
    return "" if c.inotify_init1(0) >= 0 else errno.errorcode[ctypes.get_errno()]


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"* OK ready\r\n")
    for answer in ANSWERS:
        await reader.readline()
        writer.write(answer)
    writer.close()


async def main() -> None:
    """Probe twice, and print what was found."""
    set_loopback(up=True)
    server = await asyncio.start_server(_serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    endpoint = Endpoint(
        name="imap", protocol=Protocol.IMAP, host="imap.example", port=port, security=Security.NONE, timeout=30.0
    )
    found = [inotify_error()]
    async with NameServer({"imap.example": ["127.0.0.1"]}) as names:
        resolver = Resolver([names.address])
        for pause in (0.0, MAX_AGE * 1.1):
            await asyncio.sleep(pause)
            outcome = await probe(Target(endpoint, IpFamily.IPV4), resolver)
            found.append(f"{outcome.reason} in {outcome.phase}")
        await resolver.close()
    sys.stdout.write("; ".join(found) + "\n")


if __name__ == "__main__":
    asyncio.run(main())
