"""POP3 (RFC 1939, RFC 2449, RFC 2595, RFC 5034) as a sans-IO dialogue."""

from __future__ import annotations

import re

from exporter.model.outcome import Folder, Phase
from exporter.model.settings import MechanismChoice, Role
from exporter.probing import sasl
from exporter.probing.dialogue import (
    MAX_IGNORED,
    Credential,
    Dialogue,
    Enter,
    MechanismUnavailable,
    Note,
    PassOver,
    Plan,
    ProtocolDialogue,
    ProtocolViolation,
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

MAX_COMMAND = 255
"""Octets of a command, its CRLF included (RFC 2449 §4)."""

_STAT = re.compile(rb"\+OK +(\d{1,10}) +(\d{1,20})(?: |$)", re.IGNORECASE)

Capabilities = dict[bytes, list[bytes]]


def session(plan: Plan) -> Dialogue[None]:
    """Greeting, capabilities, STLS where the plan wants it, login, STAT."""
    yield Enter(Phase.GREETING)
    yield from _read_reply(first=True)
    yield Enter(Phase.CAPABILITY)
    capabilities = yield from _capa()
    if plan.starttls:
        yield Enter(Phase.STARTTLS)
        if b"STLS" not in capabilities:
            raise StartTLSUnavailable("the server does not offer STLS")
        yield from command(b"STLS")
        yield StartTLS()
        yield Enter(Phase.CAPABILITY)
        capabilities = yield from _capa()  # RFC 2595 §4: what was received before TLS is discarded
    if credential := (yield from enter_login(plan)):
        yield from _log_in(capabilities, plan.mechanism, credential)
        yield Enter(Phase.FOLDERS)
        yield from _stat()


def logout() -> Dialogue[None]:
    """QUIT (RFC 1939 §5)."""
    yield from command(b"QUIT")


def _read_reply(*, challenge: bool = False, first: bool = False) -> Dialogue[bytes]:
    """Read a +OK line, or a challenge where one may come, and return it (RFC 1939 §3, RFC 5034 §4).

    An empty line before a reply that is not the `first` is passed over.

    Raises:
        Refusal: the line is -ERR.
        ProtocolViolation: it is neither.
    """
    ignored = 0
    while not (line := (yield from read_line())) and not first:
        ignored += 1
        if ignored > MAX_IGNORED:
            raise ResponseTooLarge(f"more than {MAX_IGNORED} empty lines")
        yield PassOver()
    status = line.split(b" ", 1)[0].upper()
    if status == b"-ERR":
        # RFC 2449 §8, RFC 3206 §4: the extended response code.
        temporary = True if re.search(rb"\[(?:SYS/TEMP|IN-USE|LOGIN-DELAY)\b", line, re.IGNORECASE) else None
        raise Refusal(line[5:].lstrip() or status, temporary=temporary)
    if status != b"+OK" and not (challenge and status == b"+"):
        raise ProtocolViolation(f"expected +OK or -ERR, got {excerpt(line)}")
    return line


def command(text: bytes, shown: bytes | None = None) -> Dialogue[bytes]:
    """Send a command, and return the +OK line of the answer."""
    yield Send(text + b"\r\n", None if shown is None else shown + b"\r\n")
    return (yield from _read_reply())


def read_multiline() -> Dialogue[list[bytes]]:
    """Read up to the line that is a single dot, and remove dot-stuffing (RFC 1939 §3).

    White space behind the dot does not make it another line: a dot that begins one is doubled.
    """
    lines = []
    while (line := (yield from read_line())).rstrip(b" \t") != b".":
        lines.append(line.removeprefix(b"."))
    return lines


def _capa() -> Dialogue[Capabilities]:
    """CAPA (RFC 2449 §5): the parameters of each capability; empty where the server does not know CAPA."""
    try:
        yield from command(b"CAPA")
    except Refusal as refusal:
        if refusal.temporary:
            raise
        lines: list[bytes] = []
    else:
        lines = yield from read_multiline()
    yield Note("capabilities", tuple(line.decode("utf-8", "backslashreplace") for line in lines))
    words = [line.upper().split() for line in lines]
    return {line[0]: line[1:] for line in words if line}


def _log_in(capabilities: Capabilities, choice: MechanismChoice, credential: Credential) -> Dialogue[None]:
    """Log in by SASL (RFC 5034) where the server offers a mechanism, else by USER and PASS (RFC 1939 §7)."""
    offered = {name.decode("ascii", "backslashreplace") for name in capabilities.get(b"SASL", [])}
    if mechanism := sasl.choose(choice, offered, credential):
        yield Note("login_attempted", value=True)
        yield from sasl.authenticate(mechanism, b"AUTH", MAX_COMMAND, _read_answer)
    # RFC 2449 §6.3: USER in the list means that USER and PASS work; without a list they may work.
    elif sasl.may_use_password(choice, credential) and (b"USER" in capabilities or not capabilities):
        yield Note("login_attempted", value=True)
        with judging_credential():
            yield from command(b"USER " + credential.username.encode())
            yield from command(b"PASS " + credential.password.encode(), b"PASS [redacted]")
    else:
        raise MechanismUnavailable(f"the server offers {', '.join(sorted(offered)) or 'no mechanism'}")


def _read_answer(challenge: bool, final: bool) -> Dialogue[bool]:
    """Read an answer to AUTH (RFC 5034 §4), as `sasl.ReadAnswer`."""
    line = yield from _read_reply(challenge=challenge)
    is_challenge = line.split(b" ", 1)[0] == b"+"
    if not (is_challenge or final):
        raise ProtocolViolation(f"an OK before the login was complete: {excerpt(line)}")
    return is_challenge


def _stat() -> Dialogue[None]:
    """STAT (RFC 1939 §5). Where POP is switched off, Gmail accepts the login and refuses only here."""
    line = yield from command(b"STAT")
    counts = _STAT.match(line)
    if not counts:
        raise ProtocolViolation(f"not an answer to STAT: {excerpt(line)}")
    yield Note("folders", (Folder(Role.INBOX, visible=True, messages=int(counts[1]), octets=int(counts[2])),))


DIALOGUE = ProtocolDialogue(session, logout)
