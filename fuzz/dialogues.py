"""Servers that say anything, in all three protocols, with and without a login.

A case is a line with the protocol and the plan, as in a transcript, and then the octets of the server. A line `=TLS=`
is where the server expects the handshake. The dialogues read them without sockets and without an event loop.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from random import Random

from exporter.model.outcome import MAX_DETAIL, Observed, Phase
from exporter.model.reason import Reason
from exporter.model.settings import Endpoint, Protocol
from exporter.probing.classify import classify, describe
from exporter.probing.connection import ConnectionClosed, PlaintextInjected
from exporter.probing.dialogue import (
    MAX_LINE,
    Credential,
    Dialogue,
    DialogueError,
    Enter,
    Note,
    Plan,
    ReadBytes,
    ReadLine,
    ResponseTooLarge,
    Send,
    Step,
    as_text,
)
from exporter.probing.redact import Redactor, redactor_of, shortened
from fuzz.fuzzer import Wrong
from fuzz.mutation import Mutator, dictionary
from tests.probing.transcript import DIRECTORY, LINE, PROTOCOLS, SENTINEL, TOKEN, octets, read_plan


def _base64(text: str) -> str:
    return b64encode(text.encode()).decode()


TLS = b"=TLS="
STEPS = 60
"""Steps of a session besides those that read."""

PLANS = (
    b"", b"starttls", b"login", b"login starttls", b"login folders=inbox,sent", b"login token", b"login=unavailable",
    b"login mechanism=plain", b"login mechanism=login folders=inbox,trash,spam", b"login token mechanism=oauthbearer",
    b"login token mechanism=xoauth2 starttls", rb"login password=with\x20space\x22\x5c" + SENTINEL.encode(),
    b"login username=" + b"\xc3\xa4" * 3,
)  # fmt: skip

SECRETS = tuple(
    spelling
    for secret in (SENTINEL, TOKEN)
    for spelling in (secret, _base64(secret), _base64(f"\0probe@gmail.com\0{secret}"))
)
"""What a server may send back, for the mutator."""


_PIECE = re.compile(rb"|".join(re.escape(secret[:6].encode()) for secret in SECRETS), re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


class Server:
    """The octets of a server, as `exporter.probing.connection` would give them to a dialogue."""

    def __init__(self, said: bytes) -> None:
        self._parts = re.split(rb"^=TLS=\r?\n", said, flags=re.MULTILINE)
        self._part = self._parts.pop(0)
        self._at = 0

    @property
    def is_silent(self) -> bool:
        """Whether it has said everything."""
        return self._at >= len(self._part)

    def read_line(self) -> bytes:
        """Return the next line, without its end."""
        end = self._part.find(b"\n", self._at, self._at + MAX_LINE)
        if end < 0:
            if len(self._part) - self._at >= MAX_LINE:
                raise ResponseTooLarge("a long line")
            raise ConnectionClosed("the server closed the connection")
        line, self._at = self._part[self._at : end], end + 1
        return line.removesuffix(b"\r")

    def read_bytes(self, count: int) -> bytes:
        """Return the next octets."""
        if len(self._part) - self._at < count:
            raise ConnectionClosed("the server closed the connection")
        self._at += count
        return self._part[self._at - count : self._at]

    def start_tls(self) -> None:
        """Go on after the handshake."""
        if self._at < len(self._part):
            raise PlaintextInjected("octets of plaintext came before the TLS handshake")
        if not self._parts:
            raise ConnectionClosed("the server closed the connection")
        self._part, self._at = self._parts.pop(0), 0


class _Session:
    """One session with its logout, and what must be true of every one."""

    def __init__(self, protocol: Protocol, plan: Plan, redactor: Redactor, said: bytes) -> None:
        self._protocol, self._plan, self._redactor, self._server = protocol, plan, redactor, Server(said)
        # To redact every line takes most of the time: it is done where a secret is said, and now and then.
        self._shows = _PIECE.search(said) is not None or len(said) % 16 == 0
        self._phase = Phase.GREETING
        self._secured = not plan.starttls
        self._attempted = False
        self._reads = self._steps = 0
        self._credential = plan.login if isinstance(plan.login, Credential) else None

    def run(self) -> None:
        dialogues = PROTOCOLS[self._protocol]
        error = self._drive(dialogues.session(self._plan))
        if error is None or (isinstance(error, DialogueError) and error.in_step):
            self._drive(dialogues.logout())

    def _drive(self, dialogue: Dialogue[None]) -> Exception | None:
        try:
            self._perform(dialogue)
        except Wrong:
            raise
        except (DialogueError, ConnectionClosed, PlaintextInjected) as error:
            self._check_error(error)
            return error
        return None

    def _perform(self, dialogue: Dialogue[None]) -> None:
        answer: bytes | None = None
        while True:
            try:
                step: Step = dialogue.send(answer)
            except StopIteration:
                return
            answer = None
            self._steps += 1
            if self._steps > STEPS + 2 * self._reads:
                raise Wrong(f"more steps than the server's lines explain: {self._steps} for {self._reads}")
            if isinstance(step, ReadLine):
                self._reads += 1
                answer = self._server.read_line()
                if self._shows:
                    self._check_text(self._redacted(answer), "a line")
            elif isinstance(step, ReadBytes):
                self._reads += 1
                answer = self._server.read_bytes(step.count)
            elif isinstance(step, Send):
                self._check_sent(step)
            elif isinstance(step, Enter):
                self._phase = step.phase
            elif isinstance(step, Note):
                Observed(**{step.field: step.value})
                self._attempted = self._attempted or step.field == "login_attempted"
            else:
                self._server.start_tls()
                self._secured = True

    def _check_sent(self, send: Send) -> None:
        if not self._reads:
            raise Wrong(f"something is sent before the greeting: {send.data!r}")
        shown = send.data if send.shown is None else send.shown
        if not LINE.fullmatch(shown):
            raise Wrong(f"what is shown is not one line: {shown!r}")
        if not LINE.fullmatch(send.data):
            raise Wrong(f"what is sent is not one line: {send.data!r}")
        shown = shown.rstrip(b"\r\n")
        text = self._redacted(shown) if send.repeats else shortened(as_text(shown))
        self._check_text(text, "what is sent and shown")
        if self._credential and SENTINEL.encode() in send.data and not (self._secured and self._attempted):
            raise Wrong("a secret is sent before TLS, or without a note of the login")

    def _check_error(self, error: Exception) -> None:
        with_token = self._credential is not None and self._credential.is_token
        reason = classify(error, self._phase, self._protocol, with_token=with_token)
        if reason in (Reason.INTERNAL, Reason.OK):
            raise Wrong(f"an error without a reason: {error!r}")
        self._check_text(self._redactor.text(describe(error)), "the detail")

    def _redacted(self, line: bytes) -> str:
        return self._redactor.text(as_text(line))

    def _check_text(self, text: str, what: str) -> None:
        check_text(text, what, self._credential.password if self._credential else None)


def check_text(text: str, what: str, secret: str | None) -> None:
    """See that a text can be shown: it is short, one line, and without the secret.

    Raises:
        Wrong: It cannot.
    """
    if len(text) > MAX_DETAIL:
        raise Wrong(f"{what} is too long: {len(text)}")
    if _CONTROL.search(text):
        raise Wrong(f"{what} has what cannot be printed: {text!r}")
    if secret and secret in text:
        raise Wrong(f"{what} has the secret: {text!r}")
    if secret and b64encode(secret.encode()).decode().rstrip("=") in text:
        raise Wrong(f"{what} has the secret in base64: {text!r}")


class Dialogues:
    """All transcripts of the tests are seeds."""

    def __init__(self, _directory: Path) -> None:
        seeds = [_seed(path) for protocol in Protocol for path in sorted((DIRECTORY / protocol).glob("*.txt"))]
        words = [*dictionary("dialogues.words"), *(secret.encode() for secret in SECRETS), SENTINEL.upper().encode()]
        lines = dictionary("dialogues.lines")
        self._mutators = {
            protocol: Mutator([said for _, of, said in seeds if of is protocol], words, lines) for protocol in Protocol
        }
        self._seeds: Sequence[tuple[bytes, Protocol, bytes]] = seeds

    def make(self, random: Random) -> bytes:
        """Return a case: a transcript with a few changes, its plan or another one."""
        plan, protocol, said = random.choice(self._seeds)
        if random.random() < 0.3:
            plan = random.choice(PLANS)
        said = self._mutators[protocol].change(random, said)
        return protocol.encode() + b" " + plan + b"\n" + said

    def run(self, case: bytes) -> None:
        """Let the dialogue of the case run, with its logout.

        Raises:
            Wrong: Something that must be true of every session is not.
        """
        head, _, said = case.partition(b"\n")
        if (known := _read_head(head)) is not None:
            _Session(*known, said).run()


@cache
def _read_head(head: bytes) -> tuple[Protocol, Plan, Redactor] | None:
    """Return protocol, plan and redactor; None where a finding that is made smaller has none any more."""
    protocol, _, words = head.partition(b" ")
    try:
        plan = read_plan(words.decode())
        of = Endpoint(name="fuzz", protocol=Protocol(protocol.decode()), host="mail.example.com", port=1)
        login = plan.login if isinstance(plan.login, Credential) else None
        return of.protocol, plan, redactor_of(of, login)
    except ValueError:
        return None


def _seed(path: Path) -> tuple[bytes, Protocol, bytes]:
    """Return the plan, the protocol and what the server says in a transcript."""
    plan, said = b"", b""
    for line in path.read_text(encoding="utf-8").splitlines():
        key, _, text = line.partition(": ")
        if key == "plan":
            plan = text.encode()
        elif key in ("S", "S!"):
            said += octets(text) + b"\r\n"
        elif key == "L":
            said += octets(text)
        elif line == "TLS":
            said += TLS + b"\r\n"
    return plan, Protocol(path.parent.name), said
