"""Look-ups whose answers may be authenticated by DNSSEC, as far as the resolver is believed.

A resolver's word (the AD flag, RFC 6840 §5.8) is worth what the way to it is worth: it is taken only from loopback, and
from resolvers that the configuration names. c-ares does not pass it on, dnspython does.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Sequence
from typing import NamedTuple

import dns.asyncquery
import dns.exception
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.resolver

from exporter.model.address import split_address

SECONDS = 2.0
"""Seconds that a name server has for an answer, before it, or the next one, is asked again."""

_TRIES = 2


class LookupFailed(Exception):
    """No name server has answered, or the one that has could not find out."""


class Answer(NamedTuple):
    """The records of a name in their text form, none where there are none; and whether that is authenticated."""

    records: tuple[str, ...]
    authenticated: bool


def believed(nameservers: Sequence[str] | None, trusted: Sequence[str]) -> list[tuple[str, int]]:
    """Return the name servers whose AD flag is taken, by address and port; None: those of /etc/resolv.conf."""
    found = []
    for server in system_nameservers() if nameservers is None else nameservers:
        host, port = split_address(server)
        if ipaddress.ip_address(host).is_loopback or host in trusted:
            found.append((host, int(port or 53)))
    return found


def system_nameservers() -> list[str]:
    """Return the name servers of /etc/resolv.conf; none where they cannot be read."""
    try:
        return [str(server) for server in dns.resolver.Resolver().nameservers]
    except (dns.exception.DNSException, OSError):
        return []


async def ask(servers: Sequence[tuple[str, int]], name: str, kind: str) -> Answer:
    """Return what the first of these name servers that answers says of a name.

    Raises:
        LookupFailed: None has answered, or it says that it failed.
    """
    # RFC 6840 §5.7: a question with AD asks for that flag in the answer, without the signatures themselves.
    try:
        question = dns.message.make_query(name, kind, flags=dns.flags.RD | dns.flags.AD, use_edns=0)
    except dns.exception.DNSException as error:
        raise LookupFailed(f"the {kind} look-up of {name}: {error}") from None
    said = "no answer"
    for host, port in [*servers] * _TRIES:
        try:
            answer, _ = await dns.asyncquery.udp_with_fallback(question, host, timeout=SECONDS, port=port)
        except (dns.exception.DNSException, OSError, asyncio.IncompleteReadError) as error:
            said = str(error) or type(error).__name__
            continue
        if answer.rcode() in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
            wanted = dns.rdatatype.from_text(kind)
            records = tuple(one.to_text() for rrset in answer.answer if rrset.rdtype == wanted for one in rrset)
            return Answer(records, bool(answer.flags & dns.flags.AD))
        said = dns.rcode.to_text(answer.rcode())
    raise LookupFailed(f"the {kind} look-up of {name}: {said}")
