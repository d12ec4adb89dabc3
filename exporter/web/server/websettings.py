"""The web configuration in force, which headers, passwords and TLS ask at each request and handshake."""

from __future__ import annotations

from exporter.config.web import WebConfig
from exporter.web.server.passwords import Passwords


class WebSettings:
    """What is in force now.

    Attributes:
        config: Replaced as a whole where the web configuration file has changed.
        passwords: Checks passwords, whichever configuration they are of.
    """

    def __init__(self, config: WebConfig | None = None) -> None:
        self.config = config or WebConfig()
        self.passwords = Passwords()

    def close(self) -> None:
        """Check no more passwords, or the end of this program would wait for all that were guessed."""
        self.passwords.close()
