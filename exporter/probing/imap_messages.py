"""Finding messages over IMAP, and moving them to the trash (RFC 3501, RFC 6851, RFC 4315), as sans-IO work.

Folders are opened by EXAMINE to look for messages, which cannot change anything; by SELECT only to clear some away. Of
a message no more is fetched than a few fields of its header, and no flag is set by that (BODY.PEEK). A session never
sends CLOSE or EXPUNGE, which would remove what other clients have marked as deleted.
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

FIELDS = (b"MESSAGE-ID", b"RECEIVED", b"AUTHENTICATION-RESULTS")
"""What is read of a message that is found."""

_UID = re.compile(rb"[ (]UID (\d{1,10})[ )]", re.IGNORECASE)
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
    """Return the header of the message with this Message-ID in a folder, and when its number arrived; else None.

    The folder is open afterwards, read-only.
    """
    yield from _open(next(tags), b"EXAMINE", folder)
    uids = yield from _search(next(tags), b"HEADER MESSAGE-ID " + quote(message_id.encode("ascii")))
    at: float = yield Arrival()
    headers = yield from _headers(tags, uids)
    return next(((header, at) for _, header in headers if is_it(header)), None)


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
    return len((yield from _ours(tags, subject, is_ours)))


def clear(
    tags: Iterator[bytes],
    capabilities: frozenset[bytes],
    folders: tuple[bytes, bytes],
    subject: str,
    is_ours: Callable[[bytes], bool],
) -> Work[int]:
    """Move our messages from the first folder to the second, the trash; return how many there were.

    Only those are touched whose header `is_ours`, and only by their unique identifiers.

    Raises:
        CannotClear: the server offers neither MOVE nor UIDPLUS, and there is something to clear.
    """
    folder, trash = folders
    yield from _open(next(tags), b"SELECT", folder)
    uids = yield from _ours(tags, subject, is_ours)
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


def _ours(tags: Iterator[bytes], subject: str, is_ours: Callable[[bytes], bool]) -> Dialogue[list[int]]:
    uids = yield from _search(next(tags), b"SUBJECT " + quote(subject.encode("ascii")))
    headers = yield from _headers(tags, uids)
    return sorted({uid for uid, header in headers if is_ours(header)} & set(uids))


def _open(tag: bytes, how: bytes, folder: bytes) -> Dialogue[None]:
    yield from command(tag, how + b" " + quote(folder), Answers(lenient=True), repeats=True)


def _say(tag: bytes, text: bytes) -> Dialogue[None]:
    yield from command(tag, text, Answers(lenient=True), repeats=True)


def _search(tag: bytes, text: bytes) -> Dialogue[list[int]]:
    """UID SEARCH (RFC 3501 §6.4.8); deleted messages are no longer there for people."""
    answers = yield from command(tag, b"UID SEARCH UNDELETED " + text, Answers(lenient=True), most=MAX_LIST)
    uids: set[int] = set()
    for response in answers:
        if response.kind == b"SEARCH":
            uids.update(int(word) for word in response.line.split()[2:] if re.fullmatch(rb"[1-9][0-9]{0,9}", word))
    return sorted(uids)[-MAX_FOUND:]


def _headers(tags: Iterator[bytes], uids: Sequence[int]) -> Dialogue[list[tuple[int, bytes]]]:
    """Return the identifier and the fields of each message; of long ones, the first octets."""
    found: list[tuple[int, bytes]] = []
    item = b"BODY.PEEK[HEADER.FIELDS (%s)]<0.%d>" % (b" ".join(FIELDS), MAX_LITERAL)
    for first in range(0, len(uids), _AT_ONCE):
        text = b"UID FETCH %s (UID %s)" % (_set(uids[first : first + _AT_ONCE]), item)
        answers = yield from command(next(tags), text, Answers(lenient=True))
        found += [
            (int(uid[1]), response.literals[0])
            for response in answers
            if _is_fetch(response) and len(response.literals) == 1 and (uid := _UID.search(response.line))
        ]
    return found


def _is_fetch(response: Response) -> bool:
    return response.line.upper().split(b" ")[2:3] == [b"FETCH"]


def _set(uids: Sequence[int]) -> bytes:
    return b",".join(b"%d" % uid for uid in uids)
