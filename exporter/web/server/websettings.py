"""The web configuration in force: each request and each handshake reads it."""

from __future__ import annotations

from exporter.config.web import WebConfig
from exporter.web.server.passwords import Passwords


class WebSettings:
    """The web configuration in force, and what checks its passwords.

    Attributes:
        config: Replaced, as a whole, by a reload.
        passwords: Stays: it remembers results, which hold as long as a user's hash is the same.
    """

    def __init__(self, config: WebConfig | None = None) -> None:
        self.config = config or WebConfig()
        self.passwords = Passwords()

    def close(self) -> None:
        """Check no more passwords: the end of this program would wait for all that are in the queue."""
        self.passwords.close()
