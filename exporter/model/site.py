"""Where the pages are: the address by which people reach them, and the paths and names of requests."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from exporter.model.address import Address, HostPattern, parse_address
from exporter.model.message import Unacceptable

_FORM = "must be an address such as https://monitoring.example.com/gmail/"


@dataclass(frozen=True, slots=True)
class Site:
    """What the flags say about it.

    Attributes:
        external_url: The address by which people reach the pages, with a slash at its end; "" where it is not given.
        allowed_hosts: Names by which requests may address this server, beside those that it knows itself.
    """

    external_url: str = ""
    allowed_hosts: tuple[HostPattern, ...] = ()

    @property
    def external_host(self) -> str | None:
        """Return the host of that address; None where it is not given."""
        return urlsplit(self.external_url).hostname

    def allows(self, name: str) -> bool:
        """Whether requests may address this server by a name."""
        return any(pattern.matches(Address(name, None), 0) for pattern in self.allowed_hosts)


def parse_external_url(text: str) -> str:
    """Return an address with a slash at its end.

    Raises:
        Unacceptable: It is no address of pages; the message does not show it.
    """
    try:
        parts = urlsplit(text)
        port = f":{parts.port}" if parts.port is not None else ""
        is_plain = not (parts.query or parts.fragment or "@" in parts.netloc or "?" in text or "#" in text)
    except ValueError:
        raise Unacceptable(_FORM) from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise Unacceptable(_FORM)
    if not is_plain:
        raise Unacceptable(f"{_FORM}, without a user, a query or a fragment")
    if not parts.path.isascii() or any(character.isspace() or character in '"\\' for character in text):
        raise Unacceptable(f"{_FORM}; what is not ASCII is written as %XX")
    host = parse_address(f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname).host
    shown = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{shown}{port}{parts.path.rstrip('/')}/"


def parse_allowed_host(text: str) -> HostPattern:
    """Return the names of a text: a name, `*.DOMAIN`, or `*` for any.

    Raises:
        Unacceptable: It is neither.
    """
    pattern = HostPattern.parse(text)
    if pattern.port is not None:
        raise Unacceptable("must be a host name without a port: it counts for all of them")
    return pattern
