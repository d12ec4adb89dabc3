"""The scripted server tells what its clients do, and ends whatever they do; on real sockets."""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from typing import TYPE_CHECKING

import pytest

from tests.servers import acts
from tests.servers.client import Client
from tests.servers.process import is_listening, loopback_addresses
from tests.servers.scripted import LINGER_SECONDS, ScriptedServer, Session
from tests.waiting import PATIENCE

if TYPE_CHECKING:
    from tests.conftest import StartScripted
    from tests.servers.authority import Authority


@pytest.mark.parametrize("notify", [True, False])
@pytest.mark.parametrize("maximum", ["TLSv1_2", "TLSv1_3"])
async def test_close_by_client(scripted: StartScripted, authority: Authority, notify: bool, maximum: str) -> None:
    """A client that closes with close_notify is told from one that does not, and what it sent is kept."""
    server = await scripted(acts.silence, security="tls")
    context = ssl.create_default_context(cafile=str(authority.ca_file))
    context.maximum_version = ssl.TLSVersion[maximum]

    def talk() -> None:
        client = Client(server.port, context)
        client.say(b"hello")
        client.close(notify=notify)

    await asyncio.to_thread(talk)
    await server.wait_idle()
    assert (server.close_notify, server.received, server.connections) == ([notify], [b"hello"], 1)
    assert server.sessions[0].tls_version == maximum.replace("_", ".")


async def test_close_notify_before_reset(scripted: StartScripted, authority: Authority) -> None:
    """A close_notify counts even where a reset follows it."""
    server = await scripted(acts.silence, security="tls")

    def talk() -> None:
        client = Client(server.port, authority.client_context)
        client.say(b"hello")
        client.reset(notify=True)

    await asyncio.to_thread(talk)
    await server.wait_idle()
    assert (server.close_notify, server.received) == ([True], [b"hello"])


async def test_plain_connections(scripted: StartScripted) -> None:
    """What each connection sent is kept apart; without TLS there is no close_notify."""
    server = await scripted(acts.silence)
    for count, data in enumerate((b"one", b"two"), 1):
        client = await asyncio.to_thread(Client, server.port)
        client.say(data)
        client.close()
        await server.wait_idle(count)
    assert (server.received, server.close_notify) == ([b"one", b"two"], [False, False])


@pytest.mark.parametrize("security", ["none", "tls"])
async def test_close_by_server(scripted: StartScripted, authority: Authority, security: str) -> None:
    """When a behaviour returns, the client sees a proper end: close_notify where there is TLS."""
    server = await scripted(acts.say(b"bye"), security="tls" if security == "tls" else "none")
    context = authority.client_context if security == "tls" else None

    def talk() -> bytes:
        client = Client(server.port, context)
        heard = client.hear_all()
        client.close(notify=security == "tls")
        return heard

    assert await asyncio.to_thread(talk) == b"bye"
    await server.wait_idle()
    assert server.close_notify == [security == "tls"]


async def test_refused_certificate(scripted: StartScripted, authority: Authority) -> None:
    """A client that refuses the certificate is no error of the server's."""
    server = await scripted(acts.silence, security="tls", context=authority.expired.context)
    with pytest.raises(ssl.SSLCertVerificationError):
        await asyncio.to_thread(Client, server.port, authority.client_context)
    await server.wait_idle()
    assert server.received == [b""]


async def test_ipv6(scripted: StartScripted) -> None:
    """On request it listens on both families, on one port."""
    server = await scripted(acts.close, ipv6=True)
    for address in loopback_addresses():
        assert await asyncio.to_thread(is_listening, server.port, address)


async def test_behaviour_fails() -> None:
    """A mistake in a behaviour is not lost: it is raised at the end."""

    async def mistaken(_session: Session) -> None:
        raise ZeroDivisionError

    async def serve() -> None:
        async with ScriptedServer(mistaken) as server:
            client = await asyncio.to_thread(Client, server.port)
            client.close()
            await server.wait_idle()

    with pytest.raises(ZeroDivisionError):
        await serve()


async def test_ends_in_time() -> None:
    """It ends at once with 500 clients hanging, and leaves no socket and no task behind."""
    before = len(asyncio.all_tasks())
    async with ScriptedServer(acts.silence) as server:
        clients = [socket.socket() for _ in range(500)]
        loop = asyncio.get_running_loop()
        for client in clients:
            client.setblocking(False)
        await asyncio.gather(*(loop.sock_connect(client, ("127.0.0.1", server.port)) for client in clients))
        async with asyncio.timeout(PATIENCE):
            while server.connections < 500:
                await asyncio.sleep(0.01)
        started = time.monotonic()
    assert time.monotonic() - started < LINGER_SECONDS
    assert len(asyncio.all_tasks()) == before
    assert not await asyncio.to_thread(is_listening, server.port)
    for client in clients:
        client.close()
