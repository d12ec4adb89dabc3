"""A network of its own for tests, in which outages are real: a client, three routers in a row, and a server.

    client ── r1 ── r2 ── r3 ── server

Each is a network namespace (network_namespaces(7)), inside a user namespace: that takes no privilege, and nothing in it
reaches this machine's network, or is reached from there. Programs run in it with `argv` in front of them. Sockets
that are made in it work in the test's own process: so servers of the test listen there. The daemon is asked from
outside, where it is given a socket that listens outside.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Literal

from tests.servers import network_namespace
from tests.servers.process import ServerError, find_program

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType
    from typing import Self

Node = Literal["client", "r1", "r2", "r3", "server"]

ROW: tuple[Node, ...] = ("client", "r1", "r2", "r3", "server")

HOPS = {4: ("10.0.1.2", "10.0.2.2", "10.0.3.2"), 6: ("fd00:1::2", "fd00:2::2", "fd00:3::2")}
"""The routers, as they answer the client, by the version of IP."""

SERVER = {4: "10.9.0.1", 6: "fd09::1"}
"""The first address of the server."""

SERVED = (
    "10.9.0.0/24",
    "fd09::/64",
    # As if the internet were there: what a resolver gives of private addresses looks like a lie.
    "142.250.27.0/24",
    "2a00:1450:4025::/64",
    "87.248.103.0/24",
    "8.8.8.8/32",
    "9.9.9.9/32",
)
"""All of its addresses."""

RESOLVER = "10.9.0.53"
"""The one of the client: a name server that a test starts there."""

_SETTINGS = (
    "net.ipv4.ip_forward=1",
    "net.ipv6.conf.all.forwarding=1",
    # An address is used at once, not after a second in which a duplicate would object (RFC 4862 section 5.4).
    "net.ipv6.conf.default.accept_dad=0",
    # A router answers each test, however many came before it.
    "net.ipv4.icmp_ratelimit=0",
    "net.ipv6.icmp.ratelimit=0",
    # The test's own user, who is nobody here, binds sockets to the server's addresses.
    "net.ipv4.ip_unprivileged_port_start=0",
    "net.ipv6.ip_nonlocal_bind=1",
)

_COMMAND_SECONDS = 60


class Network:
    """The network; healthy at the start, and after each `heal`."""

    def __enter__(self) -> Self:
        self._directory = TemporaryDirectory()
        self._stream, theirs = socket.socketpair()
        self._one_at_a_time = threading.Lock()
        self._stream.settimeout(_COMMAND_SECONDS)
        log = Path(self._directory.name, "log")
        entering = [find_program("unshare", "util-linux"), "--user", "--map-root-user", "--net", "--mount", "--"]
        with theirs, log.open("wb") as sink:
            holder = [sys.executable, "-I", network_namespace.__file__]
            self._holder = subprocess.Popen([*entering, *holder], stdin=theirs.fileno(), stdout=sink, stderr=sink)
        try:
            if self._stream.recv(16) != b"ready\n":
                raise ServerError(f"a network of its own cannot be made: {log.read_text('utf-8')[-3000:]}")
            self._build()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the network. A program that still runs in it keeps its own part of it."""
        self._stream.close()
        self._holder.wait(_COMMAND_SECONDS)
        self._directory.cleanup()

    # What runs in it

    def argv(self, node: Node, *command: str) -> list[str]:
        """Return the command that becomes this one, at a node."""
        inside = [] if node == "client" else [find_program("ip", "iproute2"), "netns", "exec", node]
        entering = ["--target", str(self._holder.pid), "--user", "--net", "--mount", "--"]
        return [find_program("nsenter", "util-linux"), *entering, *inside, *command]

    def run(self, node: Node, *command: str, text: str = "") -> str:
        """Run a command at a node, with this text as its input, and return what it wrote.

        Raises:
            ServerError: it failed.
        """
        ran = subprocess.run(
            self.argv(node, *command), input=text, capture_output=True, text=True, timeout=_COMMAND_SECONDS, check=False
        )
        if ran.returncode:
            raise ServerError(f"{' '.join(command)} at {node} ended with {ran.returncode}: {ran.stderr[-3000:]}")
        return ran.stdout

    def make_socket(
        self, node: Node, family: socket.AddressFamily, kind: socket.SocketKind = socket.SOCK_STREAM
    ) -> socket.socket:
        """Return a new socket of that node."""
        with self._one_at_a_time:
            self._stream.sendall(json.dumps([node, family, kind]).encode() + b"\n")
            _, passed, _, _ = socket.recv_fds(self._stream, 16, 1)
        if not passed:
            raise ServerError(f"{node} made no socket")
        return socket.socket(fileno=passed[0])

    def bind(self, node: Node, address: str, port: int, kind: socket.SocketKind = socket.SOCK_STREAM) -> socket.socket:
        """Return a socket of a node at that address and port."""
        bound = self.make_socket(node, socket.AF_INET6 if ":" in address else socket.AF_INET, kind)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((address, port))
        bound.setblocking(False)
        return bound

    # What goes wrong in it

    def filter(self, node: Node, *rules: str) -> None:
        """Add rules of nftables for what a router forwards, or what the server takes in."""
        self._nft(node, "input" if node == "server" else "forward", "filter", 0, rules)

    def redirect(self, node: Node, *rules: str) -> None:
        """Add rules of nftables that change where what comes to a node goes to."""
        self._nft(node, "prerouting", "nat", -100, rules)

    def silence(self, node: Node) -> None:
        """Let a node say nothing by ICMP."""
        self._nft(node, "output", "filter", 0, ["meta l4proto { icmp, icmpv6 } drop"])

    def cut_uplink(self) -> None:
        """Take down the line between the first router and the second."""
        self._ip("r1", "link set far down")

    def heal(self) -> None:
        """Make all as it was at the start."""
        for node in ROW:
            self.run(node, find_program("nft", "nftables"), "flush", "ruleset")
        self._ip("r1", *_commands(1))

    def _nft(self, node: Node, hook: str, kind: str, priority: int, rules: Sequence[str]) -> None:
        chain = [f"chain {hook} {{", f"type {kind} hook {hook} priority {priority}", *rules, "}"]
        table = "\n".join(["table inet outage {", *chain, "}"])
        self.run(node, find_program("nft", "nftables"), "-f", "-", text=f"{table}\n")

    # How it is made

    def _ip(self, node: Node, *commands: str) -> None:
        self.run(node, find_program("ip", "iproute2"), "-batch", "-", text="\n".join(commands))

    def _build(self) -> None:
        resolv = Path(self._directory.name, "resolv.conf")
        resolv.write_text(f"nameserver {RESOLVER}\noptions timeout:1 attempts:1\n", "utf-8")
        # `ip netns` keeps its namespaces in /run, where only root may write.
        prepare = 'mount -t tmpfs tmpfs /run; mkdir -p "${2%/*}"; [ -e "$2" ] || touch "$2"; mount --bind "$1" "$2"'
        target = Path("/etc/resolv.conf").resolve()
        self.run("client", "sh", "-euc", prepare, "sh", str(resolv), str(target))
        self._ip("client", *(f"netns add {node}" for node in ROW[1:]))
        for node in ROW:
            self.run(node, find_program("sysctl", "procps"), "--quiet", "--write", *_SETTINGS)
        for near, far in pairwise(ROW):
            self._ip(near, f"link add far type veth peer name near netns {far}")
        for number, node in enumerate(ROW):
            self._ip(node, *_commands(number))


def _commands(number: int) -> list[str]:
    """Return what `ip` makes of a node: on the link before it its address ends in 2, on that behind it in 1."""
    commands = ["link set lo up"]
    routes = []
    if number > 0:
        commands += _side("near", number, 2)
        routes += [f"10.0.0.0/16 via 10.0.{number}.1", f"fd00::/16 via fd00:{number}::1"]
    if number < len(ROW) - 1:
        commands += _side("far", number + 1, 1)
        routes += [f"default via 10.0.{number + 1}.2", f"default via fd00:{number + 1}::2"]
    else:
        routes += [f"local {net} dev lo" for net in SERVED]
    return commands + [f"route replace {route}" for route in routes]


def _side(name: str, net: int, end: int) -> list[str]:
    return [
        f"link set {name} up",
        f"address replace 10.0.{net}.{end}/24 dev {name}",
        f"address replace fd00:{net}::{end}/64 dev {name} nodad",
    ]
