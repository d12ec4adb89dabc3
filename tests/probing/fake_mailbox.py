"""An IMAP server without a socket, as far as `imap_messages` needs one: it counts what is done to every message.

It knows RFC 3501's EXAMINE, SELECT, UID SEARCH, FETCH, STORE, COPY, EXPUNGE, CLOSE, RFC 6851's MOVE and RFC 4315's UID
EXPUNGE, in the form in which they are sent.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from email.parser import BytesHeaderParser
from typing import TYPE_CHECKING, Any, TypeVar

from exporter.probing.dialogue import MAX_LITERAL, Arrival, Note, PassOver, ReadBytes, ReadLine, Send

if TYPE_CHECKING:
    from exporter.probing.dialogue import Work

T = TypeVar("T")

_SPECIAL = {b"Spam": b"\\Junk", b"Trash": b"\\Trash", b"Sent": b"\\Sent"}


@dataclass
class Message:
    """A message, and how often something was done to it that another client would notice."""

    header: bytes
    flags: set[str] = field(default_factory=set)
    uid: int = 0


@dataclass
class FakeMailbox:
    """Folders of messages by name."""

    folders: dict[bytes, list[Message]]
    commands: list[bytes] = field(default_factory=list)
    _open: bytes = b""
    _is_writable: bool = False
    _next: int = 1

    def __post_init__(self) -> None:
        for messages in self.folders.values():
            for message in messages:
                message.uid, self._next = self._next, self._next + 1

    def do(self, work: Work[T]) -> T:
        """Let the work talk to this server, and return its result."""
        answers: list[bytes] = []
        answer: Any = None
        while True:
            try:
                step = work.send(answer)
            except StopIteration as end:
                assert not answers
                result: T = end.value
                return result
            answer = None
            match step:
                case Send(data):
                    assert data.endswith(b"\r\n")
                    answers += self._answer(data.removesuffix(b"\r\n"))
                case ReadLine():
                    answer = answers.pop(0)
                case ReadBytes(count):
                    answer = answers.pop(0)
                    assert len(answer) == count
                case Arrival():
                    answer = 0.0
                case _:
                    assert isinstance(step, Note | PassOver)

    def _answer(self, line: bytes) -> list[bytes]:
        self.commands.append(line)
        tag, _, command = line.partition(b" ")
        words = command.split()
        if words[0] == b"LIST":
            return [*(b'* LIST (%s) "/" "%s"' % (_SPECIAL.get(each, b""), each) for each in self.folders), tag + b" OK"]
        name = b" ".join(words[:2]) if words[0] == b"UID" else words[0]
        return [*self._do(name, command, words), tag + b" OK done"]

    def _do(self, name: bytes, command: bytes, words: list[bytes]) -> list[bytes]:
        """Do what a command says, and return the untagged answers."""
        untagged: list[bytes] = []
        match name:
            case b"EXAMINE" | b"SELECT":
                self._open, self._is_writable = _unquoted(command), name == b"SELECT"
                untagged = [b"* %d EXISTS" % len(self._messages)]
            case b"UID SEARCH":
                untagged = [b"* SEARCH " + b" ".join(b"%d" % one.uid for one in self._search(command))]
            case b"UID FETCH":
                fields = re.search(rb"HEADER\.FIELDS \(([A-Z -]+)\)", command)
                assert fields
                untagged = [piece for one in self._named(words[2]) for piece in _fetched(one, fields[1])]
            case b"UID MOVE":
                self._copy(words[2], _unquoted(command))
                self._remove(self._named(words[2]))
            case b"UID COPY":
                self._copy(words[2], _unquoted(command))
            case b"UID STORE":
                self._writing()
                assert words[3:] == [b"+FLAGS.SILENT", b"(\\Deleted)"]
                for one in self._named(words[2]):
                    one.flags.add("\\Deleted")
            case b"UID EXPUNGE":
                self._remove([one for one in self._named(words[2]) if "\\Deleted" in one.flags])
            case b"EXPUNGE" | b"CLOSE":
                self._remove([one for one in self._messages if "\\Deleted" in one.flags])
            case _:
                raise AssertionError(f"not known here: {command!r}")
        return untagged

    @property
    def _messages(self) -> list[Message]:
        return self.folders[self._open]

    def _writing(self) -> None:
        assert self._is_writable, "the folder is open read-only"

    def _named(self, uids: bytes) -> list[Message]:
        wanted = set(map(int, uids.split(b",")))
        return [one for one in self._messages if one.uid in wanted]

    def _search(self, command: bytes) -> list[Message]:
        found = re.fullmatch(rb'UID SEARCH (UNDELETED )?(?:HEADER )?(\S+) "(.*)"', command)
        assert found
        # RFC 3501 §6.4.4: a match is one of a part of the text, in any case.
        return [
            one
            for one in self._messages
            if not (found[1] and "\\Deleted" in one.flags)
            and found[3].lower() in _field(one, found[2].decode()).lower()
        ]

    def _copy(self, uids: bytes, folder: bytes) -> None:
        self._writing()
        for one in self._named(uids):
            self.folders[folder].append(Message(one.header, set(one.flags), self._next))
            self._next += 1

    def _remove(self, gone: list[Message]) -> None:
        self._writing()
        self.folders[self._open] = [one for one in self._messages if one not in gone]


def _field(message: Message, name: str) -> bytes:
    return "\n".join(map(str, BytesHeaderParser().parsebytes(message.header).get_all(name, []))).encode()


def _fetched(message: Message, fields: bytes) -> list[bytes]:
    """A FETCH of some fields, cut at the length that is asked for."""
    whole = BytesHeaderParser().parsebytes(message.header)
    wanted = [f"{name}: {text}\r\n" for name, text in whole.items() if name.upper().encode() in fields.split()]
    header = ("".join(wanted) + "\r\n").encode()[:MAX_LITERAL]
    return [b"* 1 FETCH (UID %d BODY[HEADER.FIELDS (%s)]<0> {%d}" % (message.uid, fields, len(header)), header, b")"]


def _unquoted(command: bytes) -> bytes:
    quoted = re.search(rb'"((?:[^"\\]|\\.)*)"$', command)
    assert quoted
    return re.sub(rb"\\(.)", rb"\1", quoted[1])
