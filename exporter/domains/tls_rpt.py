"""TLS-RPT (RFC 8460): whether a domain asks senders to report failures of TLS."""

from __future__ import annotations

import re

from exporter.domains import txt
from exporter.probing.resolve import Resolver

# RFC 8460 §3: addresses of RFC 6068 or RFC 9110, whose schemes may be in capital letters (RFC 3986 §3.1).
_COMMA = re.compile(r"(?<![ \t])[ \t]*,[ \t]*")
_ADDRESS = re.compile(r"mailto:[^@\s]+@[^@\s]+|https://[^/\s]\S*", re.IGNORECASE)


def name_of(domain: str) -> str:
    """Return the name of a domain's record."""
    return f"_smtp._tls.{domain}"


async def is_announced(resolver: Resolver, domain: str) -> bool:
    """Return whether the domain has one record with an address for reports (RFC 8460 §3).

    Raises:
        aiodns.error.DNSError: The look-up failed.
    """
    try:
        record = await txt.look_up(resolver, name_of(domain), "TLSRPTv1")
    except txt.Ambiguous:
        return False  # RFC 8460 §3: several records are as none
    addresses = _COMMA.split(txt.fields_of(record).get("rua", "")) if record else []
    return any(map(_ADDRESS.fullmatch, addresses))
