"""TXT records that begin with a version, of which a domain must have one (RFC 8461 §3.1, RFC 8460 §3)."""

from __future__ import annotations

import pycares
from aiodns.error import ARES_ENODATA, ARES_ENOTFOUND, DNSError

from exporter.probing.resolve import Resolver

MAX_SHOWN = 200
"""Characters of a record that are shown."""


class Ambiguous(Exception):
    """There are several records of one version, so that none is valid."""


async def look_up(resolver: Resolver, name: str, version: str) -> str | None:
    """Return the one record of a name that begins with this version; None where there is none.

    Raises:
        aiodns.error.DNSError: The look-up failed.
        Ambiguous: There are several.
    """
    try:
        records = await resolver.records(name, "TXT")
    except DNSError as error:
        if error.args[0] in (ARES_ENODATA, ARES_ENOTFOUND):
            return None
        raise
    texts = [one.data.data.decode("latin-1") for one in records if isinstance(one.data, pycares.TXTRecordData)]
    # RFC 8461 §3.1: records that do not begin with the version are discarded; more than one that does are as none.
    begun = [text for text in texts if text.partition(";")[0].rstrip(" \t") == f"v={version}"]
    # One without a semicolon is none of them, either; alone, it is told of as one without an id.
    found = [text for text in begun if ";" in text] or begun
    if len(found) > 1:
        raise Ambiguous(f"{name} has {len(found)} TXT records that begin with v={version}")
    return found[0] if found else None


def fields_of(record: str) -> dict[str, str]:
    """Return the fields of a record, `name=value` between semicolons; of two with one name, the first.

    RFC 8461 §3.1: there may be spaces at a semicolon, and none at the =.
    """
    fields: dict[str, str] = {}
    for field in record.split(";"):
        name, separator, value = field.strip(" \t").partition("=")
        if separator:
            fields.setdefault(name, value)
    return fields
