r"""Transcripts of sessions, `tests/transcripts/PROTOCOL/CASE.txt`, and the runner that replays them.

    # what the case shows
    plan: starttls login folders=inbox,sent mechanism=plain password=with\x20space
    S: a line of the server, without its CRLF
    C: exactly what the client must send, without its CRLF
    S!: a line that the server sends too early: the client may send before it has read it
    L: octets of the server that are not a line: the content of a literal
    TLS
    EOF
    expect: PHASE REASON

The credential is the `password` or `token` of the plan; `token` without a value is a usual one, and so is the password
of `login` alone.

`TLS` is where both sides start TLS, `EOF` where the server closes the connection. `\xNN` is an octet; any other
backslash is itself. More expectations may follow `expect`, in any order: `detail`, `capabilities`, `folders` (`inbox=3
sent=hidden`), `logout` (the reason why the logout failed), `throttled: yes` and `ignored` (how many lines were passed
over). Without `logout` the logout must succeed, without `throttled` the server must not throttle, and without `ignored`
no line may be passed over.

The runner performs the steps of a dialogue as `exporter.probing.probe` does, and is strict: the client must send
exactly what the transcript has; to wait for a line that does not come is an error, and so is a line that is not read.

`play` plays a transcript once, and asserts everything there: its expectations, and the rules of
`exporter.probing.dialogue` that apply to every session.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections import deque
from dataclasses import dataclass, field, replace
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from exporter.model.outcome import Observed, Phase
from exporter.model.reason import Reason
from exporter.model.settings import MechanismChoice, Protocol, Role
from exporter.probing import imap, pop3, smtp
from exporter.probing.classify import OUR_OWN, classify, describe
from exporter.probing.connection import ConnectionClosed, PlaintextInjected
from exporter.probing.dialogue import (
    Credential,
    CredentialUnavailable,
    Dialogue,
    DialogueError,
    Enter,
    Note,
    PassOver,
    Plan,
    ReadBytes,
    ReadLine,
    Send,
    StartTLS,
    Step,
)
from exporter.probing.redact import Redactor, redact
from exporter.probing.search import Secrets

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

DIRECTORY: Final = Path(__file__).parents[1] / "transcripts"
CLIENT_NAME: Final = "[192.0.2.1]"
USERNAME: Final = "probe@gmail.com"
SENTINEL: Final = "sentinelsentinel"
"""The password of a transcript without one. It has the form of an app password."""
TOKEN: Final = f"ya29.{SENTINEL}"
"""The access token of `token` without a value."""

PROTOCOLS: Final = {
    Protocol.IMAP: imap.DIALOGUE,
    Protocol.POP3: pop3.DIALOGUE,
    Protocol.SMTP: smtp.DIALOGUE,
}

LINE: Final = re.compile(rb"[^\r\n\0]*\r\n")
"""A line as it must be sent."""

_EXPECTATIONS = frozenset({"expect", "detail", "capabilities", "folders", "logout", "throttled", "ignored"})
_TURN = re.compile(r"(?P<speaker>C|S!?|L):(?: (?P<text>.*))?|(?P<event>TLS|EOF)")


class Departure(AssertionError):
    """The session does not match its transcript."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One line of a transcript: the speaker (`C`, `S`, `S!`, `L`) and the data, or an event (`TLS`, `EOF`)."""

    speaker: str
    data: bytes
    number: int

    def __str__(self) -> str:
        return f"{self.speaker}: {self.data!r} (line {self.number})"


@dataclass(frozen=True, slots=True)
class Transcript:
    """A session: its plan, its turns, and the expected result."""

    protocol: Protocol
    plan: Plan
    turns: tuple[Turn, ...]
    expected: Mapping[str, str]


