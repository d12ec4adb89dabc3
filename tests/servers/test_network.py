"""The network of tests: it is what the tests of outages take it for."""

from __future__ import annotations

import errno
import socket
from contextlib import closing

import pytest

from tests.servers.network import RESOLVER, SERVER, Network
from tests.servers.process import ServerError

PORT = 993


def connect(network: Network, version: int = 4, port: int = PORT) -> int:
    """Connect from the client to the server; the error, or 0."""
    family = socket.AF_INET if version == 4 else socket.AF_INET6
    with network.make_socket("client", family) as client:
        client.settimeout(1.3)  # a request is sent again after a second
        try:
            client.connect((SERVER[version], port))
        except TimeoutError:
            return errno.ETIMEDOUT
        except OSError as error:
            return error.errno or -1
    return 0


@pytest.mark.parametrize("version", [4, 6])
def test_outages(network: Network, version: int) -> None:
    """It connects; a port that is dropped, rejected or sent elsewhere, a line that is cut; and it is healthy again."""
    with closing(network.bind("server", SERVER[version], PORT)) as listening:
        listening.listen()
        assert connect(network, version) == 0
        assert connect(network, version, 25) == errno.ECONNREFUSED
        network.filter("r2", f"tcp dport {PORT} drop")
        assert connect(network, version) == errno.ETIMEDOUT
        assert connect(network, version, 25) == errno.ECONNREFUSED
        network.heal()
        network.filter("r2", f"tcp dport {PORT} reject")
        assert connect(network, version) == errno.ECONNREFUSED
        network.heal()
        network.cut_uplink()
        assert connect(network, version) in (errno.ENETUNREACH, errno.EHOSTUNREACH)
        network.heal()
        assert connect(network, version) == 0
        network.redirect("r2", f"tcp dport 25 redirect to :{PORT}")
        assert connect(network, version, 25) == errno.ECONNREFUSED
        with closing(network.make_socket("r2", socket.AF_INET6)) as proxy:
            proxy.bind(("::", PORT))
            proxy.listen()
            assert connect(network, version, 25) == 0


def test_apart(network: Network) -> None:
    """From inside, nothing of this machine is reached; the resolver is the network's own."""
    with socket.create_server(("127.0.0.1", 0)) as outside, network.make_socket("client", socket.AF_INET) as inside:
        inside.settimeout(0.2)
        assert inside.connect_ex(outside.getsockname()) == errno.ECONNREFUSED
    assert f"nameserver {RESOLVER}\n" in network.run("client", "cat", "/etc/resolv.conf")


def test_command_that_fails(network: Network) -> None:
    """It says which, where and why."""
    with pytest.raises(ServerError, match=r"^ls /nowhere at r2 ended with 2: .*No such file"):
        network.run("r2", "ls", "/nowhere")
