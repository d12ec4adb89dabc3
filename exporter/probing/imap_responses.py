"""IMAP's responses (RFC 3501 §7, RFC 9051 §7) as sans-IO dialogues: read, told apart, and raised where they refuse.

A response is a line, or several lines with literals between them (RFC 3501 §4.3). The answer to a command ends with the
line that has its tag. Untagged lines before it are kept: Gmail puts the reason of a refusal there.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from exporter.probing.dialogue import (
    MAX_IGNORED,
    MAX_LINE,
    MAX_LITERAL,
    MAX_REPLY,
    Dialogue,
    Note,
    PassOver,
    ProtocolViolation,
    ReadBytes,
    Refusal,
    ResponseTooLarge,
    Send,
    excerpt,
    read_line,
)

_LITERAL = re.compile(rb"[ (]~?\{(\d+)\+?\}$")  # RFC 3501 §9, RFC 9051 §9: an argument, or the first in parentheses
_OF_OTHER_TAG = re.compile(rb"[^\s*+]+ (?:OK|NO|BAD)(?: |$)", re.IGNORECASE)
_STATUS = (b"OK", b"NO", b"BAD", b"BYE", b"PREAUTH")
_TEMPORARY = re.compile(rb"\[(?:UNAVAILABLE|INUSE|LIMIT|OVERQUOTA|SERVERBUG)\b", re.IGNORECASE)  # RFC 5530 §3


@dataclass(init=False, slots=True)
class Response:
    """One response: its lines joined, with the size of each literal left in place, and the literals in order.

    Some servers send more than one space behind the first word: they are one here.
    """

    line: bytes
    literals: tuple[bytes, ...]
    tag: bytes
    """The first word: a tag, `*` or `+`."""
    kind: bytes
    """The second word in capitals: a status, or the name of the data."""

    def __init__(self, line: bytes, literals: tuple[bytes, ...] = ()) -> None:
        self.tag, space, rest = line.partition(b" ")
        rest = rest.lstrip(b" ")
        self.line, self.literals = self.tag + space + rest, literals
        self.kind = rest.partition(b" ")[0].upper()


class Answers(list[Response]):
    """The untagged responses to a command, in order.

    After the login, when the server has shown what it is, they are `lenient`: any line that is no response is passed
    over, but not the answer to another command. Before that only an empty one is, and one with a star, for the answer
    may be of another protocol.
    """

    def __init__(self, *, lenient: bool = False) -> None:
        super().__init__()
        self._lenient = lenient
        self._passed_over = 0

    def pass_over(self, line: bytes) -> None:
        """Take note of a line that is no response.

        Raises:
            ProtocolViolation: it is one that cannot be passed over.
            ResponseTooLarge: there are too many.
        """
        may_be_odd = not line or line.startswith(b"*") or (self._lenient and not _OF_OTHER_TAG.match(line))
        if not may_be_odd:
            what = "a continuation request" if line.startswith(b"+") else "an answer"
            raise ProtocolViolation(f"{what} that nothing asked for: {excerpt(line)}")
        self._passed_over += 1
        if self._passed_over > MAX_IGNORED:
            raise ResponseTooLarge(f"more than {MAX_IGNORED} lines that are not IMAP")


def _read_response() -> Dialogue[Response]:
    """Read one response with its literals."""
    line = yield from read_line()
    response = Response(line)
    literals: list[bytes] = []
    while not _ends_in_text(response) and (literal := _LITERAL.search(line)):
        # RFC 3501 §9: a number has 10 digits at most.
        if len(literal[1]) > 10 or int(literal[1]) > MAX_LITERAL:
            raise ResponseTooLarge(f"a literal of {literal[1].decode()} octets; at most {MAX_LITERAL} are read")
        literals.append((yield ReadBytes(int(literal[1]))))
        line += b" " + (yield from read_line()).lstrip(b" ")
        if len(line) > MAX_LINE:
            raise ResponseTooLarge(f"a response of more than {MAX_LINE} octets besides its literals")
        response = Response(line, tuple(literals))
    return response


def _ends_in_text(response: Response) -> bool:
    """Whether the line ends in text for people, where braces are not a literal."""
    return response.tag == b"+" or response.kind in _STATUS


def _read_until_tagged(tag: bytes, answers: Answers, *, challenge: bool, leaving: bool) -> Dialogue[Response]:
    """Add untagged responses to `answers`, and return the tagged one, or the continuation request where one may come.

    Raises:
        Refusal: the server sends BYE before the client is `leaving`.
    """
    while True:
        response = yield from _read_response()
        if response.tag == tag and response.kind in (b"OK", b"NO", b"BAD"):
            return response
        if response.tag == b"+" and challenge:
            return response
        if response.tag != b"*" or not response.kind:
            answers.pass_over(response.line)
            yield PassOver()
            continue
        if response.kind == b"BYE" and not leaving:
            raise refusal_of([*answers, response], closing=True)
        answers.append(response)


def read_answer(
    tag: bytes, answers: Answers, challenge: bool = False, final: bool = True, *, leaving: bool = False
) -> Dialogue[bool]:
    """Read up to a continuation request, and return True, or up to the tagged OK, and return False.

    `challenge` and `final`: which of the two may come, as in `sasl.ReadAnswer`. The tagged OK is added to `answers`.

    Raises:
        Refusal: the tagged line is NO or BAD.
        ProtocolViolation: the wrong one came; an OK before the login is complete proves nothing.
    """
    response = yield from _read_until_tagged(tag, answers, challenge=challenge, leaving=leaving)
    if response.tag == b"+":
        return True
    # Gmail adds [THROTTLED] to a tagged line, also to an OK, while it slows the account down.
    if response.line.rstrip().upper().endswith(b"[THROTTLED]"):
        yield Note("throttled", value=True)
    if response.kind != b"OK":
        raise refusal_of([*answers, response])
    if not final:
        raise ProtocolViolation(f"an OK before the login was complete: {excerpt(response.line)}")
    answers.append(response)
    return False


def command(
    tag: bytes,
    text: bytes,
    answers: Answers | None = None,
    *,
    most: int = MAX_REPLY,
    leaving: bool = False,
    repeats: bool = False,
) -> Dialogue[Answers]:
    """Send a command, whose answer has `most` octets, and return its untagged responses and the tagged one.

    It may have something in it that `repeats` the server.
    """
    answers = Answers() if answers is None else answers
    yield Send(tag + b" " + text + b"\r\n", most=most, repeats=repeats)
    yield from read_answer(tag, answers, leaving=leaving)
    return answers


def refusal_of(responses: Sequence[Response], *, closing: bool = False) -> Refusal:
    """Return a refusal with the text of all lines, untagged NO, BAD and BYE too: the reason may stand only there."""
    lines = [r.line for r in responses if r.tag != b"*" or r.kind in (b"NO", b"BAD", b"BYE")]
    text = b" ".join(line.partition(b" ")[2] for line in lines)
    return Refusal(text, temporary=True if _TEMPORARY.search(text) else None, closing=closing)


def quote(raw: bytes) -> bytes:
    """Return a quoted string (RFC 3501 §9)."""
    return b'"' + re.sub(rb'(["\\])', rb"\\\1", raw) + b'"'
