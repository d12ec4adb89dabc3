"""Finding a message over POP3 (RFC 1939) as sans-IO work. Nothing is retrieved but headers, and nothing is deleted."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection

from exporter.probing.dialogue import ProtocolViolation, Work, excerpt
from exporter.probing.pop3 import command, read_multiline

MAX_NEW = 20
"""Messages whose headers are read, the newest ones."""

_LISTED = re.compile(rb"([1-9]\d{0,9}) ([\x21-\x7e]{1,70})\s*")  # RFC 1939 §7: UIDL


def find(is_it: Callable[[bytes], bool], seen: Collection[bytes] = ()) -> Work[tuple[bool, frozenset[bytes]]]:
    """Return whether the maildrop holds the message, by its header, and the unique identifiers of what it holds.

    Headers are read of what is new: of messages whose identifiers were not `seen` before.
    """
    yield from command(b"UIDL")
    listed: list[tuple[int, bytes]] = []
    for line in (yield from read_multiline()):
        if not (parsed := _LISTED.fullmatch(line)):
            raise ProtocolViolation(f"not a line of an answer to UIDL: {excerpt(line)}")
        listed.append((int(parsed[1]), parsed[2]))
    identifiers = frozenset(identifier for _, identifier in listed)
    new = sorted(number for number, identifier in listed if identifier not in seen)
    for number in reversed(new[-MAX_NEW:]):  # the last one is the newest
        yield from command(b"TOP %d 0" % number)
        if is_it(b"\r\n".join((yield from read_multiline()))):
            return True, identifiers
    return False, identifiers