@dataclass(slots=True)
class Seen:
    """The result of a session: phase, reason, detail, facts, and all steps of the dialogue."""

    phase: Phase = Phase.GREETING
    reason: Reason = Reason.OK
    detail: str = ""
    observed: Observed = field(default_factory=Observed)
    steps: list[Step] = field(default_factory=list)

    @property
    def sent(self) -> list[Send]:
        """What the client sent, in order."""
        return [step for step in self.steps if isinstance(step, Send)]

    def facts(self) -> dict[str, str]:
        """The same in the format of a transcript's expectations."""
        observed = self.observed
        folders = [f"{folder.role}={folder.messages if folder.visible else 'hidden'}" for folder in observed.folders]
        return {
            "expect": f"{self.phase} {self.reason}",
            "detail": self.detail,
            "capabilities": " | ".join(observed.capabilities),
            "folders": " ".join(folders),
            "logout": observed.logout or "",
            "throttled": "yes" if observed.throttled else "",
            "ignored": str(observed.ignored_lines or ""),
        }


class Conversation:
    """The server's side, turn by turn; call `finish` after the session."""

    def __init__(self, turns: Sequence[Turn]) -> None:
        self._turns = deque(turns)
        self._early: deque[Turn] = deque()

    def send(self, data: bytes) -> None:
        """Receive what the client sends."""
        while self._turns and self._turns[0].speaker == "S!":
            self._early.append(self._turns.popleft())
        if not self._turns or self._turns[0].speaker != "C":
            raise Departure(f"the client sends {data!r} where the transcript has {self._next()}")
        turn = self._turns.popleft()
        if data != turn.data + b"\r\n":
            raise Departure(f"the client sends {data!r} where the transcript has {turn}")

    def read_line(self) -> bytes:
        """Return the server's next line."""
        source = self._early or self._turns
        if not source or source[0].speaker not in ("S", "S!", "EOF"):
            raise Departure(f"the client waits for a line where the transcript has {self._next()}")
        turn = source.popleft()
        if turn.speaker == "EOF":
            raise ConnectionClosed("the server closed the connection")
        return turn.data

    def read_bytes(self, count: int) -> bytes:
        """Return `count` octets of the server that are not a line."""
        if self._turns and self._turns[0].speaker == "EOF":
            self._turns.popleft()
            raise ConnectionClosed("the server closed the connection")
        if not self._turns or self._turns[0].speaker != "L" or len(self._turns[0].data) != count:
            raise Departure(f"the client waits for {count} octets where the transcript has {self._next()}")
        return self._turns.popleft().data

    def start_tls(self) -> None:
        """Start TLS; plaintext that came too early is an injection."""
        while self._turns and self._turns[0].speaker == "S!":
            self._early.append(self._turns.popleft())
        if self._early:
            octets = sum(len(turn.data) + 2 for turn in self._early)
            self._early.clear()
            raise PlaintextInjected(f"{octets} octets of plaintext came before the TLS handshake")
        if not self._turns or self._turns[0].speaker != "TLS":
            raise Departure(f"the client starts TLS where the transcript has {self._next()}")
        self._turns.popleft()

    def finish(self) -> None:
        """Check that no turn is left."""
        if self._early or self._turns:
            raise Departure(f"the session is over where the transcript has {self._next()}")

    def _next(self) -> str:
        return str((*self._early, *self._turns, "its end")[0])


def cases(protocol: Protocol) -> list[Path]:
    """The transcripts of a protocol."""
    return sorted((DIRECTORY / protocol).glob("*.txt"))


def play(path: Path) -> None:
    """Play a transcript, and assert its expectations and the rules of every session."""
    transcript = load(path)
    seen = replay(transcript)
    facts = seen.facts()
    assert {key: facts[key] for key in transcript.expected} == transcript.expected
    _check_greeting_first(seen)
    _check_commands_are_lines(seen)
    _check_phases_in_order(seen)
    _check_secrets(transcript, seen)
    _check_login_attempted(transcript, seen)


def _check_greeting_first(seen: Seen) -> None:
    """A session begins with the greeting phase, and reads before it sends."""
    assert seen.steps[0] == Enter(Phase.GREETING)
    before = takewhile(lambda step: not isinstance(step, ReadLine), seen.steps)
    assert not any(isinstance(step, Send) for step in before)


def _check_commands_are_lines(seen: Seen) -> None:
    """Everything sent ends in CRLF, and has no other line end and no NUL."""
    for send in seen.sent:
        for text in (send.data, send.shown or send.data):
            assert LINE.fullmatch(text)


