"""What the header of a received message tells: who checked its sender with which result, and its way.

Anybody on the way can write into a header, so only what is plain is read: each field is cut at a length, and what is
not of the form is passed over. The package authres reads RFC 8601 in full; it recurses into nested comments until
Python's limit, and its time grows with the square of the length.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from email.parser import BytesHeaderParser
from email.utils import parsedate_to_datetime
from itertools import pairwise

from exporter.model.delivery import AuthResult, Hop, Method
from exporter.model.message import escape_invisible
from exporter.model.reason import GOOGLE, provider_of

MAX_HOPS = 20
MAX_FIELD = 4096
"""Characters of a field that are read."""

_GOOGLE_ID = "mx.google.com"
_ID = re.compile(r"\s*([A-Za-z0-9._-]{1,255})(?:\s+1)?\s*")  # RFC 8601 §2.2: authserv-id, and its version
# A method, with its version, and what it is the result of (§2.2).
_RESULT = re.compile(r"\s*(spf|dkim|dmarc)\s*(?:/\s*1\s*)?=\s*([a-z]{1,20})(?![\w-])(.*)", re.IGNORECASE)
_OF_HELO = re.compile(r"\ssmtp\s*\.\s*helo\b", re.IGNORECASE)
_BY = re.compile(r"(?:^|\s)by\s+([A-Za-z0-9._:\[\]-]{1,255})")
_RESULTS = {result.value: result for result in AuthResult}


def authentication(header: bytes, host: str, address: str) -> Mapping[Method, AuthResult]:
    """Return what the receiver says of the sender, by the topmost field of its own (RFC 8601 §4.1).

    Its own are those with the name of Google's servers where `host`, at which the mailbox is read, is Google's; else
    with that host, with the domain of the recipient's `address` or a name below it, or with the name of a server that
    says it received the message. The first one on the way took it from the sender: it is the receiver's only where it
    is the last one, too.
    """
    way = [by.lower() for by, _ in _received(header)]
    servers = {*way} - {*way[-1:]} | {*way[:1]}
    domain = address.rpartition("@")[2].lower()

    def is_own(name: str) -> bool:
        if provider_of(host) == GOOGLE:
            return name == _GOOGLE_ID
        return name in servers or name == host.lower() or f".{name}".endswith(f".{domain}")

    for field in _fields(header, "Authentication-Results"):
        first, *results = _without_comments(field).split(";")
        name = _ID.fullmatch(first)
        if name and is_own(name[1].lower()):
            return _read(results)
    return {}


def hops(header: bytes) -> tuple[Hop, ...]:
    """Return the servers on the way in its order, each with the seconds since the one before (RFC 5321 §4.4)."""
    way = [(by, at) for by, at in _received(header) if at is not None][::-1]
    return tuple(Hop(escape_invisible(by), (at - before).total_seconds()) for (_, before), (by, at) in pairwise(way))


def _read(results: list[str]) -> dict[Method, AuthResult]:
    """Return the result of each method, the first one.

    Of several signatures, one that passes is enough (RFC 6376 §6.1). What SPF says of the name in EHLO counts only
    where it says nothing of the sender (RFC 7208 §2.4).
    """
    found: dict[Method, AuthResult] = {}
    of_helo: dict[Method, AuthResult] = {}
    for text in results:
        parsed = _RESULT.match(text)
        result = _RESULTS.get(parsed[2].lower()) if parsed else None
        if parsed and result:
            method = Method(parsed[1].lower())
            of = of_helo if method is Method.SPF and _OF_HELO.search(parsed[3]) else found
            if method not in of or (method is Method.DKIM and result is AuthResult.PASS):
                of[method] = result
    return of_helo | found


def _received(header: bytes) -> Iterator[tuple[str, datetime | None]]:
    for field in _fields(header, "Received"):
        words, semicolon, date = _without_comments(field).rpartition(";")
        by = _BY.search(words)
        if semicolon and by:
            yield by[1], _date(date)


def _date(text: str) -> datetime | None:
    try:
        found = parsedate_to_datetime(text.strip())
    except (ValueError, TypeError, OverflowError):
        return None
    return found if found.tzinfo else None


def _fields(header: bytes, name: str) -> list[str]:
    """Return the fields of a name, the topmost first, each on one line."""
    found = BytesHeaderParser().parsebytes(header[: MAX_FIELD * MAX_HOPS]).get_all(name, [])
    return [" ".join(str(field)[:MAX_FIELD].split()) for field in found[:MAX_HOPS]]


def _without_comments(text: str) -> str:
    """Return a field without its comments, which may nest (RFC 5322 §3.2.2), and without what is quoted."""
    kept: list[str] = []
    depth, is_quoted, is_escaped = 0, False, False
    for character in text:
        if is_escaped:
            is_escaped = False
        elif character == "\\" and (depth or is_quoted):
            is_escaped = True
        elif is_quoted:
            is_quoted = character != '"'
        elif character == "(":
            depth += 1
        elif character == ")" and depth:
            depth -= 1
        elif not depth and character == '"':
            is_quoted = True
        elif not depth:
            kept.append(character)
    return "".join(kept)
