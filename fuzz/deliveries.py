"""Servers that say anything to a delivery, after its login: submission, IMAP and POP3; and headers that say anything.

A case is a line with what is done, and what the server offers or who it is; then the octets of the server, or the
header. The key of the tokens is fixed, so that the seeds have messages that are ours.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable, Mapping
from itertools import count
from pathlib import Path
from random import Random
from typing import Any

from exporter.deliveries import headers
from exporter.deliveries.message import SUBJECT, compose, message_id
from exporter.deliveries.tokens import Tokens
from exporter.model.outcome import Phase
from exporter.model.reason import Reason
from exporter.model.settings import Endpoint, Protocol, Role
from exporter.probing import imap_messages, pop3_messages
from exporter.probing.classify import classify, describe
from exporter.probing.connection import ConnectionClosed
from exporter.probing.dialogue import Arrival, Credential, DialogueError, ReadBytes, ReadLine, Send, Work, as_text
from exporter.probing.redact import redactor_of, shortened
from exporter.probing.submission import submit
from fuzz.dialogues import SECRETS, Server, check_text
from fuzz.fuzzer import Wrong
from fuzz.mutation import SEEDS, Mutator, dictionary
from tests.probing.transcript import SENTINEL

KEY = b"fuzz"
SENDER, RECIPIENT = "ops@example.com", "probe@example.com"
OURS = "gmail-exporter.1795860000.0123456789abcdef.d93e569a47a848ec26a2690b93933be8"
"""The token of the message that is looked for."""

FOLDER, TRASH = b"INBOX", b'Trash "1"'
STEPS = 60
"""Steps of a piece of work besides those that read."""

SENT = 8 * 1024
"""Octets that are sent, besides twice those of the server: the message, and some commands."""

_TOKENS = Tokens(KEY)
_TOKEN = re.compile(rb"gmail-exporter\.(\d{1,12})\.([0-9a-f]{16})\.([0-9a-f]{32})")
_MESSAGE = compose(SENDER, RECIPIENT, OURS, 1_795_860_000.0)
_UIDS = re.compile(rb"UID 0*(\d+)", re.IGNORECASE)
_TOUCHES = re.compile(
    rb"d\d+ UID (?:(?:MOVE|COPY) ([\d,]+) %s|STORE ([\d,]+) \+FLAGS\.SILENT \(\\Deleted\)|EXPUNGE ([\d,]+))\r\n"
    % re.escape(b'"Trash \\"1\\""')
)
_LOOKS = re.compile(rb"d\d+ (?:LIST|CAPABILITY|EXAMINE|UID SEARCH|UID FETCH|IDLE)[ \r].*|DONE\r\n", re.DOTALL)
_READS = re.compile(rb"d\d+ UID FETCH ([\d,]+) \(UID (?!BODY\.PEEK\[HEADER\.FIELDS \(MESSAGE-ID\)\]).*", re.DOTALL)
_SELECTS = re.compile(rb'd\d+ SELECT "INBOX"\r\n')
_OF_POP3 = re.compile(rb"UIDL\r\n|TOP (\d+) 0\r\n")
_OF_SMTP = re.compile(
    rb"(?:MAIL FROM:<%s>(?: SIZE=\d+)?|RCPT TO:<%s>|DATA|RSET|\.)" % (SENDER.encode(), RECIPIENT.encode())
)
_ENDPOINTS = {
    protocol: Endpoint(name="fuzz", protocol=protocol, host="mail.example.com", port=1) for protocol in Protocol
}
_CREDENTIAL = Credential(RECIPIENT, SENTINEL)
_REDACTORS = {protocol: redactor_of(endpoint, _CREDENTIAL) for protocol, endpoint in _ENDPOINTS.items()}


def _is_it(header: bytes) -> bool:
    read = _TOKENS.read(header)
    return read is not None and read[0] == OURS


def _is_ours(header: bytes) -> bool:
    return _TOKENS.read(header) is not None


def _has_token(header: bytes) -> bool:
    """Whether one of our tokens is anywhere in it, without the parser of the program."""
    return any(
        hmac.digest(KEY, at + b"." + number, "sha256").hex()[:32].encode() == mac
        for at, number, mac in _TOKEN.findall(header)
    )


def _submission(words: list[str]) -> Work[object]:
    return submit([word.replace("=", " ") for word in words], SENDER, RECIPIENT, _MESSAGE)


def _clearing(words: list[str]) -> Work[object]:
    offered = frozenset(word.encode() for word in words)
    return imap_messages.clear(_tags(), offered, (FOLDER, TRASH), SUBJECT, _is_ours)


def _folders(words: list[str]) -> Work[object]:
    offered = frozenset(word.encode() for word in words)
    return imap_messages.list_folders(_tags(), offered, (Role.INBOX, Role.SPAM, Role.TRASH))


def _tags() -> Any:
    return (b"d%d" % number for number in count(1))


WORKS: Mapping[str, tuple[Protocol, Callable[[list[str]], Work[Any]]]] = {
    "submit": (Protocol.SMTP, _submission),
    "capability": (Protocol.IMAP, lambda _: imap_messages.capability(b"d1")),
    "folders": (Protocol.IMAP, _folders),
    "look": (Protocol.IMAP, lambda _: imap_messages.look_for(_tags(), FOLDER, message_id(OURS, SENDER), _is_it)),
    "idle": (Protocol.IMAP, lambda _: imap_messages.idle(b"d1", 15.0)),
    "survey": (Protocol.IMAP, lambda _: imap_messages.survey(_tags(), FOLDER, SUBJECT, _is_ours)),
    "clear": (Protocol.IMAP, _clearing),
    "pop3": (Protocol.POP3, lambda _: pop3_messages.find(_is_it, [b"seen"])),
}
"""What a delivery does in its sessions."""

OFFERED = {
    "submit": (b"", b"PIPELINING SIZE=35882577", b"SIZE=100", b"SIZE=x PIPELINING 8BITMIME"),
    "clear": (b"MOVE UIDPLUS", b"UIDPLUS", b"", b"IMAP4REV2"),
    "folders": (b"SPECIAL-USE", b"", b"XLIST"),
    "header": (b"imap.gmail.com", b"mail.example.com"),
}


class _Doing:
    """A piece of work with a server, and what must be true of every one."""

    def __init__(self, name: str, protocol: Protocol, work: Work[Any], said: bytes) -> None:
        self._name, self._protocol, self._work, self._server = name, protocol, work, Server(said)
        self._most = SENT + 2 * len(said)
        self._reads = self._steps = self._messages = 0
        self._ours: set[bytes] = set()
        """Unique identifiers that came with one of our tokens."""
        self._numbers: set[bytes] = set()
        """Numbers of messages that a server of POP3 has listed."""
        self._response = b""
        """The lines of a response of IMAP so far."""
        self._goes_on = self._is_ours = False
        """Whether the next line belongs to it, too, and whether a literal of it has one of our tokens."""

    def run(self) -> None:
        try:
            self._perform()
        except (DialogueError, ConnectionClosed) as error:
            reason = classify(error, Phase.FOLDERS, self._protocol)
            if reason in (Reason.INTERNAL, Reason.OK):
                raise Wrong(f"an error without a reason: {error!r}") from error
            detail = shortened(_REDACTORS[self._protocol].text(describe(error)))
            check_text(detail, "the detail", SENTINEL)

    def _perform(self) -> None:
        answer: object = None
        while True:
            try:
                step = self._work.send(answer)
            except StopIteration:
                return
            answer = None
            self._steps += 1
            if self._steps > STEPS + 4 * self._reads:
                raise Wrong(f"more steps than the server's lines explain: {self._steps} for {self._reads}")
            if isinstance(step, ReadLine):
                answer = None if step.within is not None and self._server.is_silent else self._read_line()
            elif isinstance(step, ReadBytes):
                self._reads += 1
                answer = self._read_literal(step.count)
            elif isinstance(step, Send):
                self._check_sent(step)
            elif isinstance(step, Arrival):
                answer = float(self._reads)

    def _read_line(self) -> bytes:
        self._reads += 1
        line = self._server.read_line()
        self._response = self._response + b"\n" + line if self._goes_on else line
        self._is_ours &= self._goes_on
        self._goes_on = False
        self._ours.update(_UIDS.findall(self._response) if self._is_ours else ())
        self._numbers.update(re.findall(rb"\d+", line) if self._protocol is Protocol.POP3 else ())
        return line

    def _read_literal(self, octets: int) -> bytes:
        literal = self._server.read_bytes(octets)
        self._goes_on = True
        self._is_ours |= _has_token(literal)
        return literal

    def _check_sent(self, send: Send) -> None:
        data = send.data
        self._most -= len(data)
        if self._most < 0:
            raise Wrong(f"more is sent than the server's words explain: {data[:100]!r}")
        if self._protocol is Protocol.SMTP:
            self._check_smtp(send)
        elif self._protocol is Protocol.POP3:
            if not (of_pop3 := _OF_POP3.fullmatch(data)) or (of_pop3[1] and of_pop3[1] not in self._numbers):
                raise Wrong(f"a command that must not be sent over POP3: {data!r}")
        elif touches := _TOUCHES.fullmatch(data):
            uids = set(next(filter(None, touches.groups())).split(b","))
            if self._name != "clear" or not uids <= self._ours:
                raise Wrong(f"a message is touched that is not ours: {data!r}")
        elif (reads := _READS.fullmatch(data)) and not set(reads[1].split(b",")) <= self._ours:
            raise Wrong(f"more is read of a message that is not ours than its Message-ID: {data!r}")
        elif not _LOOKS.fullmatch(data) and not (self._name == "clear" and _SELECTS.fullmatch(data)):
            raise Wrong(f"a command that must not be sent over IMAP: {data!r}")
        shown = as_text((data if send.shown is None else send.shown).rstrip(b"\r\n"))
        if send.repeats:
            check_text(_REDACTORS[self._protocol].text(shown), "what is sent and shown", SENTINEL)

    def _check_smtp(self, send: Send) -> None:
        if send.shown is not None:  # the message
            self._messages += 1
            if self._messages > 1:
                raise Wrong("the message is sent twice: in one transaction")
            if send.data != _MESSAGE + b".\r\n":
                raise Wrong(f"another message: {send.data!r}")
            return
        for line in send.data.removesuffix(b"\r\n").split(b"\r\n"):
            if not _OF_SMTP.fullmatch(line):
                raise Wrong(f"a command that must not be sent over SMTP: {line!r}")


class Deliveries:
    """The seeds are what servers of all kinds say, and headers."""

    def __init__(self, _directory: Path) -> None:
        self.seeds = [path.read_bytes() for path in sorted((SEEDS / "deliveries").iterdir())]
        words = [*dictionary("deliveries.words"), *(secret.encode() for secret in SECRETS), OURS.encode()]
        self._heads = [seed.partition(b"\n")[0] for seed in self.seeds]
        said = [seed.partition(b"\n")[2] for seed in self.seeds]
        self._said = said
        kinds = [_kind(head) for head in self._heads]
        self._mutators = {
            kind: Mutator([one for one, of in zip(said, kinds, strict=True) if of == kind], words) for kind in {*kinds}
        }

    def make(self, random: Random) -> bytes:
        """Return a case: a seed with a few changes, and sometimes another server."""
        number = random.randrange(len(self.seeds))
        head = self._heads[number]
        name = head.partition(b" ")[0].decode()
        if name in OFFERED and random.random() < 0.3:
            head = name.encode() + b" " + random.choice(OFFERED[name])
        return head + b"\n" + self._mutators[_kind(head)].change(random, self._said[number])

    def run(self, case: bytes) -> None:
        """Do the work of the case with its server, or read its header.

        Raises:
            Wrong: Something that must be true of every one is not.
        """
        head, _, said = case.partition(b"\n")
        name, *words = head.decode("ascii", "replace").split() or [""]
        if name == "header":
            _check_header(said, words[0] if words else "mail.example.com")
        elif name in WORKS:
            protocol, work = WORKS[name]
            _Doing(name, protocol, work(words), said).run()


def _kind(head: bytes) -> str:
    """Return of what a case is a mixture: the protocol, or headers."""
    name = head.partition(b" ")[0].decode()
    return name if name == "header" else WORKS[name][0]


def _check_header(header: bytes, host: str) -> None:
    found = headers.authentication(header, host, RECIPIENT)
    lower = header.lower()
    if found and host.endswith(".gmail.com") and b"mx.google.com" not in lower:
        raise Wrong(f"results of somebody else: {found}")
    for method, result in found.items():
        if method.encode() not in lower or result.encode() not in lower:
            raise Wrong(f"a result that is not there: {method}={result}")
    hops = headers.hops(header)
    if len(hops) > headers.MAX_HOPS:
        raise Wrong(f"too many hops: {len(hops)}")
    for hop in hops:
        check_text(hop.by, "the name of a server", None)
        if not abs(hop.seconds) < 1e12:
            raise Wrong(f"a time without bounds: {hop.seconds}")
    if (read := _TOKENS.read(header)) and not _has_token(header):
        raise Wrong(f"a token that is not ours: {read}")
