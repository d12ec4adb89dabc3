"""TLS-RPT (RFC 8460): whether a domain asks senders to report failures of TLS."""

from __future__ import annotations

from exporter.domains import txt
from exporter.probing.resolve import Resolver


async def is_announced(resolver: Resolver, domain: str) -> bool:
    """Return whether the domain has one record with an address for reports (RFC 8460 §3).

    Raises:
        aiodns.error.DNSError: The look-up failed.
    """
    try:
        record = await txt.look_up(resolver, f"_smtp._tls.{domain}", "TLSRPTv1")
    except txt.Ambiguous:
        return False  # RFC 8460 §3: several records are as none
    return record is not None and txt.fields_of(record).get("rua", "").startswith(("mailto:", "https:"))
