"""The names by which requests may address this server."""

from __future__ import annotations

import socket
from dataclasses import dataclass, field

from exporter.model.address import is_ip_address, split_address
from exporter.model.site import Site


def own_names() -> set[str]:
    """Return the names of this host that need no look-up: whole, and without its domain."""
    name = socket.gethostname().lower()
    return {name, name.partition(".")[0]} - {""}


@dataclass(frozen=True, slots=True)
class KnownHosts:
    """The names by which this server may be addressed."""

    site: Site = field(default_factory=Site)
    own: set[str] = field(default_factory=own_names)
    """The names of this host."""

    def knows(self, host: str) -> bool:
        """Whether a Host header has a name that no page of another site can have: any address, or one that is known."""
        text, port = split_address(host)
        if port and not (port.isascii() and port.isdecimal()):
            return False
        name = text.lower().removesuffix(".")
        is_local = name == "localhost" or name.endswith(".localhost")  # RFC 6761 §6.3: never another host
        is_own = name in self.own or name == self.site.external_host
        return is_local or is_own or is_ip_address(name.partition("%")[0]) or bool(name and self.site.allows(name))

    def look_up(self) -> None:
        """Learn the whole name of this host, which may take as long as its resolver does."""
        self.own.add(socket.getfqdn().lower())
