"""The mail exchanges of a domain, as a server looks them up that has mail for it (RFC 5321 §5.1)."""

from __future__ import annotations

import pycares
from aiodns.error import ARES_ENODATA, DNSError

from exporter.model.domain import Exchange
from exporter.model.message import escape_invisible
from exporter.probing.resolve import Resolver

MAX_EXCHANGES = 20
"""Exchanges of a domain that are probed, the most preferred first; more are left out."""

_MAX_NAME = 253


class NullMx(Exception):
    """The domain says that it takes no mail (RFC 7505)."""


async def look_up(resolver: Resolver, domain: str) -> tuple[Exchange, ...]:
    """Return the exchanges of a domain, the most preferred first, each once.

    Raises:
        aiodns.error.DNSError: The look-up failed, or the domain does not exist.
        NullMx: The domain takes no mail.
    """
    try:
        records = await resolver.records(domain, "MX")
    except DNSError as error:
        if error.args[0] != ARES_ENODATA:
            raise
        records = ()
    found = [record.data for record in records if isinstance(record.data, pycares.MXRecordData)]
    if not found:
        # RFC 5321 §5.1: without MX records, the domain is its own exchange, with a preference of 0.
        return (Exchange(0, domain),)
    preferences: dict[str, int] = {}
    for record in found:
        host = escape_invisible(record.exchange).lower().removesuffix(".")[:_MAX_NAME]
        preferences[host] = min(record.priority, preferences.get(host, record.priority))
    # RFC 7505 §3: a null MX is the only record of its domain. Beside others it means nothing.
    if preferences.pop("", None) is not None and not preferences:
        raise NullMx(f"{domain} has a null MX record")
    return tuple(sorted(Exchange(preference, host) for host, preference in preferences.items()))
