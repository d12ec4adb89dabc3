"""The web configuration in force: each request and each handshake reads it."""

from __future__ import annotations

from exporter.config.web import WebConfig
from exporter.model.site import Site
from exporter.web.server.hosts import KnownHosts
from exporter.web.server.passwords import Passwords


class WebSettings:
    """The web configuration in force, and what checks its passwords.

    Attributes:
        config: Replaced, as a whole, by a reload.
        passwords: Stays: it remembers results, which hold as long as a user's hash is the same.
        hosts: Stays: it comes from the flags.
    """

    def __init__(self, config: WebConfig | None = None, site: Site | None = None) -> None:
        self.config = config or WebConfig()
        self.passwords = Passwords()
        self.hosts = KnownHosts(site or Site())

    def close(self) -> None:
        """Check no more passwords: the end of this program would wait for all that are in the queue."""
        self.passwords.close()
