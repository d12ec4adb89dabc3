"""IMAP4rev1 and IMAP4rev2 (RFC 3501, RFC 9051) as a sans-IO dialogue: greeting, capabilities, TLS, login.

`imap_responses` reads the answers, `imap_folders` looks at the mailbox after the login.
"""

from __future__ import annotations

import re
from functools import partial
from itertools import count

from exporter.model.outcome import Phase
from exporter.model.settings import MechanismChoice
from exporter.probing import sasl
from exporter.probing.dialogue import (
    MAX_LINE,
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
    Send,
    StartTLS,
    StartTLSUnavailable,
    enter_login,
    excerpt,
    judging_credential,
    read_line,
)
from exporter.probing.imap_folders import read_folders, read_newest, read_quota
from exporter.probing.imap_responses import Answers, Response, command, quote, read_answer, refusal_of

_QUOTABLE = re.compile(rb"[\x01-\x09\x0b\x0c\x0e-\x7f]*")  # RFC 3501 §9: TEXT-CHAR is 7-bit, without CR and LF
_CAPABILITIES = re.compile(rb"^\* CAPABILITY (.*)|^a\d+ OK \[CAPABILITY ([^\]]*)\]", re.IGNORECASE)


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
        yield from command(next(tags), b"STARTTLS")
        yield StartTLS()
        yield Enter(Phase.CAPABILITY)
        capabilities = yield from _capability(next(tags))
    if credential := (yield from enter_login(plan)):
        if greeting == b"PREAUTH":
            raise PreauthBeforeLogin("the server greets with PREAUTH: this connection has no login to check")
        capabilities |= yield from _log_in(next(tags), capabilities, plan.mechanism, credential)
        yield Enter(Phase.FOLDERS)
        trouble = yield from read_folders(tags, capabilities, plan.folders)
        if b"QUOTA" in capabilities:
            yield from read_quota(next(tags))
        if plan.newest:
            yield from read_newest(tags)
        if trouble:
            raise FolderHidden(trouble)


def logout() -> Dialogue[None]:
    """LOGOUT (RFC 3501 §6.1.3): BYE, then the tagged OK."""
    yield from command(b"bye", b"LOGOUT", leaving=True)


def _read_greeting() -> Dialogue[bytes]:
    """Read the greeting and return its status, OK or PREAUTH (RFC 3501 §7.1)."""
    greeting = Response((yield from read_line()))
    if greeting.tag != b"*" or greeting.kind not in (b"OK", b"PREAUTH", b"BYE"):
        raise ProtocolViolation(f"not an IMAP greeting: {excerpt(greeting.line)}")
    if greeting.kind == b"BYE":
        raise refusal_of([greeting], closing=True)
    return greeting.kind


def _capability(tag: bytes) -> Dialogue[frozenset[bytes]]:
    """CAPABILITY (RFC 3501 §6.1.1): the names of all responses, in capitals."""
    names: dict[bytes, None] = {}
    for response in (yield from command(tag, b"CAPABILITY")):
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
    responses = Answers()
    offered = {name[5:].decode("ascii", "backslashreplace") for name in capabilities if name.startswith(b"AUTH=")}
    if mechanism := sasl.choose(choice, offered, credential):
        yield Note("login_attempted", value=True)
        longest = MAX_LINE if b"SASL-IR" in capabilities else 0  # RFC 4959
        yield from sasl.authenticate(mechanism, tag + b" AUTHENTICATE", longest, partial(read_answer, tag, responses))
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


def _login(tag: bytes, credential: Credential, untagged: Answers) -> Dialogue[None]:
    """LOGIN: each argument quoted where its text allows it, else as a literal, sent after a continuation request."""
    pieces = [tag + b" LOGIN "]
    for text, end in (credential.username, b" "), (credential.password, b"\r\n"):
        raw = text.encode()
        if _QUOTABLE.fullmatch(raw):
            pieces[-1] += quote(raw) + end
        else:
            pieces[-1] += b"{%d}\r\n" % len(raw)
            pieces.append(raw + end)
    yield Send(pieces[0], tag + b" LOGIN [redacted]\r\n")
    for piece in pieces[1:]:
        yield from read_answer(tag, untagged, challenge=True, final=False)
        yield Send(piece, b"[redacted]\r\n")
    with judging_credential():
        yield from read_answer(tag, untagged)


DIALOGUE = ProtocolDialogue(session, logout)
