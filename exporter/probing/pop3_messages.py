"""Finding a message over POP3 (RFC 1939) as sans-IO work. Nothing is retrieved but headers, and nothing is deleted."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection

from exporter.probing.dialogue import Dialogue, ProtocolViolation, Work, answering, excerpt
from exporter.probing.pop3 import command, read_multiline

MAX_NEW = 20
"""Messages whose headers are read, the newest ones."""

MAX_LISTED = 8000
"""Messages of a maildrop that are listed; of more, only the newest are, one by one."""

_LISTED = re.compile(rb"([1-9]\d{0,9}) ([\x21-\x7e]{1,70})\s*")  # RFC 1939 §7: UIDL


def find(
    is_it: Callable[[bytes], bool], seen: Collection[bytes] = (), held: int = 0
) -> Work[tuple[bool, frozenset[bytes]]]:
    """Return whether the maildrop holds the message, by its header, and the unique identifiers of what was listed.

    Headers are read of what is new: of messages whose identifiers were not `seen` before. `held` is how many messages
    the maildrop holds, by STAT.
    """
    listed = yield from (_list_newest(held) if held > MAX_LISTED else _list())
    identifiers = frozenset(identifier for _, identifier in listed)
    new = sorted(number for number, identifier in listed if identifier not in seen)
    for number in reversed(new[-MAX_NEW:]):  # the last one is the newest
        with answering("TOP"):
            yield from command(b"TOP %d 0" % number)
        if is_it(b"\r\n".join((yield from read_multiline()))):
            return True, identifiers
    return False, identifiers


def _list() -> Dialogue[list[tuple[int, bytes]]]:
    """UIDL (RFC 1939 §7): the number and the unique identifier of each message."""
    with answering("UIDL"):
        yield from command(b"UIDL")
    return [_parse(line) for line in (yield from read_multiline())]


def _list_newest(held: int) -> Dialogue[list[tuple[int, bytes]]]:
    """UIDL of a message, for each of the newest."""
    listed = []
    for number in range(held - MAX_NEW + 1, held + 1):
        with answering("UIDL"):
            line = yield from command(b"UIDL %d" % number)
        listed.append(_parse(line[len(b"+OK ") :]))
    return listed


def _parse(line: bytes) -> tuple[int, bytes]:
    if not (parsed := _LISTED.fullmatch(line)):
        raise ProtocolViolation(f"not a line of an answer to UIDL: {excerpt(line)}")
    return int(parsed[1]), parsed[2]
