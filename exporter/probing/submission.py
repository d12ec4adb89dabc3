"""Submission of a message (RFC 6409, RFC 5321) after the login, as sans-IO work."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress

from exporter.probing.dialogue import Arrival, Dialogue, MessageTooLarge, Refusal, Send, Work, answering
from exporter.probing.smtp import command, expect

_DOT = re.compile(rb"^\.", re.MULTILINE)
_END = b".\r\n"
_ACCEPTED = 250, 251, 252
"""To RCPT: 251 takes the message for a user who is elsewhere, 252 for one who is not verified (RFC 5321 §4.2.3)."""


def submit(extensions: Sequence[str], sender: str, recipient: str, message: bytes) -> Work[float]:
    """Submit a message, and return when the server had accepted it, in seconds of `time.perf_counter`.

    `extensions` are those of the last EHLO. The message is 7-bit text in lines that end in CRLF, the last one too.

    Raises:
        Refusal: the server refused; `command` says at which command. It holds no transaction any more.
        MessageTooLarge: the server takes no message of this size.
    """
    offered = {words[0].upper(): words[1:] for words in map(str.split, extensions) if words}
    mail = b"MAIL FROM:<%s>" % sender.encode("ascii")
    if "SIZE" in offered:
        _check_size(offered["SIZE"], len(message))
        mail += b" SIZE=%d" % len(message)  # RFC 1870 §6
    to = b"RCPT TO:<%s>" % recipient.encode("ascii")
    try:
        if "PIPELINING" in offered:
            yield from _begin_together(mail, to)
        else:
            yield from _begin(mail, to)
        # RFC 5321 §4.5.2: a dot at the beginning of a line is doubled.
        with answering("the message"):
            yield Send(_DOT.sub(b"..", message) + _END, b"(a message of %d octets)\r\n" % len(message))
            yield from expect(250)
    except Refusal as refusal:
        if refusal.in_step:
            yield from _reset()
        raise
    at: float = yield Arrival()
    return at


def _begin(mail: bytes, to: bytes) -> Dialogue[None]:
    """Send each command when the one before is accepted."""
    for text, codes in (mail, (250,)), (to, _ACCEPTED), (b"DATA", (354,)):
        with answering(text.decode("ascii").split()[0]):
            yield from command(text, *codes)


def _begin_together(mail: bytes, to: bytes) -> Dialogue[None]:
    """Send all commands at once, and read all replies (RFC 2920 §3.1)."""
    yield Send(b"\r\n".join((mail, to, b"DATA")) + b"\r\n")
    first: Refusal | None = None
    for name, codes in ("MAIL", (250,)), ("RCPT", _ACCEPTED), ("DATA", (354,)):
        try:
            with answering(name):
                yield from expect(*codes)
        except Refusal as refusal:
            first = first or refusal
            if not refusal.in_step:
                first.in_step = False
                raise first from None
        else:
            if name == "DATA" and first:
                # RFC 2920 §3.1: a server may take DATA where there is no recipient; then only a dot ends it.
                yield Send(_END)
                with suppress(Refusal):  # of a message to nobody
                    yield from expect(250)
    if first:
        raise first


def _reset() -> Dialogue[None]:
    """RSET (RFC 5321 §4.1.1.5). Whatever the server says to it, the refusal before it is what is told."""
    with suppress(Refusal):
        yield from command(b"RSET", 250)


def _check_size(parameters: Sequence[str], size: int) -> None:
    # RFC 1870 §4: without a number, or with 0, no fixed limit is told.
    limit = int(parameters[0]) if parameters and re.fullmatch(r"[0-9]{1,20}", parameters[0]) else 0
    if 0 < limit < size:
        raise MessageTooLarge(f"the server takes messages of {limit} octets, and this one has {size}")
