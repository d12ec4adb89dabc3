"""Run in a network namespace of its own: a probe whose path dies after the greeting. Prints its evidence as JSON."""

from __future__ import annotations

import asyncio
import fcntl
import json
import socket
import struct
import sys
from dataclasses import asdict

from exporter.model.outcome import Target
from exporter.model.settings import Endpoint, IpFamily, Protocol, Security
from exporter.probing.probe import probe
from exporter.probing.resolve import Resolver

_SIOCSIFFLAGS, _IFF_UP = 0x8914, 1  # linux/sockios.h, linux/if.h


def set_loopback(*, up: bool) -> None:
    """Set the loopback interface of this namespace up or down."""
    with socket.socket() as control:
        fcntl.ioctl(control, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", _IFF_UP if up else 0))


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(0.05)
    writer.write(b"* OK ready\r\n")
    await writer.drain()
    await asyncio.sleep(0.05)  # the greeting is acknowledged, and the client's command is on its way
    await reader.readline()
    writer.write(b"* CAPABILITY IMAP4rev1 STARTTLS\r\na1 OK done\r\n")
    await writer.drain()
    set_loopback(up=False)  # what the client sends next is lost
    await asyncio.sleep(10)


async def main() -> None:
    """Probe, and print what TCP saw."""
    set_loopback(up=True)
    server = await asyncio.start_server(_serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    endpoint = Endpoint(
        name="imap", protocol=Protocol.IMAP, host="127.0.0.1", port=port, security=Security.STARTTLS, timeout=2.0
    )
    outcome = await probe(Target(endpoint, IpFamily.IPV4), Resolver())
    json.dump(asdict(outcome.observed.tcp) if outcome.observed.tcp else None, sys.stdout)


if __name__ == "__main__":
    asyncio.run(main())
