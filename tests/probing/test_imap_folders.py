"""The folders of an IMAP account; sessions with them are in the transcripts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import count

import pytest

from exporter.model.outcome import Folder
from exporter.model.settings import Role
from exporter.probing.dialogue import (
    MAX_FOLDERS,
    MAX_LIST,
    MAX_REPLY,
    Note,
    PassOver,
    ProtocolViolation,
    ReadLine,
    ResponseTooLarge,
    Send,
)
from exporter.probing.imap_folders import _parse, read_folders, read_newest
from exporter.probing.imap_responses import Response

SELECTING = frozenset({b"LIST-EXTENDED", b"SPECIAL-USE"})


class Server:
    """Answers LIST with `listed` lines, or with others where it selects, and STATUS with a number."""

    def __init__(self, listed: Sequence[bytes], selected: Sequence[bytes] = ()) -> None:
        self.listed = listed
        self.selected = selected
        self.status = b"x (MESSAGES 7)"
        self.sent: list[Send] = []
        self.folders: tuple[Folder, ...] = ()
        self.ignored = 0
        self.steps = 0

    def answer(self, data: bytes) -> list[bytes]:
        """The lines of the answer to a command."""
        tag, command = data.split(b" ", 1)
        if command.startswith(b"STATUS"):
            return [b"* STATUS " + self.status, tag + b" OK"]
        return [*(self.selected if b"(SPECIAL-USE)" in command else self.listed), tag + b" OK"]

    def read(self, wanted: Sequence[Role], capabilities: frozenset[bytes] = frozenset()) -> str:
        """Look at the folders; return what is wrong."""
        looking = read_folders((b"a%d" % number for number in count(1)), capabilities, wanted)
        lines: Iterator[bytes] = iter(())
        try:
            step = next(looking)
            while True:
                self.steps += 1
                if isinstance(step, Send):
                    self.sent.append(step)
                    lines = iter(self.answer(step.data))
                elif isinstance(step, PassOver):
                    self.ignored += step.count
                elif isinstance(step, Note):
                    self.folders = step.value
                step = looking.send(next(lines) if isinstance(step, ReadLine) else None)
        except StopIteration as end:
            return str(end.value)


def commands(server: Server) -> list[bytes]:
    """What was sent, but STATUS."""
    return [send.data for send in server.sent if b"STATUS" not in send.data]


@pytest.mark.parametrize("wanted", [(), (Role.INBOX,)])
@pytest.mark.parametrize("capabilities", [frozenset(), SELECTING])
def test_inbox_alone(wanted: Sequence[Role], capabilities: frozenset[bytes]) -> None:
    """Where no other folder is wanted, no other is listed."""
    server = Server([b'* LIST () "/" "inbox"'])
    assert server.read(wanted, capabilities) == ""
    assert commands(server) == [b'a1 LIST "" "INBOX"\r\n']
    assert [folder.role for folder in server.folders] == [*wanted]


def test_selected() -> None:
    """Only the folders of a special use are listed, where the server can select them."""
    server = Server([], [b'* LIST (\\Sent) "/" Sent'])
    assert server.read([Role.INBOX, Role.SENT], SELECTING) == ""
    assert commands(server) == [b'a1 LIST (SPECIAL-USE) "" "*"\r\n']
    assert [(folder.role, folder.messages) for folder in server.folders] == [(Role.INBOX, 7), (Role.SENT, 7)]


def test_not_among_the_selected() -> None:
    """A folder that is not among them is looked for among all."""
    server = Server([b'* LIST (\\Sent) "/" Sent'])
    assert server.read([Role.SENT], SELECTING) == ""
    assert commands(server) == [b'a1 LIST (SPECIAL-USE) "" "*"\r\n', b'a2 LIST "" "*"\r\n']


def test_limits() -> None:
    """The answer to a LIST of all folders may be larger than any other, up to a number of lines."""
    line = b'* LIST (\\HasNoChildren) "/" "' + b"x" * 250 + b'"'
    assert 15_000 * len(line) < MAX_LIST
    server = Server([line] * 15_000 + [b'* LIST (\\Sent) "/" Sent'])
    assert server.read([Role.SENT]) == ""
    assert [send.most for send in server.sent] == [MAX_LIST, MAX_REPLY]
    with pytest.raises(ResponseTooLarge):
        Server([b"* LIST"] * (MAX_FOLDERS + 1)).read([Role.SENT])


@pytest.mark.parametrize("line", [b'* LIST () "/" name', b"* LIST odd", b'* LIST () "/" Odd{3}', b"* 1 EXISTS"])
def test_linear(line: bytes) -> None:
    """Twice as many folders take twice as many steps, odd ones, too."""
    steps = []
    for number in (1000, 2000):
        server = Server([line] * number)
        server.read([Role.SENT])
        steps.append(server.steps)
    assert steps[1] - steps[0] == 1000


@pytest.mark.parametrize(
    ("odd", "role"),
    [
        (b"* LIST (\\Sent) / Sent", Role.SENT),
        (b'* LIST (\\sent) "/"', Role.SENT),
        (b'* LIST (\\Junk) "//" Spam', Role.SPAM),
        (b'* LIST (\\All) "/" "All', Role.ALL),
        (b"* LIST (\\Trash)", Role.TRASH),
        (b"* LIST \\Flagged", Role.STARRED),
        (b"* LIST inbox", Role.INBOX),
    ],
)
def test_needed_and_odd(odd: bytes, role: Role) -> None:
    """The odd line of a wanted folder is told with its words; that of any other folder is passed over."""
    with pytest.raises(ProtocolViolation) as caught:
        Server([odd]).read([Role.DRAFTS, role])
    assert str(caught.value) == f"not a LIST response: '{odd.decode()}'"
    server = Server([odd, b'* LIST (\\Drafts) "/" Drafts'])
    assert server.read([Role.DRAFTS]) == ""
    assert server.ignored == 1


@pytest.mark.parametrize(
    ("line", "name"),
    [
        (b"* LIST (\\Sent) NIL Sent", b"Sent"),
        (b'* LIST (\\Sent) "" Sent', b"Sent"),
        (b'* list ( \\sent ) "." "Sent (old)"', b"Sent (old)"),
        (b'* LIST (\\Sent) "/" Sent ("OLDNAME" ("x"))', b"Sent"),
        (b'* LIST (\\Sent) "/" "a\\"b\\\\"', b'a"b\\'),
        ('* LIST (\\Sent) "/" "Отправленные"'.encode(), "Отправленные".encode()),
        (b'* LIST (\\Sent) "/" Sent(old)', None),
        (b'* LIST (\\Sent) "/" Sent Items', None),
    ],
)
def test_names(line: bytes, name: bytes | None) -> None:
    """A name is what the grammar says, and never a part of it: that would be another folder."""
    parsed = _parse(Response(line))
    assert (parsed[1] if parsed else None) == name


@pytest.mark.parametrize(
    ("status", "messages", "unseen"),
    [
        (b"x (MESSAGES 3 UNSEEN 1 MAILBOXID (F1))", 3, 1),
        (b"x (MAILBOXID (F1) UNSEEN 1 MESSAGES 3)", 3, 1),
        (b"x (MESSAGES 3 X-LIST (1 (2 3)) UNSEEN 1)", 3, 1),
        (b'"a(MESSAGES 7)" (X "(" MESSAGES 3)', 3, None),
        (b"x ( MESSAGES  3 )", 3, None),
        (b"x MESSAGES 3 UNSEEN 1", 3, None),
    ],
)
def test_items_that_nothing_asked_for(status: bytes, messages: int, unseen: int | None) -> None:
    """Whatever a server tells besides the numbers, and with parentheses, they are found (RFC 8474 §4)."""
    server = Server([b'* LIST () "/" INBOX'])
    server.status = status
    assert server.read([Role.INBOX]) == ""
    assert [(folder.messages, folder.unseen) for folder in server.folders] == [(messages, unseen)]


def test_hidden_beside_odd() -> None:
    """Where a folder is missing, a line is shown that is not understood: it may be that one."""
    odd = b"* LIST NIL NIL"
    assert Server([odd]).read([Role.SENT]) == "not visible: sent; a line is not understood: '* LIST NIL NIL'"
    with pytest.raises(ProtocolViolation, match=r"not a LIST response: '\* LIST NIL NIL'"):
        Server([odd]).read([Role.INBOX])


@pytest.mark.parametrize(
    ("date", "expected"),
    [
        (b"17-Jul-1996 02:44:25 -0700", 837596665.0),
        (b" 1-Jan-2020 00:00:00 +0000", 1577836800.0),
        (b"01-jan-2020 05:30:00 +0530", 1577836800.0),
        (b"31-Feb-2020 00:00:00 +0000", None),
        (b"01-Foo-2020 00:00:00 +0000", None),
        (b"01-Jan-0000 00:00:00 +0000", None),
        (b"01-Jan-2020 25:00:00 +0000", None),
        (b"01-Jan-2020 00:00:00 +9999", None),
        (b"yesterday", None),
    ],
)
def test_newest(date: bytes, expected: float | None) -> None:
    """When the last message came (RFC 3501, section 9: date-time); an odd date is none."""
    answers = {b"EXAMINE": [b"* FLAGS ()", b"* 12 EXISTS"], b"FETCH 12": [b'* 12 FETCH (INTERNALDATE "' + date + b'")']}
    assert _newest(answers) == ([] if expected is None else [expected])


@pytest.mark.parametrize(
    "answers",
    [
        {b"EXAMINE": [b"* 0 EXISTS"]},
        {b"EXAMINE": [b"* OK nothing"]},
        {b"EXAMINE": None},
        {b"EXAMINE": [b"* 3 EXISTS"], b"FETCH 3": None},
        {b"EXAMINE": [b"* 3 EXISTS"], b"FETCH 3": []},
    ],
)
def test_no_newest(answers: dict[bytes, list[bytes] | None]) -> None:
    """An empty inbox, and one that does not tell, is no failure."""
    assert _newest(answers) == []


def _newest(answers: Mapping[bytes, list[bytes] | None]) -> list[object]:
    """Ask a server that answers a command with these lines, or refuses it; return what is noted."""
    noted: list[object] = []
    lines: Iterator[bytes] = iter(())
    asking = read_newest(b"a%d" % number for number in count(1))
    try:
        step = next(asking)
        while True:
            if isinstance(step, Send):
                tag, command = step.data.split(b" ", 1)
                said = next(said for name, said in answers.items() if command.startswith(name))
                lines = iter([*(said or ()), tag + (b" OK" if said is not None else b" NO not now")])
            elif isinstance(step, Note):
                noted.append(step.value)
            step = asking.send(next(lines) if isinstance(step, ReadLine) else None)
    except StopIteration:
        return noted
