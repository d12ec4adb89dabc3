"""IMAP4rev1 and IMAP4rev2 (RFC 3501, RFC 9051) as a sans-IO dialogue.

A response is a line, or several lines with literals between them (RFC 3501 §4.3). The answer to a command ends with the
line that has its tag. Untagged lines before it are kept: Gmail puts the reason of a refusal there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count

from exporter.model.outcome import Folder, Phase, Quota
from exporter.model.settings import MechanismChoice, Role
from exporter.probing import sasl
from exporter.probing.dialogue import (
    MAX_LINE,
    MAX_LITERAL,
    Credential,
    Dialogue,
    Enter,
    FolderHidden,
    MechanismUnavailable,
    Note,
    Plan,
    PreauthBeforeLogin,
    PreauthBeforeTLS,
    ProtocolDialogue,
    ProtocolViolation,
    ReadBytes,
    Refusal,
    ResponseTooLarge,
    Send,
    StartTLS,
    StartTLSUnavailable,
    enter_login,
    excerpt,
    judging_credential,
    read_line,
)

_LITERAL = re.compile(rb"\{(\d+)\+?\}$")
_STATUS = (b"OK", b"NO", b"BAD", b"BYE", b"PREAUTH")
_TEMPORARY = re.compile(rb"\[(?:UNAVAILABLE|INUSE|LIMIT|OVERQUOTA|SERVERBUG)\b", re.IGNORECASE)  # RFC 5530 §3
_QUOTABLE = re.compile(rb"[\x01-\x09\x0b\x0c\x0e-\x7f]*")  # RFC 3501 §9: TEXT-CHAR is 7-bit, without CR and LF

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


@dataclass(frozen=True, slots=True)
class _Response:
    """One response: its lines joined, with the size of each literal left in place, and the literals in order."""

    line: bytes
    literals: tuple[bytes, ...] = ()

    @property
    def tag(self) -> bytes:
        """The first word: a tag, `*` or `+`."""
        return self.line.partition(b" ")[0]

    @property
    def kind(self) -> bytes:
        """The second word in capitals: a status, or the name of the data."""
        return self.line.partition(b" ")[2].partition(b" ")[0].upper()


def session(plan: Plan) -> Dialogue[None]:
    """Greeting, capabilities, STARTTLS where the plan wants it, login, folders."""
    tags = (b"a%d" % number for number in count(1))  # unique in a session: RFC 3501 §2.2.1
    yield Enter(Phase.GREETING)
    greeting = yield from _read_greeting()
    if greeting == b"PREAUTH" and plan.starttls:
        raise PreauthBeforeTLS("the server greets with PREAUTH, after which there is no STARTTLS")
    yield Enter(Phase.CAPABILITY)
    capabilities = yield from _capability(next(tags))
    if plan.starttls:
        yield Enter(Phase.STARTTLS)
        if b"STARTTLS" not in capabilities:
            raise StartTLSUnavailable("the server does not offer STARTTLS")
        yield from _command(next(tags), b"STARTTLS")
        yield StartTLS()
        yield Enter(Phase.CAPABILITY)
        capabilities = yield from _capability(next(tags))
    if credential := (yield from enter_login(plan)):
        if greeting == b"PREAUTH":
            raise PreauthBeforeLogin("the server greets with PREAUTH: this connection has no login to check")
        capabilities |= yield from _log_in(next(tags), capabilities, plan.mechanism, credential)
        yield Enter(Phase.FOLDERS)
        hidden = yield from _read_folders(tags, plan.folders)
        if b"QUOTA" in capabilities:
            yield from _read_quota(next(tags))
        if hidden:
            raise FolderHidden(f"not visible: {', '.join(hidden)}")


def logout() -> Dialogue[None]:
    """LOGOUT (RFC 3501 §6.1.3): BYE, then the tagged OK."""
    yield from _command(b"bye", b"LOGOUT", leaving=True)


def _read_greeting() -> Dialogue[bytes]:
    """Read the greeting and return its status, OK or PREAUTH (RFC 3501 §7.1)."""
    greeting = _Response((yield from read_line()))
    if greeting.tag != b"*" or greeting.kind not in (b"OK", b"PREAUTH", b"BYE"):
        raise ProtocolViolation(f"not an IMAP greeting: {excerpt(greeting.line)}")
    if greeting.kind == b"BYE":
        raise _refusal([greeting], closing=True)
    return greeting.kind


def _read_response() -> Dialogue[_Response]:
    """Read one response with its literals."""
    line = yield from read_line()
    literals: list[bytes] = []
    while not _ends_in_text(_Response(line)) and (literal := _LITERAL.search(line)):
        # RFC 3501 §9: a number has 10 digits at most.
        if len(literal[1]) > 10 or int(literal[1]) > MAX_LITERAL:
            raise ResponseTooLarge(f"a literal of {literal[1].decode()} octets; at most {MAX_LITERAL} are read")
        literals.append((yield ReadBytes(int(literal[1]))))
        line += b" " + (yield from read_line()).lstrip(b" ")
        if len(line) > MAX_LINE:
            raise ResponseTooLarge(f"a response of more than {MAX_LINE} octets besides its literals")
    return _Response(line, tuple(literals))


def _ends_in_text(response: _Response) -> bool:
    """Whether the line ends in text for people, where braces are not a literal."""
    return response.tag == b"+" or response.kind in _STATUS


def _read_until_tagged(tag: bytes, untagged: list[_Response], *, leaving: bool = False) -> Dialogue[_Response]:
    """Add untagged responses to `untagged`, and return the first other one: tagged, or a continuation request.

    Raises:
        Refusal: the server sends BYE before the client is `leaving`.
        ProtocolViolation: a line that does not belong to this command.
    """
    while True:
        response = yield from _read_response()
        if response.tag == b"+" or (response.tag == tag and response.kind in (b"OK", b"NO", b"BAD")):
            return response
        if response.tag != b"*" or response.line == b"*":
            raise ProtocolViolation(f"expected an answer to {tag.decode()}, got {excerpt(response.line)}")
        if response.kind == b"BYE" and not leaving:
            raise _refusal([*untagged, response], closing=True)
        untagged.append(response)


def _read_answer(
    tag: bytes, untagged: list[_Response], challenge: bool = False, final: bool = True, *, leaving: bool = False
) -> Dialogue[bool]:
    """Read up to a continuation request, and return True, or up to the tagged OK, and return False.

    `challenge` and `final`: which of the two may come, as in `sasl.ReadAnswer`. The tagged OK is added to `untagged`.

    Raises:
        Refusal: the tagged line is NO or BAD.
        ProtocolViolation: the wrong one came; an OK before the login is complete proves nothing.
    """
    response = yield from _read_until_tagged(tag, untagged, leaving=leaving)
    if response.tag == b"+":
        if not challenge:
            raise ProtocolViolation(f"a continuation request that nothing asked for: {excerpt(response.line)}")
        return True
    # Gmail adds [THROTTLED] to a tagged line, also to an OK, while it slows the account down.
    if response.line.rstrip().upper().endswith(b"[THROTTLED]"):
        yield Note("throttled", value=True)
    if response.kind != b"OK":
        raise _refusal([*untagged, response])
    if not final:
        raise ProtocolViolation(f"an OK before the login was complete: {excerpt(response.line)}")
    untagged.append(response)
    return False


def _command(tag: bytes, text: bytes, *, leaving: bool = False) -> Dialogue[list[_Response]]:
    """Send a command and return its untagged responses."""
    untagged: list[_Response] = []
    yield Send(tag + b" " + text + b"\r\n")
    yield from _read_answer(tag, untagged, leaving=leaving)
    return untagged


def _refusal(responses: Sequence[_Response], *, closing: bool = False) -> Refusal:
    """Return a refusal with the text of all lines, untagged NO, BAD and BYE too: the reason may stand only there."""
    lines = [r.line for r in responses if r.tag != b"*" or r.kind in (b"NO", b"BAD", b"BYE")]
    text = b" ".join(line.partition(b" ")[2] for line in lines)
    return Refusal(text, temporary=True if _TEMPORARY.search(text) else None, closing=closing)


def _capability(tag: bytes) -> Dialogue[frozenset[bytes]]:
    """CAPABILITY (RFC 3501 §6.1.1): the names of all responses, in capitals."""
    names: dict[bytes, None] = {}
    for response in (yield from _command(tag, b"CAPABILITY")):
        if response.kind == b"CAPABILITY":
            names.update(dict.fromkeys(response.line.upper().split()[2:]))
    if not names:
        raise ProtocolViolation("no CAPABILITY response before the tagged OK")
    yield Note("capabilities", tuple(name.decode("ascii", "backslashreplace") for name in names))
    if not {b"IMAP4REV1", b"IMAP4REV2"} & names.keys():
        raise ProtocolViolation("the server offers neither IMAP4rev1 nor IMAP4rev2")
    return frozenset(names)


def _log_in(
    tag: bytes, capabilities: frozenset[bytes], choice: MechanismChoice, credential: Credential
) -> Dialogue[frozenset[bytes]]:
    """Log in by SASL where the server offers a mechanism, else by LOGIN (RFC 3501 §6.2.2, §6.2.3).

    Return the capabilities after login, in capitals; empty where the server does not send them.
    """
    responses: list[_Response] = []
    offered = {name[5:].decode("ascii", "backslashreplace") for name in capabilities if name.startswith(b"AUTH=")}
    if mechanism := sasl.choose(choice, offered, credential):
        yield Note("login_attempted", value=True)
        longest = MAX_LINE if b"SASL-IR" in capabilities else 0  # RFC 4959
        yield from sasl.authenticate(mechanism, tag + b" AUTHENTICATE", longest, partial(_read_answer, tag, responses))
    elif sasl.may_use_password(choice, credential) and b"LOGINDISABLED" not in capabilities:
        yield Note("login_attempted", value=True)
        yield from _login(tag, credential, responses)
    else:
        raise MechanismUnavailable(f"the server offers {', '.join(sorted(offered)) or 'no mechanism'}")
    # RFC 3501 §6.2.2, §7.1: in an untagged response, or in the response code of the tagged OK.
    lists = [(found[1] or found[2]).upper().split() for r in responses if (found := _CAPABILITIES.search(r.line))]
    names = lists[-1] if lists else []
    yield Note("login_capabilities", tuple(name.decode("ascii", "backslashreplace") for name in names))
    return frozenset(names)


def _login(tag: bytes, credential: Credential, untagged: list[_Response]) -> Dialogue[None]:
    """LOGIN: each argument quoted where its text allows it, else as a literal, sent after a continuation request."""
    pieces = [tag + b" LOGIN "]
    for text, end in (credential.username, b" "), (credential.password, b"\r\n"):
        raw = text.encode()
        if _QUOTABLE.fullmatch(raw):
            pieces[-1] += _quote(raw) + end
        else:
            pieces[-1] += b"{%d}\r\n" % len(raw)
            pieces.append(raw + end)
    yield Send(pieces[0], tag + b" LOGIN [redacted]\r\n")
    for piece in pieces[1:]:
        yield from _read_answer(tag, untagged, challenge=True, final=False)
        yield Send(piece, b"[redacted]\r\n")
    with judging_credential():
        yield from _read_answer(tag, untagged)


def _quote(raw: bytes) -> bytes:
    """A quoted string (RFC 3501 §9)."""
    return b'"' + re.sub(rb'(["\\])', rb"\\\1", raw) + b'"'


def _read_folders(tags: Iterator[bytes], wanted: Sequence[Role]) -> Dialogue[list[str]]:
    """LIST with the special-use attributes (RFC 6154 §2), and STATUS of the wanted folders; return the hidden roles."""
    names: dict[Role, bytes] = {}
    for response in (yield from _command(next(tags), b'LIST "" "*"')):
        if response.kind == b"LIST":
            attributes, name = _parse_list(response)
            if attributes & _NOT_SELECTABLE:
                continue
            if name.upper() == b"INBOX":
                names[Role.INBOX] = name
            for attribute in attributes & _ROLE_OF_ATTRIBUTE.keys():
                names[_ROLE_OF_ATTRIBUTE[attribute]] = name
    folders = []
    for role in wanted:
        if role in names:
            messages, unseen = yield from _count_messages(next(tags), names[role])
            folders.append(Folder(role, visible=True, messages=messages, unseen=unseen))
        else:
            folders.append(Folder(role, visible=False))
    yield Note("folders", tuple(folders))
    return [folder.role.value for folder in folders if not folder.visible]


def _read_quota(tag: bytes) -> Dialogue[None]:
    """GETQUOTAROOT (RFC 9208 §4.1.2): storage, in units of 1,024 octets. A refusal is no failure of the probe."""
    try:
        responses = yield from _command(tag, b'GETQUOTAROOT "INBOX"')
    except Refusal as refusal:
        if not refusal.in_step:
            raise
        return
    for response in responses:
        if response.kind == b"QUOTA" and (storage := _STORAGE.search(response.line)):
            yield Note("quota", Quota(used=int(storage[1]) * 1024, limit=int(storage[2]) * 1024))
            return


def _count_messages(tag: bytes, name: bytes) -> Dialogue[tuple[int, int | None]]:
    """STATUS (RFC 3501 §6.3.10): the number of messages, and of those not read, where the server sends it.

    The name is sent back as LIST returned it; quoted, it may contain anything.
    """
    for response in (yield from _command(tag, b"STATUS " + _quote(name) + b" (MESSAGES UNSEEN)")):
        items = response.line.rpartition(b"(")[2]  # the name before it may contain anything
        if response.kind == b"STATUS" and (messages := _MESSAGES.search(items)):
            unseen = _UNSEEN.search(items)
            return int(messages[1]), int(unseen[1]) if unseen else None
    raise ProtocolViolation("no STATUS response before the tagged OK")


_MESSAGES = re.compile(rb"(?:^| )MESSAGES (\d{1,10})[ )]", re.IGNORECASE)
_UNSEEN = re.compile(rb"(?:^| )UNSEEN (\d{1,10})[ )]", re.IGNORECASE)
_STORAGE = re.compile(rb"[( ]STORAGE (\d{1,15}) (\d{1,15})[ )]", re.IGNORECASE)
_CAPABILITIES = re.compile(rb"^\* CAPABILITY (.*)|^a\d+ OK \[CAPABILITY ([^\]]*)\]", re.IGNORECASE)

_LIST = re.compile(
    rb"""\*\ LIST\ \((?P<attributes>[^(){"]*)\)\ (?:"(?:[^"\\]|\\.)"|NIL)\ # hierarchy delimiter
    (?P<name>"(?:[^"\\]|\\.)*"|\{\d+\+?\}|[^\s"(){]+)""",
    re.IGNORECASE | re.VERBOSE,
)


def _parse_list(response: _Response) -> tuple[set[bytes], bytes]:
    """Return the attributes, in capitals, and the name of a LIST response (RFC 3501 §7.2.2)."""
    parsed = _LIST.match(response.line)
    if not parsed or (parsed["name"].startswith(b"{") and not response.literals):
        raise ProtocolViolation(f"not a LIST response: {excerpt(response.line)}")
    name = parsed["name"]
    if name.startswith(b"{"):
        name = response.literals[0]
    elif name.startswith(b'"'):
        name = re.sub(rb"\\(.)", rb"\1", name[1:-1])
    if re.search(rb"[\r\n\0]", name):
        raise ProtocolViolation(f"a line end or a NUL in the name of a mailbox: {excerpt(name)}")
    return set(parsed["attributes"].upper().split()), name


DIALOGUE = ProtocolDialogue(session, logout)
