"""Handshakes that never begin, arrive in pieces, or arrive too early, on both event loops."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
import ssl
import struct
from collections.abc import Callable
from typing import TypeVar

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from starlette.types import Receive, Scope, Send

from exporter.web.server import acceptor
from tests.servers import der
from tests.servers.authority import Authority
from tests.waiting import PATIENCE, until
from tests.web.conftest import GET, Client, Connect, Serve, WebFile, hello

T = TypeVar("T")


async def test_a_handshake_that_never_begins_ends_in_time(
    connect: Connect, serve: Serve, web_file: WebFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until then it counts as a connection."""
    monkeypatch.setattr(acceptor, "HANDSHAKE_SECONDS", 0.2)
    served = await serve(settings=web_file.settings(web_file.tls()))
    client = await connect(served)
    await until(lambda: len(served.server.shared.connections) == 1)
    assert await client.read_all() == b""
    await until(lambda: len(served.server.shared.connections) == 0)


async def test_an_idle_handshake_is_closed_for_a_new_connection(
    connect: Connect, serve: Serve, web_file: WebFile, authority: Authority
) -> None:
    """As an idle request is; and a server that stops waits for none."""
    served = await serve(settings=web_file.settings(web_file.tls()))
    served.server.shared.connections.limit = 3
    silent = [await connect(served) for _ in range(3)]
    await until(lambda: len(served.server.shared.connections) == 3)
    context = ssl.create_default_context(cafile=str(authority.ca_file))
    async with httpx.AsyncClient(verify=context, timeout=PATIENCE) as client:
        assert (await client.get(f"https://localhost:{served.port}/")).text == "hello"
    assert await silent[0].read_all() == b""
    await until(lambda: len(served.server.shared.connections) <= 3)
    await served.server.stop()
    for one in silent[1:]:
        assert await one.read_all() == b""


async def test_a_client_that_leaves_in_the_handshake_leaves_nothing(
    connect: Connect, serve: Serve, web_file: WebFile
) -> None:
    """Before its first octet, after it, and after octets that are no TLS."""
    served = await serve(settings=web_file.settings(web_file.tls()))
    for data in (b"", b"\x16", b"\x16\x03\x01\x02\x00", GET):
        client = await connect(served)
        client.send(data)
        await client.writer.drain()
        client.writer.close()
    await until(lambda: not served.server.shared.connections and not served.server._handshakes)


@pytest.mark.parametrize("odd", ["dns_name_not_text", "bit_string_as_name", "extension_twice", "version_4"])
async def test_an_odd_client_certificate_leaves_nothing(
    serve: Serve, web_file: WebFile, authority: Authority, odd: str
) -> None:
    """It is accepted, or its connection is closed: Python's ssl module cannot read all that OpenSSL trusts."""
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = der.issue(web_file.directory, key, der.certificate(key, **der.ODD[odd]))
    lines = ("client_auth_type: VerifyClientCertIfGiven", "client_ca_file: odd.pem")
    served = await serve(settings=web_file.settings(web_file.tls(*lines)))
    unhandled: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: unhandled.append(context["message"]))
    context = ssl.create_default_context(cafile=str(authority.ca_file))
    context.load_cert_chain(certificate.chain_file, certificate.key_file)
    async with httpx.AsyncClient(verify=context, timeout=PATIENCE) as client:
        with contextlib.suppress(httpx.TransportError):
            assert (await client.get(f"https://localhost:{served.port}/")).text == "hello"
    await until(lambda: not served.server.shared.connections and not served.server._handshakes)
    gc.collect()
    assert set(unhandled) <= {"SSL handshake failed"}  # asyncio's own loop says so; no task has failed


class TlsClient:
    """A TLS client whose octets the test sends and receives."""

    def __init__(self, authority: Authority) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = authority.client_context.wrap_bio(self._incoming, self._outgoing, server_hostname="localhost")

    def hello(self) -> bytes:
        """The first octets."""
        with pytest.raises(ssl.SSLWantReadError):
            self.tls.do_handshake()
        return self._outgoing.read()

    async def talk(self, client: Client, size: int = 65536) -> None:
        """Finish the handshake and ask, in pieces of a size, until the answer has come."""

        async def exchange() -> None:
            data = self._outgoing.read()
            for start in range(0, len(data), size):
                client.send(data[start : start + size])
                await client.writer.drain()
                await asyncio.sleep(0)
            received = await asyncio.wait_for(client.reader.read(65536), PATIENCE)
            assert received
            self._incoming.write(received)

        async def done(step: Callable[[], T]) -> T:
            while True:
                try:
                    return step()
                except ssl.SSLWantReadError:
                    await exchange()

        await done(self.tls.do_handshake)
        self.tls.write(GET)
        answer = b""
        while b"hello" not in answer:
            answer += await done(self.tls.read)


@pytest.mark.parametrize("size", [1, 100, 100_000])
async def test_a_handshake_in_pieces_is_made(
    connect: Connect, serve: Serve, web_file: WebFile, authority: Authority, size: int
) -> None:
    """However small they are, and with the request behind its last octet."""
    client = await connect(await serve(settings=web_file.settings(web_file.tls())))
    await TlsClient(authority).talk(client, size)


async def test_a_handshake_that_is_there_already_is_made(serve: Serve, web_file: WebFile, authority: Authority) -> None:
    """Its first octets arrive before the connection is accepted: from another process they often do."""
    served = await serve(settings=web_file.settings(web_file.tls()))
    for _ in range(5):
        tls = TlsClient(authority)
        early = socket.create_connection(("127.0.0.1", served.port), 5)
        early.sendall(tls.hello())
        client = Client(*await asyncio.open_connection(sock=early))
        await tls.talk(client)
        client.writer.close()
        await client.writer.wait_closed()


async def test_a_client_that_has_gone_already_leaves_nothing(serve: Serve, web_file: WebFile) -> None:
    """With a reset, before the connection is accepted, with data or without."""
    served = await serve(settings=web_file.settings(web_file.tls()))
    for data in (b"", b"\x16\x03\x01"):
        for _ in range(5):
            early = socket.create_connection(("127.0.0.1", served.port), 5)
            early.sendall(data)
            early.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            early.close()
            await asyncio.sleep(0.01)
    await until(lambda: not served.server.shared.connections and not served.server._handshakes)


async def test_no_handshake_begins_where_all_connections_are_being_served(
    connect: Connect, serve: Serve, web_file: WebFile, authority: Authority
) -> None:
    """The connection ends at once."""
    gate, asked = asyncio.Event(), asyncio.Event()

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        asked.set()
        await gate.wait()
        await hello(scope, receive, send)

    served = await serve(slow, web_file.settings(web_file.tls()))
    served.server.shared.connections.limit = 1
    talking = asyncio.create_task(TlsClient(authority).talk(await connect(served)))
    await asked.wait()
    assert await (await connect(served)).read_all() == b""
    gate.set()
    await talking


@pytest.mark.parametrize(
    "request_", [GET, b"P", b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n" + b"x" * 100_000]
)
async def test_plain_text_is_answered_in_plain_text(
    connect: Connect, serve: Serve, web_file: WebFile, request_: bytes
) -> None:
    """As Go's servers do, and browsers show it; the connection is closed."""
    served = await serve(settings=web_file.settings(web_file.tls()))
    client = await connect(served)
    client.send(request_)
    received = await client.read_all()
    assert received.startswith(b"HTTP/1.1 400 ")
    assert received.endswith(b"\r\n\r\nClient sent an HTTP request to an HTTPS server.\n")
    client.writer.close()
    await until(lambda: not served.server.shared.connections and not served.server._handshakes)
