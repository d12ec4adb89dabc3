"""What an IMAP probe looks at after the login (RFC 3501, RFC 6154, RFC 9208): folders, messages, quota.

What is not needed and odd is passed over: one folder with a strange name must not hide the others. What is needed and
odd is a `ProtocolViolation` with the server's words.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from operator import itemgetter

from exporter.model.outcome import Folder, Quota
from exporter.model.settings import Role
from exporter.probing.dialogue import (
    MAX_FOLDERS,
    MAX_LIST,
    Dialogue,
    Note,
    PassOver,
    ProtocolViolation,
    Refusal,
    ResponseTooLarge,
    excerpt,
)
from exporter.probing.imap_responses import Answers, Response, command, quote

# RFC 6154 §2: an attribute of the mailbox gives its role; the name is in the user's language, but for INBOX (RFC 3501
# §5.1).
_ROLE_OF_ATTRIBUTE = {
    b"\\SENT": Role.SENT,
    b"\\DRAFTS": Role.DRAFTS,
    b"\\TRASH": Role.TRASH,
    b"\\JUNK": Role.SPAM,
    b"\\ALL": Role.ALL,
    b"\\FLAGGED": Role.STARRED,
    b"\\IMPORTANT": Role.IMPORTANT,  # RFC 8457 §2
}
_NOT_SELECTABLE = frozenset({b"\\NOSELECT", b"\\NONEXISTENT"})  # RFC 3501 §7.2.2, RFC 5258 §3: it holds no messages

# What shows that a line which is no LIST response was meant for the folder of a role.
_MARKS = {role: re.compile(re.escape(mark) + rb"\b", re.IGNORECASE) for mark, role in _ROLE_OF_ATTRIBUTE.items()}
_MARKS[Role.INBOX] = re.compile(rb"\bINBOX\b", re.IGNORECASE)

_LIST = re.compile(
    rb"""\*\ LIST\ +\((?P<attributes>[^(){"]*)\)\ +(?:"(?:[^"\\]|\\.)?"|NIL)\ + # hierarchy delimiter
    (?P<name>"(?:[^"\\]|\\.)*"|\{\d+\+?\}|[^\s"(){]+)
    (?:\ +\(.*|\ *)$ # RFC 5258, section 6: extended data items""",
    re.IGNORECASE | re.VERBOSE | re.DOTALL,
)
# Its data, behind the name, which may contain anything: those of an item that nothing asked for may have parentheses.
_STATUS = re.compile(rb"""\* STATUS +("(?:[^"\\]|\\.)*"|\{\d+\+?\}|[^\s"(){]+) *(\(.*)""", re.IGNORECASE | re.DOTALL)
_MESSAGES = re.compile(rb"(?:^|[ (])MESSAGES +(\d{1,10})[ )]", re.IGNORECASE)
_UNSEEN = re.compile(rb"(?:^|[ (])UNSEEN +(\d{1,10})[ )]", re.IGNORECASE)
_EXISTS = re.compile(rb"\* (\d{1,10}) +EXISTS\b", re.IGNORECASE)
_RECEIVED = re.compile(
    rb"""[( ]INTERNALDATE\ +"\ ?(?P<day>\d{1,2})-(?P<month>[A-Z]{3})-(?P<year>\d{4})
    \ (?P<time>\d\d:\d\d:\d\d)\ (?P<zone>[+-]\d{4})\" """,
    re.IGNORECASE | re.VERBOSE,
)
_MONTHS = (b"JAN", b"FEB", b"MAR", b"APR", b"MAY", b"JUN", b"JUL", b"AUG", b"SEP", b"OCT", b"NOV", b"DEC")
_STORAGE = re.compile(rb"[( ]STORAGE +(\d{1,15}) +(\d{1,15})[ )]", re.IGNORECASE)


class _Listing(Answers):
    """The answer to a LIST, read while it arrives: the names of the folders by role. Other responses are kept."""

    def __init__(self) -> None:
        super().__init__(lenient=True)
        self.names: dict[Role, bytes] = {}
        self.odd: dict[Role | None, bytes] = {}
        """The first line that is not of the grammar: for the folder of a role, and for one that is not known."""
        self.ignored = 0
        """LIST responses that are not of the grammar."""
        self._count = 0

    def append(self, response: Response) -> None:
        """Read a LIST response; keep any other."""
        self._count += 1
        if self._count > MAX_FOLDERS:
            raise ResponseTooLarge(f"more than {MAX_FOLDERS} responses to LIST")
        if response.kind != b"LIST":
            super().append(response)
            return
        parsed = _parse(response)
        if parsed is None:
            self.ignored += 1
            self._suspect(response.line)
            return
        attributes, name = parsed
        if attributes & _NOT_SELECTABLE:
            return
        if name.upper() == b"INBOX":
            self.names[Role.INBOX] = name
        for attribute in attributes & _ROLE_OF_ATTRIBUTE.keys():
            self.names[_ROLE_OF_ATTRIBUTE[attribute]] = name

    def pass_over(self, line: bytes) -> None:
        """Take note of a line that is no response; it may be a part of one."""
        super().pass_over(line)
        if line:
            self._suspect(line)

    def _suspect(self, line: bytes) -> None:
        roles: list[Role | None] = [role for role, mark in _MARKS.items() if mark.search(line)]
        for role in roles or [None]:
            self.odd.setdefault(role, line)


def _parse(response: Response) -> tuple[set[bytes], bytes] | None:
    """Return the attributes, in capitals, and the name of a LIST response (RFC 3501 §7.2.2); None for an odd one.

    A name with a line end or a NUL is odd, too: it could not be sent back.
    """
    parsed = _LIST.match(response.line)
    if not parsed or (parsed["name"].startswith(b"{") and not response.literals):
        return None
    name = _unquoted(parsed["name"], response)
    if re.search(rb"[\r\n\0]", name):
        return None
    return set(parsed["attributes"].upper().split()), name


def _unquoted(name: bytes, response: Response) -> bytes:
    """Return the name that is an atom, a quoted string or the first literal of a response."""
    if name.startswith(b"{") and response.literals:
        return response.literals[0]
    return re.sub(rb"\\(.)", rb"\1", name[1:-1]) if name.startswith(b'"') else name


def read_folders(tags: Iterator[bytes], capabilities: frozenset[bytes], wanted: Sequence[Role]) -> Dialogue[str]:
    """Find the wanted folders by LIST and count their messages by STATUS; return what is wrong, "" if nothing is."""
    listing = yield from find_folders(tags, capabilities, wanted)
    folders = []
    for role in wanted:
        if role in listing.names:
            messages, unseen = yield from _count_messages(next(tags), listing.names[role])
            folders.append(Folder(role, visible=True, messages=messages, unseen=unseen))
        else:
            folders.append(Folder(role, visible=False))
    yield Note("folders", tuple(folders))
    hidden = [folder.role.value for folder in folders if not folder.visible]
    if not hidden:
        return ""
    strange = f"; a line is not understood: {excerpt(listing.odd[None])}" if None in listing.odd else ""
    return f"not visible: {', '.join(hidden)}{strange}"


def find_folders(tags: Iterator[bytes], capabilities: frozenset[bytes], wanted: Sequence[Role]) -> Dialogue[_Listing]:
    """List the wanted folders, and perhaps others.

    An account may have 15,000 folders. Where the server can select those of a special use (RFC 6154 §5.2 with RFC 5258
    §3, or RFC 9051 §6.3.9.1), it lists only them; INBOX is always there, and its STATUS shows whether it can be used.
    All folders are listed where one is missing: not every server that offers the selection knows it.
    """
    if not set(wanted) - {Role.INBOX}:
        listing = yield from _list(next(tags), b'LIST "" "INBOX"', wanted)
        if wanted and Role.INBOX not in listing.names and None in listing.odd:
            raise ProtocolViolation(f"not a LIST response: {excerpt(listing.odd[None])}")
        return listing
    if b"IMAP4REV2" in capabilities or {b"LIST-EXTENDED", b"SPECIAL-USE"} <= capabilities:
        try:
            listing = yield from _list(next(tags), b'LIST (SPECIAL-USE) "" "*"', ())
        except Refusal as refusal:
            if not refusal.in_step:
                raise
        else:
            listing.names[Role.INBOX] = b"INBOX"
            if listing.names.keys() >= set(wanted):
                return listing
    return (yield from _list(next(tags), b'LIST "" "*"', wanted))


def _list(tag: bytes, text: bytes, wanted: Sequence[Role]) -> Dialogue[_Listing]:
    """Send a LIST and read the answer.

    Raises:
        ProtocolViolation: the line of a folder that is wanted is not of the grammar.
    """
    listing = _Listing()
    yield from command(tag, text, listing, most=MAX_LIST)
    if listing.ignored:
        yield PassOver(listing.ignored)
    for role in wanted:
        if role not in listing.names and role in listing.odd:
            raise ProtocolViolation(f"not a LIST response: {excerpt(listing.odd[role])}")
    return listing


def _count_messages(tag: bytes, name: bytes) -> Dialogue[tuple[int, int | None]]:
    """STATUS (RFC 3501 §6.3.10): the number of messages, and of those not read, where the server sends it.

    The name is sent back as LIST returned it; quoted, it may contain anything. The answer may name the folder in other
    words, and a server may tell of another folder: one that has the name counts before any other.
    """
    text = b"STATUS " + quote(name) + b" (MESSAGES UNSEEN)"
    answers = yield from command(tag, text, Answers(lenient=True), repeats=True)
    lines = [response for response in answers if response.kind == b"STATUS"]
    for _, items in sorted((_items_of(response, name) for response in lines), key=itemgetter(0)):
        if messages := _MESSAGES.search(items):
            if len(lines) > 1:
                yield PassOver(len(lines) - 1)
            unseen = _UNSEEN.search(items)
            return int(messages[1]), int(unseen[1]) if unseen else None
    raise ProtocolViolation(
        f"not a STATUS response: {excerpt(lines[0].line)}" if lines else "no STATUS response before the tagged OK"
    )


def _items_of(response: Response, name: bytes) -> tuple[bool, bytes]:
    """Return whether a STATUS response has another name than this one, and its items."""
    if not (parsed := _STATUS.match(response.line)):
        return True, response.line.rpartition(b"(")[2]
    return _unquoted(parsed[1], response).upper() != name.upper(), parsed[2]


def read_quota(tag: bytes) -> Dialogue[None]:
    """GETQUOTAROOT (RFC 9208 §4.1.2): storage, in units of 1,024 octets. A refusal is no failure of the probe."""
    try:
        responses = yield from command(tag, b'GETQUOTAROOT "INBOX"', Answers(lenient=True))
    except Refusal as refusal:
        if not refusal.in_step:
            raise
        return
    for response in responses:
        if response.kind == b"QUOTA" and (storage := _STORAGE.search(response.line)):
            yield Note("quota", Quota(used=int(storage[1]) * 1024, limit=int(storage[2]) * 1024))
            return


def read_newest(tags: Iterator[bytes]) -> Dialogue[None]:
    """EXAMINE and FETCH (RFC 3501 §6.3.2, §6.4.5): when the newest message of the inbox came. A refusal is no failure.

    EXAMINE changes nothing in the mailbox, and INTERNALDATE is the time at which the server received the message.
    """
    try:
        opened = yield from command(next(tags), b'EXAMINE "INBOX"', Answers(lenient=True))
        counts = [int(found[1]) for response in opened if (found := _EXISTS.match(response.line))]
        if not counts or not counts[-1]:
            return
        fetched = yield from command(next(tags), b"FETCH %d (INTERNALDATE)" % counts[-1], Answers(lenient=True))
    except Refusal as refusal:
        if not refusal.in_step:
            raise
        return
    for response in fetched:
        if (received := _RECEIVED.search(response.line)) and (at := _unix(received)) is not None:
            yield Note("newest_at", at)
            return


def _unix(date: re.Match[bytes]) -> float | None:
    """Return a date-time (RFC 3501 §9) in Unix seconds; None where there is no such time."""
    month = date["month"].upper()
    if month not in _MONTHS:
        return None
    parts = (
        date["year"].decode(),
        _MONTHS.index(month) + 1,
        int(date["day"]),
        date["time"].decode(),
        date["zone"].decode(),
    )
    try:
        return datetime.strptime("{}-{}-{} {} {}".format(*parts), "%Y-%m-%d %H:%M:%S %z").timestamp()
    except (ValueError, OverflowError):
        return None
