"""The TLS of a connection, without IO.

The event loop's TLS is not used: it adds a tenth to the cost of a probe, does not tell when the handshake was complete
or why it failed, and reads the certificate once more for no use.
"""

from __future__ import annotations

import ssl
from contextlib import suppress

_CHUNK = 16 << 10
"""Octets of plaintext in a record at most (RFC 8446 §5.1)."""


class TlsLayer:
    """The client's side of a TLS connection. All methods raise OpenSSL's errors, `ssl.SSLError`."""

    def __init__(self, context: ssl.SSLContext, server_name: str) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.connection = context.wrap_bio(self._incoming, self._outgoing, server_hostname=server_name)
        self.begun = False
        """Whether anything of the server's handshake has come."""
        self.secured = False
        """Whether the handshake is complete."""
        self._ended = False
        """Whether the server's close_notify has come."""

    def do_handshake(self, received: bytes | memoryview = b"") -> bool:
        """Continue the handshake, and return whether it is complete."""
        self._incoming.write(received)
        try:
            self.connection.do_handshake()
        except ssl.SSLWantReadError:
            return False
        self.secured = True
        return True

    def decrypt(self, received: bytes | memoryview = b"") -> tuple[bytes, bool]:
        """Return the plaintext, and whether close_notify followed it."""
        self._incoming.write(received)
        plaintext = b""
        try:
            # Only as long as something is there: an error that says that nothing is takes longer than to read a line.
            while self._incoming.pending or self.connection.pending():
                if not (chunk := self.connection.read(_CHUNK)):
                    self._ended = True
                    break
                plaintext += chunk
        except ssl.SSLWantReadError:
            pass  # a record that is not complete, or one without plaintext
        except ssl.SSLZeroReturnError:
            self._ended = True
        return plaintext, self._ended

    def encrypt(self, data: bytes) -> None:
        """Encrypt `data`; `take` returns the result."""
        self.connection.write(data)

    def close(self, received: bytes | memoryview = b"") -> bool:
        """Send close_notify, once, and return whether the server's has come. Plaintext before it is dropped."""
        self.decrypt(received)
        with suppress(ssl.SSLWantReadError):
            self.connection.unwrap()
            return True
        return False

    def take(self) -> bytes:
        """Return what has to be sent, once."""
        return self._outgoing.read() if self._outgoing.pending else b""
