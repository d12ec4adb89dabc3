"""The process that holds a network of tests: it makes sockets in any of its namespaces, and passes them on.

It is started by `network.Network`, in namespaces of its own, with a stream to the test as its standard input. The
network ends with it. For each request, a line of JSON, it answers a line, with the socket beside it.
"""

from __future__ import annotations

import ctypes
import json
import os
import socket
import sys
from pathlib import Path

_CLONE_NEWNET = 0x40000000  # linux/sched.h


def _enter(namespace: int) -> None:
    # Python has os.setns from 3.12 on.
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(namespace, _CLONE_NEWNET):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _make(node: str, home: int, family: int, kind: int) -> socket.socket:
    if node == "client":
        return socket.socket(family, kind)
    with Path("/run/netns", node).open("rb") as namespace:
        _enter(namespace.fileno())
    try:
        return socket.socket(family, kind)
    finally:
        _enter(home)


def main() -> None:
    """Answer until the test closes its end of the stream."""
    home = os.open("/proc/self/ns/net", os.O_RDONLY)
    with socket.socket(fileno=sys.stdin.fileno()) as stream, stream.makefile("r") as requests:
        stream.sendall(b"ready\n")
        for line in requests:
            node, family, kind = json.loads(line)
            with _make(node, home, family, kind) as made:
                socket.send_fds(stream, [b"made\n"], [made.fileno()])


if __name__ == "__main__":
    main()
