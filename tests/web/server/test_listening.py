"""Listening sockets: of addresses, and of systemd."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from exporter.web.server import listening
from exporter.web.server.listening import RECEIVE_BUFFER, SEND_BUFFER, ListenError, listen, passed_on
from tests.waiting import PATIENCE


def close(sockets: list[socket.socket]) -> None:
    """Close all of them."""
    for bound in sockets:
        bound.close()


def test_without_a_host_every_interface_is_listened_on() -> None:
    """Both families, by one socket."""
    (bound,) = listen([":0"])
    port = bound.getsockname()[1]
    for host in ("127.0.0.1", "::1"):
        with socket.create_connection((host, port), timeout=PATIENCE):
            pass
    close([bound])


@pytest.mark.parametrize("address", ["*:0", "[::]:0", "[0::0]:0", "[0:0:0:0:0:0:0:0]:0"])
def test_every_name_of_every_interface_is_both_families(address: str) -> None:
    """As other exporters have it, whatever net.ipv6.bindv6only says."""
    (bound,) = listen([address])
    port = bound.getsockname()[1]
    for host in ("127.0.0.1", "::1"):
        with socket.create_connection((host, port), timeout=PATIENCE):
            pass
    close([bound])


@pytest.mark.parametrize("families", [("0.0.0.0", "[::]"), ("*", "0.0.0.0"), ("[::]", "0.0.0.0"), ("0.0.0.0", "")])
def test_each_family_may_have_a_socket_of_its_own(families: tuple[str, str]) -> None:
    """Where the addresses of both are named."""
    (free,) = listen(["127.0.0.1:0"])
    port = free.getsockname()[1]
    free.close()
    bound = listen([f"{host}:{port}" for host in families])
    assert {one.family for one in bound} == {socket.AF_INET, socket.AF_INET6}
    for host in ("127.0.0.1", "::1"):
        with socket.create_connection((host, port), timeout=PATIENCE):
            pass
    close(bound)


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
    with socket.create_connection(bound.getsockname(), timeout=PATIENCE) as client:
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


OURS = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1"}


@pytest.fixture
def passed(monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """A listening socket, whose descriptor systemd would have passed on."""
    with socket.create_server(("127.0.0.1", 0)) as bound:
        duplicate = os.dup(bound.fileno())
        monkeypatch.setattr(listening, "FIRST_PASSED", duplicate)
        yield bound


def test_a_socket_of_systemd(passed: socket.socket) -> None:
    """It has the options that those of addresses have."""
    (adopted,) = passed_on(OURS)
    assert adopted.getsockname() == passed.getsockname()
    assert adopted.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) == 2 * RECEIVE_BUFFER
    assert not adopted.get_inheritable()
    adopted.close()


def test_a_unix_socket_of_systemd(monkeypatch: pytest.MonkeyPatch) -> None:
    """It has no options of TCP."""
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind("\0gmail-exporter-test")
        bound.listen()
        monkeypatch.setattr(listening, "FIRST_PASSED", os.dup(bound.fileno()))
        (adopted,) = passed_on(OURS)
        assert adopted.family is socket.AF_UNIX
        adopted.close()


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {**OURS, "LISTEN_FDS": "0"},
        {**OURS, "LISTEN_FDS": "x"},
        {**OURS, "LISTEN_FDS": "²"},
        {**OURS, "LISTEN_FDS": "9" * 5000},
        {**OURS, "LISTEN_PID": "1"},
        {"LISTEN_FDS": "1"},
    ],
)
def test_no_socket_of_systemd_is_one_clear_line(environ: dict[str, str]) -> None:
    """Also where those in the environment are for another process."""
    with pytest.raises(ListenError, match="no socket was passed on by systemd: start the .socket unit"):
        passed_on(environ)


def test_another_descriptor_of_systemd_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file, one that is closed, a datagram socket, and a connection."""
    with Path(os.devnull).open() as file, socket.socket(type=socket.SOCK_DGRAM) as datagrams, socket.socket() as unused:
        for number, message in (
            (os.dup(file.fileno()), "is no socket: Socket operation on non-socket"),
            (1_000_000, "is no socket: Bad file descriptor"),
            (os.dup(datagrams.fileno()), "does not accept connections: ListenStream= is needed"),
            (os.dup(unused.fileno()), "does not accept connections: ListenStream= is needed"),
        ):
            monkeypatch.setattr(listening, "FIRST_PASSED", number)
            with pytest.raises(ListenError, match=message):
                passed_on(OURS)