def _check_phases_in_order(seen: Seen) -> None:
    """Phases are in the order of a session; only the capability phase comes again, after STARTTLS."""
    order = list(Phase)
    tls = seen.steps.index(StartTLS()) if StartTLS() in seen.steps else len(seen.steps)
    for part in (seen.steps[:tls], seen.steps[tls:]):
        phases = [order.index(step.phase) for step in part if isinstance(step, Enter)]
        without_starttls = [phase for phase in phases if order[phase] is not Phase.STARTTLS]
        assert without_starttls == sorted(set(without_starttls))


def _check_secrets(transcript: Transcript, seen: Seen) -> None:
    """A password is only in the data that is sent, and not in what is shown, a repr or the detail."""
    credential = transcript.plan.login
    shown = [(send.data if send.shown is None else send.shown).decode() for send in seen.sent]
    visible = "\n".join([*shown, *map(repr, seen.steps), repr(transcript.plan), repr(seen.observed), seen.detail])
    if isinstance(credential, Credential):
        for secret in _spellings(credential):
            assert secret not in visible
    assert "SENTINEL" not in visible  # the personal part of a link


def _check_login_attempted(transcript: Transcript, seen: Seen) -> None:
    """`login_attempted` is set before the first octet of a login is sent, and only where one is made."""
    attempted = False
    phase = None
    for step in seen.steps:
        if isinstance(step, Enter):
            phase = step.phase
        elif step == Note("login_attempted", value=True):
            attempted = True
        elif isinstance(step, Send) and phase is Phase.LOGIN:
            assert attempted or step.data in (b"bye LOGOUT\r\n", b"QUIT\r\n")
    assert not attempted or isinstance(transcript.plan.login, Credential)


def _spellings(credential: Credential) -> list[str]:
    """Return every spelling in which a session sends a password."""
    plain = f"\0{credential.username}\0{credential.password}"
    quoted = credential.password.replace("\\", "\\\\").replace('"', '\\"')
    return [credential.password, quoted, *(b64encode(text.encode()).decode() for text in (plain, credential.password))]


def load(path: Path) -> Transcript:
    """Read a transcript; its directory is named for the protocol.

    Raises:
        ValueError: a line that is not of the format, with its number.
    """
    return parse(path.read_text(encoding="utf-8"), Protocol(path.parent.name))


def parse(text: str, protocol: Protocol) -> Transcript:
    """Read the text of a transcript.

    Raises:
        ValueError: a line that is not of the format, with its number.
    """
    plan = Plan(CLIENT_NAME)
    turns: list[Turn] = []
    expected = {"logout": "", "throttled": "", "ignored": ""}
    first, *lines = text.splitlines()
    if not re.match(r"# \S", first):
        raise ValueError("line 1: a transcript begins with '# ' and what it shows")
    for number, line in enumerate(lines, 2):
        key, _, value = line.partition(": ")
        if "expect" not in expected and (turn := _TURN.fullmatch(line)):
            turns.append(Turn(turn["speaker"] or turn["event"], octets(turn["text"] or ""), number))
        elif key == "plan" and not turns:
            plan = read_plan(value)
        elif key in _EXPECTATIONS and (key == "expect" or "expect" in expected):
            expected[key] = value
        else:
            raise ValueError(f"line {number}: not of a transcript: {line!r}")
    if "expect" not in expected:
        raise ValueError(f"line {len(lines) + 1}: no 'expect: PHASE REASON'")
    return Transcript(protocol, plan, tuple(turns), expected)


def read_plan(words: str) -> Plan:
    """Read the text after `plan:`."""
    settings = {key: value for key, _, value in (word.partition("=") for word in words.split())}
    plan = Plan(
        CLIENT_NAME,
        starttls="starttls" in settings,
        mechanism=MechanismChoice(settings.get("mechanism", "auto")),
        folders=tuple(Role(role) for role in settings.get("folders", "").split(",") if role),
    )
    if unknown := settings.keys() - {"starttls", "login", "mechanism", "folders", "username", "password", "token"}:
        raise ValueError(f"not of a plan: {', '.join(unknown)}")
    match settings.get("login"):
        case None:
            return plan
        case "unavailable":
            return replace(plan, login=CredentialUnavailable("the file /run/secrets/ops is empty"))
        case _:
            username = octets(settings.get("username", USERNAME)).decode()
            secret = settings["token"] or TOKEN if "token" in settings else settings.get("password", SENTINEL)
            return replace(plan, login=Credential(username, octets(secret).decode(), is_token="token" in settings))


