"""Where the pages are: the address by which people reach them, and the paths and names of requests."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self
from urllib.parse import urlsplit

from exporter.model.address import Address, HostPattern, parse_address
from exporter.model.message import Unacceptable

TELEMETRY_PATH = "/metrics"

_FORM = "must be an address such as https://monitoring.example.com/gmail/"
# RFC 3986 §3.3: segments of pchar.
_PATH = re.compile(r"(?:/(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})+)+")
_PLAIN_PATH = re.compile(r"(?:/[A-Za-z0-9._~-]+)+")
_TAKEN = frozenset({"-", "accounts", "api", "config", "deliveries", "endpoints", "probe", "reasons", "static"})
"""The first segments of the paths that are answered already."""


@dataclass(frozen=True, slots=True)
class Site:
    """What the flags say about it.

    Attributes:
        external_url: The address by which people reach the pages, with a slash at its end; "" where it is not given.
        allowed_hosts: Names by which requests may address this server, beside those that it knows itself.
        route_prefix: What stands in front of every path, without a slash at its end; "" for nothing.
        telemetry_path: Where the metrics are, behind that prefix.
    """

    external_url: str = ""
    allowed_hosts: tuple[HostPattern, ...] = ()
    route_prefix: str = ""
    telemetry_path: str = TELEMETRY_PATH

    @classmethod
    def of(
        cls, external_url: str | None, allowed_hosts: Sequence[HostPattern], prefix: str | None, telemetry_path: str
    ) -> Self:
        """Return what the flags say; without a prefix, it is the path of the address."""
        url = external_url or ""
        if prefix is None:
            prefix = urlsplit(url).path.rstrip("/")
        return cls(url, tuple(allowed_hosts), prefix, telemetry_path)

    @property
    def external_path(self) -> str:
        """Return the path of that address, with a slash at its end; that of the prefix where it is not given."""
        return urlsplit(self.external_url).path if self.external_url else f"{self.route_prefix}/"

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
        port = "" if parts.port is None else f":{parts.port}"
        is_plain = not (parts.query or parts.fragment or "@" in parts.netloc or "?" in text or "#" in text)
    except ValueError:
        raise Unacceptable(_FORM) from None
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0:
        raise Unacceptable(_FORM)
    if not is_plain:
        raise Unacceptable(f"{_FORM}, without a user, a query or a fragment")
    if not parts.path.isascii() or any(character.isspace() or character in '"\\' for character in text):
        raise Unacceptable(f"{_FORM}; what is not ASCII is written as %XX")
    prefix = parse_route_prefix(parts.path)
    host = parse_address(f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname).host
    shown = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{shown}{port}{prefix}/"


def parse_allowed_host(text: str) -> HostPattern:
    """Return the names of a text: a name, `*.DOMAIN`, or `*` for any.

    Raises:
        Unacceptable: It is neither.
    """
    pattern = HostPattern.parse(text)
    if pattern.port is not None:
        raise Unacceptable("must be a host name without a port: it counts for all of them")
    return pattern


def parse_route_prefix(text: str) -> str:
    """Return a prefix of paths, with a slash at its beginning and none at its end; "" where it is nothing but slashes.

    Raises:
        Unacceptable: It is no path.
    """
    path = text.strip("/")
    if not path:
        return ""
    if not _PATH.fullmatch(f"/{path}") or {".", ".."} & set(path.split("/")):
        raise Unacceptable("must be a path such as /gmail; what is not ASCII is written as %XX")
    return f"/{path}"


def parse_telemetry_path(text: str) -> str:
    """Return the path of the metrics.

    Raises:
        Unacceptable: It is no path, or one that is answered already.
    """
    segments = text.split("/")
    if not _PLAIN_PATH.fullmatch(text) or {".", ".."} & set(segments) or segments[1] in _TAKEN:
        raise Unacceptable("must be a path such as /metrics, and not one that is answered already")
    return text
