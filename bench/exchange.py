"""A fast mail exchange with STARTTLS, in a process of its own. It prints its port, and ends with its input."""

from __future__ import annotations

import socket
import socketserver
import ssl
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from threading import Thread
from types import TracebackType
from typing import Self

from tests.servers.authority import Certificate

EXTENSIONS = b"250-mx.example.com at your service\r\n250-SIZE 157286400\r\n250-8BITMIME\r\n"


class _Session(socketserver.BaseRequestHandler):
    """Greeting, EHLO, STARTTLS, EHLO, QUIT. A client that waits for each answer sends a command at a time."""

    server: _Server
    request: socket.socket

    def handle(self) -> None:
        with suppress(OSError):  # a client that has gone
            self._speak(self.request)

    def _speak(self, connection: socket.socket) -> None:
        connection.sendall(b"220 mx.example.com ESMTP\r\n")
        while command := connection.recv(512).upper():
            if command.startswith(b"EHLO"):
                is_clear = not isinstance(connection, ssl.SSLSocket)
                connection.sendall(EXTENSIONS + (b"250-STARTTLS\r\n" if is_clear else b"") + b"250 SMTPUTF8\r\n")
            elif command.startswith(b"STARTTLS"):
                connection.sendall(b"220 2.0.0 Ready to start TLS\r\n")
                connection = self.server.context.wrap_socket(connection, server_side=True)
            else:
                connection.sendall(b"221 2.0.0 closing connection\r\n")
                break
        if isinstance(connection, ssl.SSLSocket):
            connection.unwrap().close()


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    request_queue_size = 1024

    def __init__(self, certificate: Certificate) -> None:
        self.context = certificate.context
        super().__init__(("127.0.0.1", 0), _Session)


class Exchange:
    """The process of the server, for the benchmark."""

    def __init__(self, certificate: Certificate) -> None:
        files = str(certificate.chain_file), str(certificate.key_file)
        self._command = [sys.executable, "-m", "bench.exchange", *files]

    def __enter__(self) -> Self:
        self._popen = subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._popen.stdout is not None
        self.port = int(self._popen.stdout.readline())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._popen.__exit__(kind, error, trace)  # closes the pipes, which ends it, and waits


def main(chain_file: str, key_file: str) -> None:
    """Serve until the input ends."""
    with _Server(Certificate(Path(chain_file), Path(key_file))) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        print(server.server_address[1], flush=True)
        sys.stdin.read()
        server.shutdown()


if __name__ == "__main__":
    main(*sys.argv[1:])
