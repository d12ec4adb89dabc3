"""Clients that misbehave, each from an address of its own, in a process of their own. It ends with its input."""

from __future__ import annotations

import asyncio
import base64
import os
import random
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

CLIENTS = 200

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def address(number: int) -> str:
    """Return the address of a client."""
    return f"127.3.{number // 250}.{number % 250 + 1}"


def get(path: str, user: str, password: str) -> bytes:
    """Return a request."""
    code = base64.b64encode(f"{user}:{password}".encode()).decode()
    return f"GET {path} HTTP/1.1\r\nHost: exporter\r\nAuthorization: Basic {code}\r\n\r\n".encode()


async def read_slowly(connection: Connection, user: str, password: str) -> None:
    """Ask for the metrics, and read an octet a second."""
    reader, writer = connection
    writer.write(get("/metrics", user, password))
    while await reader.read(1):
        await asyncio.sleep(1)


async def ask_by_halves(connection: Connection, user: str, password: str) -> None:
    """Send the beginning of a request, and wait."""
    reader, writer = connection
    request = get("/", user, password)
    writer.write(request[: random.randrange(1, len(request) - 1)])
    await reader.read(1)


async def send_garbage(connection: Connection, _user: str, _password: str) -> None:
    """Send octets that are no request."""
    reader, writer = connection
    writer.write(os.urandom(random.randrange(1, 40_000)))
    await reader.read()


async def guess(connection: Connection, user: str, _password: str) -> None:
    """Try one wrong password after the other."""
    reader, writer = connection
    while True:
        writer.write(get("/", user, os.urandom(8).hex()))
        await reader.readuntil(b"\r\n\r\n")
        await reader.read(4096)
        await asyncio.sleep(0.5)


KINDS: Sequence[Callable[[Connection, str, str], Awaitable[None]]] = (read_slowly, ask_by_halves, send_garbage, guess)


async def misbehave(number: int, port: int, user: str, password: str) -> None:
    """Be the client with this number, for ever."""
    kind = KINDS[number % len(KINDS)]
    while True:
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            connection = await asyncio.open_connection("127.0.0.1", port, local_addr=(address(number), 0))
            try:
                await kind(connection, user, password)
            finally:
                connection[1].transport.abort()
        await asyncio.sleep(0.5)


async def run(port: int, user: str, password: str, how_many: int) -> None:
    """Run all clients until the input ends."""
    clients = [asyncio.create_task(misbehave(number, port, user, password)) for number in range(how_many)]
    await asyncio.to_thread(sys.stdin.read)
    for client in clients:
        client.cancel()
    await asyncio.gather(*clients, return_exceptions=True)


def main(arguments: Sequence[str]) -> None:
    """Run the clients at the lowest priority: they stand for other hosts."""
    os.nice(19)
    port, user, password, how_many = arguments
    asyncio.run(run(int(port), user, password, int(how_many)))


if __name__ == "__main__":
    main(sys.argv[1:])
