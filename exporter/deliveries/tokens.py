"""The token in a test message, by which this exporter, and nobody else, knows it as its own.

It is the local part of the Message-ID: when the message was made, a random number, and an HMAC of both with a key from
the storage. Who has not that key cannot make one; so what is cleared away is never the message of somebody else.
"""

from __future__ import annotations

import hmac
import re
import secrets
from email.parser import BytesHeaderParser

_FORM = re.compile(r"\s*<(gmail-exporter\.(\d{1,12})\.([0-9a-f]{16})\.([0-9a-f]{32}))@[^<>\s@]+>\s*")
_MAX_HEADER = 1 << 16  # octets that are read; a Message-ID beyond them is not one of ours


class Tokens:
    """Makes tokens and knows them again.

    Args:
        key: Secret, and the same after a restart.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key

    def new(self, now: float) -> str:
        """Return a token of a message that is made now, in Unix seconds."""
        at, number = str(int(now)), secrets.token_hex(8)
        return f"gmail-exporter.{at}.{number}.{self._mac(at, number)}"

    def read(self, header: bytes) -> tuple[str, float] | None:
        """Return the token of the message with this header and when it was made; None if the message is not ours."""
        found = BytesHeaderParser().parsebytes(header[:_MAX_HEADER]).get_all("Message-ID", [])
        parsed = _FORM.fullmatch(str(found[0])) if len(found) == 1 else None
        if parsed is None or not hmac.compare_digest(self._mac(parsed[2], parsed[3]), parsed[4]):
            return None
        return parsed[1], float(parsed[2])

    def _mac(self, at: str, number: str) -> str:
        return hmac.digest(self._key, f"{at}.{number}".encode(), "sha256").hex()[:32]
