"""A blocking client that says what it is told and nothing else, to see what the scripted servers do."""

from __future__ import annotations

import socket
import ssl
import struct
from contextlib import suppress


class Client:
    """A TCP connection to a port of 127.0.0.1; with a context, in TLS from the start."""

    def __init__(self, port: int, context: ssl.SSLContext | None = None) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), 5)
        # A reset discards what is still to be sent: nothing is to wait for an acknowledgement.
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if context is not None:
            self.start_tls(context)

    def start_tls(self, context: ssl.SSLContext) -> None:
        """Do the client's side of the handshake."""
        with self.socket as plain:
            # An end without close_notify is to be an error.
            self.socket = context.wrap_socket(plain, server_hostname="localhost", suppress_ragged_eofs=False)

    def say(self, data: bytes) -> None:
        """Send all of it."""
        self.socket.sendall(data)

    def hear(self) -> bytes:
        """What comes next; nothing at the end of the stream.

        Raises:
            ssl.SSLError: TLS ended without close_notify (`EOF` is in its text), or failed otherwise.
            ConnectionResetError: the server reset the connection.
        """
        return self.socket.recv(65536)

    def hear_until(self, end: bytes) -> bytes:
        """What comes, as far as these bytes or the end of the stream."""
        heard = b""
        while end not in heard and (data := self.hear()):
            heard += data
        return heard

    def hear_all(self) -> bytes:
        """What comes until the end of the stream."""
        heard = b""
        while data := self.hear():
            heard += data
        return heard

    def close(self, *, notify: bool = False) -> None:
        """Close; with close_notify first where asked."""
        if notify and isinstance(self.socket, ssl.SSLSocket):
            self.socket = self.socket.unwrap()
        self.socket.close()

    def reset(self, *, notify: bool = False) -> None:
        """Reset the connection; with close_notify first where asked."""
        if notify and isinstance(self.socket, ssl.SSLSocket):
            self.socket.settimeout(0)
            # It is sent; the answer is not waited for.
            with suppress(ssl.SSLWantReadError):
                self.socket.unwrap()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()
