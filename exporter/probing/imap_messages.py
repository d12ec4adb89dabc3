"""Finding messages over IMAP, and moving them to the trash (RFC 3501, RFC 6851, RFC 4315), as sans-IO work.

Folders are opened by EXAMINE to look for messages, which cannot change anything; by SELECT only to clear some away. Of
a message no more is fetched than its Message-ID, and of the one that is looked for two fields more; no flag is set by
that (BODY.PEEK). A session never sends CLOSE or EXPUNGE, which would remove what other clients have marked as deleted.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence

from exporter.model.settings import Role
from exporter.probing.dialogue import (
    MAX_LIST,
    MAX_LITERAL,
    Arrival,
    CannotClear,
    Dialogue,
    PassOver,
    ProtocolViolation,
    ReadLine,
    Send,
    Work,
    excerpt,
)
from exporter.probing.imap_folders import find_folders
from exporter.probing.imap_responses import Answers, Response, command, quote, read_answer, refusal_of

MAX_FOUND = 500
"""Messages of a search whose headers are read, the newest ones; any more are of somebody who imitates ours."""

_AT_ONCE = 50  # messages in one command: a line has its limit, and so has an answer

_IDENTIFIER = b"MESSAGE-ID"
"""What is read of each message of a search. What is long, and stands above it in a header, must not cut it off."""

_WAY = b"RECEIVED AUTHENTICATION-RESULTS"
"""What is read of the message that is looked for."""

_QUOTED = re.compile(rb'"(?:[^"\\]|\\.)*(?:"|\\?$)')  # one that does not end goes to the end of the line
_UID = re.compile(rb"(?<=[ (])UID (\d{1,10})(?=[ )])", re.IGNORECASE)
# Where a literal was, and what it is if it is a header: a server may add items that nobody asked for (RFC 3501 §7.4.2).
_LITERAL = re.compile(rb"(BODY\[HEADER\.FIELDS \([^()]{0,100}\)\](?:<0>)?)?[ (]~?\{\d{1,10}\+?\}(?= |$)", re.IGNORECASE)
_EXISTS = re.compile(rb"\* \d+ EXISTS$", re.IGNORECASE)


def list_folders(
    tags: Iterator[bytes], capabilities: frozenset[bytes], wanted: Sequence[Role]
) -> Work[Mapping[Role, bytes]]:
    """Return the names of the wanted folders by their special use, as far as they are visible."""
    found = (yield from find_folders(tags, capabilities, wanted)).names
    # RFC 3501 §5.1: INBOX is there, whatever LIST shows.
    return {Role.INBOX: b"INBOX", **found} if Role.INBOX in wanted else found


def capability(tag: bytes) -> Work[frozenset[bytes]]:
    """Return the names of the capabilities after the login, in capitals."""
    names: set[bytes] = set()
    for response in (yield from command(tag, b"CAPABILITY", Answers(lenient=True))):
        if response.kind == b"CAPABILITY":
            names.update(response.line.upper().split()[2:])
    return frozenset(names)


def look_for(
    tags: Iterator[bytes], folder: bytes, message_id: str, is_it: Callable[[bytes], bool]
) -> Work[tuple[bytes, float] | None]:
    """Find the message with this Message-ID in a folder: return the fields of its way, and when its number arrived.

    The folder is open afterwards, read-only. Deleted messages are no longer there for people.
    """
    yield from _open(next(tags), b"EXAMINE", folder)
    uids = yield from _search(next(tags), b"UNDELETED HEADER MESSAGE-ID " + quote(message_id.encode("ascii")))
    at: float = yield Arrival()
    found = [uid for uid, header in (yield from _headers(tags, uids, _IDENTIFIER)) if is_it(header)][:1]
    if not found:
        return None
    headers = yield from _headers(tags, found, _WAY)
    return b"".join(header for _, header in headers), at


def idle(tag: bytes, seconds: float) -> Work[float | None]:
    """IDLE (RFC 2177) for so many seconds at most; return when the server told of another message, else None."""
    yield Send(tag + b" IDLE\r\n")
    answers = Answers(lenient=True)
    yield from read_answer(tag, answers, challenge=True, final=False)
    now: float = yield Arrival()
    ends_at = now + seconds
    # The server may tell of a message before it says that it idles.
    at = now if any(_EXISTS.match(each.line) for each in answers) else None
    while at is None and now < ends_at:  # what other clients do in the folder is told, too, and may go on for ever
        line: bytes | None = yield ReadLine(within=ends_at - now)
        if line is None:
            break
        now = yield Arrival()
        if b"\0" in line or line.upper().startswith(tag.upper() + b" "):
            raise ProtocolViolation(f"an end of IDLE that nothing asked for: {excerpt(line)}")
        if _EXISTS.match(line):
            at = now
        elif line.upper().startswith(b"* BYE"):
            raise refusal_of([Response(line)], closing=True)
        elif not line.startswith(b"* "):
            answers.pass_over(line)
            yield PassOver()
    yield Send(b"DONE\r\n")
    yield from read_answer(tag, Answers(lenient=True))
    return at


def noop(tag: bytes) -> Work[None]:
    """NOOP (RFC 3501 §6.1.2): the server may tell what is new."""
    yield from command(tag, b"NOOP", Answers(lenient=True))


def survey(tags: Iterator[bytes], folder: bytes, subject: str, is_ours: Callable[[bytes], bool]) -> Work[int]:
    """Return how many messages of a folder with these words in the subject are ours, by their header."""
    yield from _open(next(tags), b"EXAMINE", folder)
    return len((yield from _ours(tags, b"UNDELETED " + _about(subject), is_ours)))


def clear(
    tags: Iterator[bytes],
    capabilities: frozenset[bytes],
    folders: tuple[bytes, bytes],
    subject: str,
    is_ours: Callable[[bytes], bool],
) -> Work[int]:
    """Move our messages from the first folder to the second, the trash; return how many there were.

    Only those are touched whose header `is_ours`, and only by their unique identifiers; those too that an end between
    STORE and EXPUNGE has left behind as deleted.

    Raises:
        CannotClear: the server offers neither MOVE nor UIDPLUS, and there is something to clear.
    """
    folder, trash = folders
    yield from _open(next(tags), b"SELECT", folder)
    uids = yield from _ours(tags, _about(subject), is_ours)
    for first in range(0, len(uids), _AT_ONCE):
        some = _set(uids[first : first + _AT_ONCE])
        if b"MOVE" in capabilities or b"IMAP4REV2" in capabilities:  # RFC 9051 appendix E
            yield from _say(next(tags), b"UID MOVE " + some + b" " + quote(trash))
        elif b"UIDPLUS" in capabilities:
            yield from _say(next(tags), b"UID COPY " + some + b" " + quote(trash))
            yield from _say(next(tags), b"UID STORE " + some + b" +FLAGS.SILENT (\\Deleted)")
            yield from _say(next(tags), b"UID EXPUNGE " + some)  # RFC 4315 §2.1: these alone
        else:
            raise CannotClear("the server offers neither MOVE (RFC 6851) nor UIDPLUS (RFC 4315)")
    return len(uids)


def _about(subject: str) -> bytes:
    return b"SUBJECT " + quote(subject.encode("ascii"))


def _ours(tags: Iterator[bytes], search: bytes, is_ours: Callable[[bytes], bool]) -> Dialogue[list[int]]:
    uids = yield from _search(next(tags), search)
    headers = yield from _headers(tags, uids, _IDENTIFIER)
    return sorted({uid for uid, header in headers if is_ours(header)})


def _open(tag: bytes, how: bytes, folder: bytes) -> Dialogue[None]:
    yield from command(tag, how + b" " + quote(folder), Answers(lenient=True), repeats=True)


def _say(tag: bytes, text: bytes) -> Dialogue[None]:
    yield from command(tag, text, Answers(lenient=True), repeats=True)


def _search(tag: bytes, text: bytes) -> Dialogue[list[int]]:
    """UID SEARCH (RFC 3501 §6.4.8)."""
    answers = yield from command(tag, b"UID SEARCH " + text, Answers(lenient=True), most=MAX_LIST)
    uids: set[int] = set()
    for response in answers:
        if response.kind == b"SEARCH":
            uids.update(int(word) for word in response.line.split()[2:] if re.fullmatch(rb"[1-9][0-9]{0,9}", word))
    return sorted(uids)[-MAX_FOUND:]


def _headers(tags: Iterator[bytes], uids: Sequence[int], fields: bytes) -> Dialogue[list[tuple[int, bytes]]]:
    """Return the identifier and some fields of each of these messages; of long ones, the first octets."""
    found: list[tuple[int, bytes]] = []
    item = b"BODY.PEEK[HEADER.FIELDS (%s)]<0.%d>" % (fields, MAX_LITERAL)
    for first in range(0, len(uids), _AT_ONCE):
        text = b"UID FETCH %s (UID %s)" % (_set(uids[first : first + _AT_ONCE]), item)
        answers = yield from command(next(tags), text, Answers(lenient=True))
        found += filter(None, map(_header, answers))
    asked = set(uids)
    return [(uid, header) for uid, header in found if uid in asked]


def _header(response: Response) -> tuple[int, bytes] | None:
    """Return the identifier and the header of a FETCH response, whatever else is in it; None for any other."""
    line = _QUOTED.sub(b'""', response.line)
    uids: set[bytes] = set(_UID.findall(line))
    if len(uids) != 1 or line.upper().split(b" ")[2:3] != [b"FETCH"]:
        return None
    literals = response.literals
    if len(literals) > 1:
        items = [found[1] for found in _LITERAL.finditer(line)]
        is_plain = len(items) == len(literals)
        literals = tuple(octets for item, octets in zip(items, literals, strict=False) if item and is_plain)
    return (int(uids.pop()), literals[0]) if literals else None


def _set(uids: Sequence[int]) -> bytes:
    return b",".join(b"%d" % uid for uid in uids)
