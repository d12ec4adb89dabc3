"""SMTP submission and relay (RFC 5321, RFC 3207, RFC 4954, RFC 6409, RFC 8314) as a sans-IO dialogue."""

from __future__ import annotations

import re
from dataclasses import dataclass

from exporter.model.outcome import Phase
from exporter.model.reason import Reason
from exporter.model.settings import MechanismChoice
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
    read_line,
)

MAX_COMMAND = 512
"""Octets of a command, its CRLF included (RFC 5321 §4.5.3.1.4)."""

_REPLY_LINE = re.compile(rb"([2-5]\d\d)(?:([ \t-])(.*))?")  # RFC 5321 §4.2: a code alone is a last line

_ENHANCED = re.compile(rb"[245]\.\d{1,3}\.\d{1,3} ")  # RFC 3463 §2

# RFC 5321 §4.2.4: 500 and 502. Some servers say it by another code, and in words.
_UNKNOWN_COMMAND = re.compile(
    r"50[02]\b|5\d\d[^a-z]*(?:ehlo\W+)?(?:(?:unknown|unrecogni[sz]ed|unimplemented|unsupported|invalid) command"
    r"|command (?:is )?(?:unknown|unrecogni[sz]ed|unimplemented|unsupported"
    r"|not (?:implemented|recogni[sz]ed|supported)))",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply of one or more lines (RFC 5321 §4.2.1), each without its code."""

    code: int
    lines: tuple[bytes, ...]


def address_literal(address: str) -> str:
    """Return the name of a client that has none (RFC 5321 §4.1.3): it is valid, and needs no look-up."""
    address = address.partition("%")[0]  # without the scope of a link-local address
    return f"[IPv6:{address}]" if ":" in address else f"[{address}]"


def session(plan: Plan) -> Dialogue[None]:
    """Greeting, EHLO, STARTTLS where the plan wants it, login."""
    yield Enter(Phase.GREETING)
    yield from expect(220, first=True)
    yield Enter(Phase.CAPABILITY)
    extensions = yield from _ehlo(plan.client_name)
    if plan.starttls:
        yield Enter(Phase.STARTTLS)
        if not (yield from _starttls(extensions, opportunistic=plan.opportunistic)):
            return
        yield StartTLS()
        yield Enter(Phase.CAPABILITY)
        extensions = yield from _ehlo(plan.client_name)  # RFC 3207 §4.2: what was received before TLS is discarded
    if credential := (yield from enter_login(plan)):
        yield from _log_in(extensions, plan.mechanism, credential)


def _starttls(extensions: dict[str, list[str]], *, opportunistic: bool) -> Dialogue[bool]:
    """Return whether the handshake comes next; not, where the session is `opportunistic` and there is no STARTTLS.

    Raises:
        StartTLSUnavailable, Refusal: it is not offered, or refused, and TLS is demanded.
    """
    words = "the server does not offer STARTTLS"
    if "STARTTLS" in extensions:
        try:
            yield from command(b"STARTTLS", 220)
        except Refusal as refusal:
            if not opportunistic or not refusal.in_step:
                raise
            words = str(refusal)
        else:
            return True
    elif not opportunistic:
        raise StartTLSUnavailable(words)
    yield Note("tls_fault", Reason.STARTTLS_UNAVAILABLE)
    yield Note("tls_fault_detail", words)
    return False


def logout() -> Dialogue[None]:
    """QUIT (RFC 5321 §4.1.1.10)."""
    yield from command(b"QUIT", 221)


def _read_reply(*, first: bool = False) -> Dialogue[Reply]:
    """Read a reply: all its lines but the last have a hyphen after the code (RFC 5321 §4.2.1).

    All lines should have the same code. Where they do not, the worst counts, a refusal before any other; a line within
    a reply that has none is passed over, and so is an empty line before a reply that is not the `first`.
    """
    lines: list[tuple[int, bytes]] = []
    ignored = 0
    while True:
        line = yield from read_line()
        if parsed := _REPLY_LINE.fullmatch(line):
            lines.append((int(parsed[1]), parsed[3] or b""))
            if parsed[2] != b"-":
                break
        elif lines or not (line or first):
            ignored += 1
            if ignored > MAX_IGNORED:
                raise ResponseTooLarge(f"more than {MAX_IGNORED} lines that are not SMTP")
            yield PassOver()
        else:
            raise ProtocolViolation(f"not a line of an SMTP reply: {excerpt(line)}")
    code = max(code for code, _ in lines)
    code = code if code >= 400 else lines[-1][0]
    return Reply(code, tuple(text for its_code, text in lines if its_code == code))


def expect(*codes: int, first: bool = False) -> Dialogue[Reply]:
    """Read a reply with one of `codes`.

    Raises:
        Refusal: a 4xx or 5xx reply. After 421 the server closes the connection (RFC 5321 §3.8); after 554 in place of
            a greeting it waits for QUIT (§3.1).
        ProtocolViolation: any other reply.
    """
    reply = yield from _read_reply(first=first)
    if reply.code in codes:
        return reply
    if reply.code < 400:
        text = text_of(reply).decode("utf-8", "backslashreplace")
        raise ProtocolViolation(f"expected {' or '.join(map(str, codes))}, got '{text}'")
    raise Refusal(text_of(reply), temporary=reply.code < 500, closing=reply.code == 421)


def text_of(reply: Reply) -> bytes:
    """Join a reply to one line, with its code and its enhanced status code (RFC 2034 §4) only once.

    A server may break a sentence or a link anywhere.
    """
    enhanced = _ENHANCED.match(reply.lines[0])
    prefix = enhanced[0] if enhanced else b""
    words = (line.removeprefix(prefix).strip() for line in reply.lines)
    return (b"%d %s%s" % (reply.code, prefix, b" ".join(words))).rstrip()


def command(text: bytes, *codes: int) -> Dialogue[Reply]:
    """Send a command, and read a reply with one of `codes`: see `expect`."""
    yield Send(text + b"\r\n")
    return (yield from expect(*codes))


def _ehlo(client_name: str) -> Dialogue[dict[str, list[str]]]:
    """EHLO (RFC 5321 §4.1.1.1): the parameters of each extension, both in capitals.

    A server that does not know EHLO is asked by HELO; it has no extensions (§3.2, §4.1.4).
    """
    name = client_name.encode("ascii")
    try:
        lines = (yield from command(b"EHLO " + name, 250)).lines[1:]
    except Refusal as refusal:
        if not _UNKNOWN_COMMAND.match(str(refusal)):
            raise
        yield from command(b"HELO " + name, 250)
        lines = ()
    extensions = tuple(line.decode("utf-8", "backslashreplace") for line in lines)
    yield Note("capabilities", extensions)
    parameters: dict[str, list[str]] = {}
    for extension in extensions:
        # Before RFC 2554 it was AUTH=; some servers still send that, most of them beside AUTH.
        words = re.sub("^AUTH=", "AUTH ", extension.upper()).split()
        parameters.setdefault("".join(words[:1]), []).extend(words[1:])
    return parameters


def _log_in(extensions: dict[str, list[str]], choice: MechanismChoice, credential: Credential) -> Dialogue[None]:
    """Log in by AUTH (RFC 4954 §4)."""
    offered = extensions.get("AUTH", [])
    mechanism = sasl.choose(choice, offered, credential)
    if mechanism is None:
        raise MechanismUnavailable(f"the server offers {', '.join(offered) or 'no mechanism'}")
    yield Note("login_attempted", value=True)
    yield from sasl.authenticate(mechanism, b"AUTH", MAX_COMMAND, _read_answer)


def _read_answer(challenge: bool, final: bool) -> Dialogue[bool]:
    """Read an answer to AUTH (RFC 4954 §4), as `sasl.ReadAnswer`."""
    reply = yield from expect(*[code for code, wanted in ((235, final), (334, challenge)) if wanted])
    return reply.code == 334


DIALOGUE = ProtocolDialogue(session, logout)
