"""Listening sockets: of addresses, or passed on by systemd."""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Mapping, Sequence

from exporter.model.address import split_address

RECEIVE_BUFFER = 32 << 10
"""Octets that the kernel keeps of what a client sends before it is read."""

SEND_BUFFER = 64 << 10
"""Octets that the kernel keeps of an answer before they are sent; what is under way to the client is not limited."""


FIRST_PASSED = 3
"""The first descriptor that systemd passes on (SD_LISTEN_FDS_START)."""


class ListenError(Exception):
    """An address cannot be listened on; the message has the reason."""


def listen(addresses: Sequence[str]) -> list[socket.socket]:
    """Return listening sockets, one for each address (`:9993`, `*:9993`, `127.0.0.1:9993`, `[::1]:9993`).

    Raises:
        ListenError: An address is malformed, in use, or not of this host; no socket stays open.
    """
    bound: list[socket.socket] = []
    try:
        parsed = [(address, *_parse(address)) for address in addresses]
        # Who names 0.0.0.0 as well wants a socket for each family.
        apart = {port for _, host, port in parsed if host == "0.0.0.0"}
        for address, host, port in parsed:
            bound.append(_bind(address, host, port, both=port not in apart))
    except ListenError:
        for bound_socket in bound:
            bound_socket.close()
        raise
    return bound


def passed_on(environ: Mapping[str, str]) -> list[socket.socket]:
    """Return the listening sockets of a .socket unit (sd_listen_fds(3)).

    Raises:
        ListenError: There is none, or one that is no listening stream socket.
    """
    is_ours = environ.get("LISTEN_PID") == str(os.getpid())
    text = environ.get("LISTEN_FDS", "") if is_ours else ""
    count = int(text) if text.isascii() and text.isdecimal() and len(text) < 6 else 0
    if not count:
        raise ListenError(
            "no socket was passed on by systemd: start the .socket unit, or leave out --web.systemd-socket"
        )
    return [_adopt(number) for number in range(FIRST_PASSED, FIRST_PASSED + count)]


def _adopt(number: int) -> socket.socket:
    try:
        passed = socket.socket(fileno=number)
        accepts = passed.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    except OSError as error:
        raise ListenError(f"descriptor {number} of systemd is no socket: {os.strerror(error.errno or 0)}") from None
    if not accepts or passed.type is not socket.SOCK_STREAM:
        passed.close()
        raise ListenError(f"descriptor {number} of systemd does not accept connections: ListenStream= is needed")
    passed.set_inheritable(False)
    return _prepared(passed)


def _bind(address: str, host: str, port: int, *, both: bool) -> socket.socket:
    try:
        if host in ("", "*"):
            host = "::" if socket.has_dualstack_ipv6() else "0.0.0.0"
        flags = socket.AI_PASSIVE
        family, _, _, _, resolved = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)[0]
        # Every interface: of both families, as with other exporters, whatever net.ipv6.bindv6only says.
        is_any = family is socket.AF_INET6 and ipaddress.ip_address(resolved[0]).is_unspecified
        dualstack = is_any and both and socket.has_dualstack_ipv6()
        bound = socket.create_server(resolved, family=family, dualstack_ipv6=dualstack, backlog=1024)
        return _prepared(bound)
    except (socket.gaierror, UnicodeError) as error:  # UnicodeError: IDNA cannot encode the host
        raise ListenError(f"cannot listen on {address}: {getattr(error, 'strerror', None) or 'no such host'}") from None
    except OSError as error:
        # Not the text of the exception: it repeats the address.
        raise ListenError(f"cannot listen on {address}: {os.strerror(error.errno or 0)}") from None


def _prepared(listening: socket.socket) -> socket.socket:
    # Every connection has its options. The kernel would keep megabytes for each client that does not read, and for each
    # one that sends more than it is asked for; they count as memory of the service (cgroups).
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
    if hasattr(socket, "TCP_NOTSENT_LOWAT") and listening.family is not socket.AF_UNIX:
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, SEND_BUFFER)
    return listening


def _parse(address: str) -> tuple[str, int]:
    host, port = split_address(address)
    if port is None or not port.isdecimal() or not port.isascii() or len(port) > 5 or int(port) > 65535:
        raise ListenError(f'cannot listen on {address}: wanted HOST:PORT or :PORT, such as ":9993" or "[::1]:9993"')
    return host, int(port)
