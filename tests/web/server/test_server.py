"""Listening sockets, and the server on them."""

from __future__ import annotations

import asyncio
import contextlib
import socket

import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from exporter.web.server.server import RECEIVE_BUFFER, SEND_BUFFER, ListenError, Server, listen
from tests.waiting import until


def close(sockets: list[socket.socket]) -> None:
    """Close all of them."""
    for bound in sockets:
        bound.close()


def test_without_a_host_every_interface_is_listened_on() -> None:
    """Both families, by one socket."""
    (bound,) = listen([":0"])
    port = bound.getsockname()[1]
    for host in ("127.0.0.1", "::1"):
        with socket.create_connection((host, port), timeout=5):
            pass
    close([bound])


@pytest.mark.parametrize(
    ("address", "family"),
    [("127.0.0.1:0", socket.AF_INET), ("[::1]:0", socket.AF_INET6), ("localhost:0", None)],
)
def test_a_host_is_listened_on_alone(address: str, family: socket.AddressFamily | None) -> None:
    """An address of either family, or a name."""
    (bound,) = listen([address])
    assert family in (None, bound.family)
    close([bound])


@pytest.mark.parametrize(
    "address", ["9993", "localhost", "host:port", "::1:9993", "127.0.0.1:65536", "x:-1", "x:²", f":{'9' * 5000}", ""]
)
def test_a_malformed_address_is_explained(address: str) -> None:
    """The message shows what was given and what is wanted."""
    with pytest.raises(ListenError) as caught:
        listen([address])
    assert str(caught.value) == (
        f'cannot listen on {address}: wanted HOST:PORT or :PORT, such as ":9993" or "[::1]:9993"'
    )


def test_a_port_in_use_is_one_clear_line_and_nothing_stays_bound() -> None:
    """Sockets before the failure are closed."""
    (taken,) = listen(["127.0.0.1:0"])
    port = taken.getsockname()[1]
    (free,) = listen(["127.0.0.1:0"])
    free_port = free.getsockname()[1]
    free.close()
    with pytest.raises(ListenError) as caught:
        listen([f"127.0.0.1:{free_port}", f"127.0.0.1:{port}"])
    assert str(caught.value) == f"cannot listen on 127.0.0.1:{port}: Address already in use"
    close([*listen([f"127.0.0.1:{free_port}"]), taken])


def test_the_kernel_keeps_little_for_a_client() -> None:
    """Neither of what is sent and not read, nor of what is received: every connection has the options of the socket."""
    (bound,) = listen(["127.0.0.1:0"])
    with socket.create_connection(bound.getsockname(), timeout=5) as client:
        accepted, _ = bound.accept()
        # socket(7): the kernel doubles it, for its own needs.
        assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) == 2 * RECEIVE_BUFFER
        accepted.setblocking(False)
        sent = 0
        with contextlib.suppress(BlockingIOError):
            while True:
                sent += accepted.send(bytes(65536))
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT) == SEND_BUFFER
        in_flight = client.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
        assert sent < in_flight + 2 * SEND_BUFFER
        accepted.close()
    close([bound])


def test_an_address_of_another_host_is_one_clear_line() -> None:
    """192.0.2.0/24 is for documentation (RFC 5737): no host has it."""
    with pytest.raises(ListenError, match="cannot listen on 192.0.2.1:9993: "):
        listen(["192.0.2.1:9993"])


def test_a_name_that_does_not_resolve_is_one_clear_line() -> None:
    """With the text of the resolver."""
    with pytest.raises(ListenError, match="cannot listen on nowhere.invalid:9993: "):
        listen(["nowhere.invalid:9993"])


@pytest.mark.parametrize("host", ["a..b", "..", f"{'x' * 64}.example"])
def test_a_name_that_cannot_be_encoded_is_one_clear_line(host: str) -> None:
    """The exceptions of IDNA are no OSError."""
    with pytest.raises(ListenError, match=r"cannot listen on .*:9993: "):
        listen([f"{host}:9993"])


async def test_a_client_that_never_completes_its_request_is_disconnected(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that sends nothing, one that sends single octets, and one that is idle after an answer; others are served."""
    monkeypatch.setattr("exporter.web.server.protocol.REQUEST_SECONDS", 0.5)

    async def hello(_request: object) -> PlainTextResponse:
        return PlainTextResponse("hello")

    server = Server(Starlette(routes=[Route("/", hello)]))
    (listening,) = listen(["127.0.0.1:0"])
    port = listening.getsockname()[1]
    serving = asyncio.create_task(server.serve([listening]))
    await until(lambda: server.started)
    silent, quiet = await asyncio.open_connection("127.0.0.1", port)
    dripping, drip = await asyncio.open_connection("127.0.0.1", port)
    idle, ask = await asyncio.open_connection("127.0.0.1", port)
    ask.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert (await idle.readuntil(b"hello")).startswith(b"HTTP/1.1 200")
    began = asyncio.get_running_loop().time()
    while not (dripping.at_eof() or dripping.exception() or drip.is_closing()):
        drip.write(b"G")
        await asyncio.sleep(0.05)
        assert asyncio.get_running_loop().time() - began < 3
    for reader in (silent, idle):
        with contextlib.suppress(ConnectionResetError):
            assert await asyncio.wait_for(reader.read(), 2) == b""
    async with httpx.AsyncClient() as client:
        assert (await client.get(f"http://127.0.0.1:{port}/")).text == "hello"
    for writer in (quiet, drip, ask):
        writer.close()
    await server.stop()
    await asyncio.wait_for(serving, 5)


async def test_requests_are_served_until_it_is_stopped() -> None:
    """On every socket, and it leaves the signal handlers of the process alone."""

    async def hello(_request: object) -> PlainTextResponse:
        return PlainTextResponse("hello")

    server = Server(Starlette(routes=[Route("/", hello)]))
    sockets = listen(["127.0.0.1:0", "[::1]:0"])
    urls = [f"http://127.0.0.1:{sockets[0].getsockname()[1]}/", f"http://[::1]:{sockets[1].getsockname()[1]}/"]
    serving = asyncio.create_task(server.serve(sockets))
    async with httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(retries=5)) as client:
        for url in urls:
            answer = await client.get(url)
            assert answer.text == "hello"
            assert "server" not in answer.headers
    await server.stop()
    await asyncio.wait_for(serving, 5)
    with pytest.raises(OSError, match="refused|failed"):
        socket.create_connection(("127.0.0.1", int(urls[0].split(":")[2].strip("/"))), timeout=1)