def octets(text: str) -> bytes:
    r"""The octets of a text: UTF-8, and `\xNN` for any one octet."""
    pieces = re.split(r"\\x([0-9a-f]{2})", text)
    return b"".join(bytes.fromhex(piece) if index % 2 else piece.encode() for index, piece in enumerate(pieces))


def replay(transcript: Transcript) -> Seen:
    """Run the session of a transcript, with its logout.

    Raises:
        Departure: it does not match the transcript.
    """
    seen = Seen()
    conversation = Conversation(transcript.turns)
    protocol = PROTOCOLS[transcript.protocol]
    login = transcript.plan.login
    error: Exception | None = None
    try:
        _drive(protocol.session(transcript.plan), conversation, seen)
    except Departure:
        raise
    except Exception as failure:  # noqa: BLE001 (classification is total)
        error = failure
        with_token = isinstance(login, Credential) and login.is_token
        seen.reason = classify(error, seen.phase, transcript.protocol, with_token=with_token)
        seen.detail = _redactor(login)(describe(error)) if not isinstance(error, OUR_OWN) else describe(error)
    if error is None or (isinstance(error, DialogueError) and error.in_step):
        _log_out(protocol.logout(), conversation, seen, transcript.protocol)
    conversation.finish()
    return seen


def _redactor(login: Credential | CredentialUnavailable | None) -> Callable[[str], str]:
    if not isinstance(login, Credential):
        return redact
    return Redactor(Secrets([login.password]), [login.username]).text


def _log_out(logout: Dialogue[None], conversation: Conversation, seen: Seen, protocol: Protocol) -> None:
    """Run the logout; its failure is recorded, and does not change the phase or the reason."""
    if seen.reason is Reason.OK:
        seen.phase = Phase.LOGOUT
    try:
        _drive(logout, conversation, seen)
    except Departure:
        raise
    except Exception as error:  # noqa: BLE001 (classification is total)
        seen.observed = replace(seen.observed, logout=classify(error, Phase.LOGOUT, protocol))


def _drive(dialogue: Dialogue[None], conversation: Conversation, seen: Seen) -> None:
    answer: bytes | None = None
    while True:
        try:
            step = dialogue.send(answer)
        except StopIteration:
            return
        answer = None
        seen.steps.append(step)
        match step:
            case ReadLine():
                answer = conversation.read_line()
            case ReadBytes(count):
                answer = conversation.read_bytes(count)
            case Send(data):
                conversation.send(data)
            case Enter(phase):
                seen.phase = phase
            case PassOver(count):
                seen.observed = replace(seen.observed, ignored_lines=seen.observed.ignored_lines + count)
            case Note(name, value):
                seen.observed = replace(seen.observed, **{name: value})
            case StartTLS():
                seen.phase = Phase.TLS
                conversation.start_tls()


def talk(protocol: Protocol, plan: Plan, lines: Sequence[bytes]) -> tuple[list[Send], Exception | None]:
    """Let a session and its logout read `lines`, whatever they send; return what was sent, and the error.

    Where octets are read, the next line is cut or repeated to their number. After the last line the server closes the
    connection.
    """
    rest = iter(lines)
    sent: list[Send] = []
    for dialogue in (PROTOCOLS[protocol].session(plan), PROTOCOLS[protocol].logout()):
        answer: bytes | None = None
        try:
            while True:
                step = dialogue.send(answer)
                answer = None
                if isinstance(step, Send):
                    sent.append(step)
                elif isinstance(step, (ReadLine, ReadBytes)):
                    if (answer := next(rest, None)) is None:
                        raise ConnectionClosed("the server closed the connection")
                    if isinstance(step, ReadBytes):
                        answer = ((answer or b"x") * step.count)[: step.count]
        except StopIteration:
            continue
        except Exception as error:  # noqa: BLE001 (the caller checks it)
            return sent, error
    return sent, None
