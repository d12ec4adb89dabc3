"""The TLS of a connection, without IO: what came in, what is to be sent, and how it ends.

The event loop's own TLS is not used. It would cost a probe a tenth more, tell a protocol neither when the handshake was
done nor why it was given up, and look at the certificate once more for nobody.
"""

from __future__ import annotations

import ssl
from contextlib import suppress

_CHUNK = 64 << 10


class TlsLayer:
    """One side of a TLS connection: the client's. All of its methods raise `ssl.SSLError` as OpenSSL says."""

    def __init__(self, context: ssl.SSLContext, server_name: str) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.connection = context.wrap_bio(self._incoming, self._outgoing, server_hostname=server_name)
        self.secured = False
        """Whether the handshake is done."""

    def do_handshake(self, received: bytes = b"") -> bool:
        """Go on with the handshake, and say whether it is done."""
        self._incoming.write(received)
        with suppress(ssl.SSLWantReadError):
            self.connection.do_handshake()
            self.secured = True
        return self.secured

    def decrypt(self, received: bytes = b"") -> tuple[bytes, bool]:
        """Return what was said, and whether the server said close_notify behind it."""
        self._incoming.write(received)
        said = b""
        try:
            while chunk := self.connection.read(_CHUNK):
                said += chunk
        except ssl.SSLWantReadError:
            return said, False
        except ssl.SSLZeroReturnError:
            pass
        return said, True

    def encrypt(self, data: bytes) -> None:
        """Say it; it is what is to be sent next."""
        self.connection.write(data)

    def close(self, received: bytes = b"") -> bool:
        """Say close_notify, once, and say whether the server's has come. What it said before that is lost."""
        self.decrypt(received)
        with suppress(ssl.SSLWantReadError):
            self.connection.unwrap()
            return True
        return False

    def take(self) -> bytes:
        """Return what is to be sent, and forget it."""
        return self._outgoing.read()
