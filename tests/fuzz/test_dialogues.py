"""The fuzzer of dialogues finds what is wrong with one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from exporter.model.outcome import Phase
from exporter.model.reason import Reason
from exporter.model.settings import Protocol
from exporter.probing.connection import ConnectionClosed
from exporter.probing.dialogue import (
    Dialogue,
    Enter,
    Note,
    Plan,
    ProtocolDialogue,
    ReadLine,
    Send,
    StartTLS,
)
from exporter.probing.redact import Redactor
from fuzz import dialogues
from fuzz.dialogues import Dialogues
from fuzz.fuzzer import Wrong
from tests.probing.transcript import PROTOCOLS, SENTINEL

EARLY = "a secret is sent before TLS, or without a note of the login"
PLAIN = b"imap login\n* OK hello\r\n"


@pytest.fixture
def fuzzer(tmp_path: Path) -> Dialogues:
    """A fuzzer."""
    return Dialogues(tmp_path)


Session = Callable[[Plan], Dialogue[None]]


@pytest.fixture
def speaking(monkeypatch: pytest.MonkeyPatch) -> Callable[[Session], None]:
    """Call it with a session to put it in place of IMAP's."""

    def put(session: Session) -> None:
        def logout() -> Dialogue[None]:
            yield Enter(Phase.LOGOUT)

        monkeypatch.setitem(PROTOCOLS, Protocol.IMAP, ProtocolDialogue(session, logout))

    return put


def test_every_transcript_is_right(fuzzer: Dialogues) -> None:
    """The seeds themselves are no findings."""
    for plan, protocol, said in fuzzer._seeds:
        fuzzer.run(protocol.encode() + b" " + plan + b"\n" + said)


@pytest.mark.parametrize("case", [b"", b"imap", b"nonsense\nx", b"imap login=x folders=none\nx", b"\xff\n"])
def test_no_case(fuzzer: Dialogues, case: bytes) -> None:
    """What is left of a case that is made smaller may be none."""
    fuzzer.run(case)


def test_name_of_a_folder(fuzzer: Dialogues) -> None:
    """What a command repeats of the server is redacted, as in a probe."""
    folder = '* LIST (\\Sent) "/" "c2VudGluZWxzZW50aW5lbA"'
    lines = ("imap login folders=sent", "* OK", "* CAPABILITY IMAP4rev1", "a1 OK", "a2 OK", folder, "a3 OK", "")
    fuzzer.run("\r\n".join(lines).encode())


def test_unexpected_exception(fuzzer: Dialogues, speaking: Callable[[Session], None]) -> None:
    """Whatever is no error of a dialogue is a finding."""

    def session(_plan: Plan) -> Dialogue[None]:
        yield ReadLine()
        raise IndexError

    speaking(session)
    with pytest.raises(IndexError):
        fuzzer.run(PLAIN)


def _endless(_plan: Plan) -> Dialogue[None]:
    while True:
        yield Enter(Phase.GREETING)


def _early(_plan: Plan) -> Dialogue[None]:
    yield Send(b"a1 NOOP\r\n")


def _two_lines(_plan: Plan) -> Dialogue[None]:
    yield ReadLine()
    yield Send(b"a1 NOOP\r\na2 NOOP\r\n")


def _shown(_plan: Plan) -> Dialogue[None]:
    yield ReadLine()
    yield Note("login_attempted", value=True)
    yield Send(b"a1 NOOP\r\n", b"a1 NOOP\n")


def _in_the_clear(_plan: Plan) -> Dialogue[None]:
    yield ReadLine()
    yield Note("login_attempted", value=True)
    yield Send(f"a1 LOGIN x {SENTINEL}\r\n".encode(), b"a1 LOGIN\r\n")
    yield StartTLS()


def _without_note(_plan: Plan) -> Dialogue[None]:
    yield ReadLine()
    yield Send(f"a1 LOGIN x {SENTINEL}\r\n".encode(), b"a1 LOGIN\r\n")


@pytest.mark.parametrize(
    ("session", "case", "wrong"),
    [
        (_endless, PLAIN, "more steps than the server's lines explain"),
        (_early, PLAIN, "something is sent before the greeting"),
        (_two_lines, PLAIN, "what is shown is not one line"),
        (_shown, PLAIN, "what is shown is not one line"),
        (
            _in_the_clear,
            b"imap login starttls\n* OK\r\n",
            EARLY,
        ),
        (_without_note, PLAIN, EARLY),
    ],
)
def test_wrong_session(
    fuzzer: Dialogues, speaking: Callable[[Session], None], session: Session, case: bytes, wrong: str
) -> None:
    """Each rule of sessions is checked."""
    speaking(session)
    with pytest.raises(Wrong, match=f"^{wrong}"):
        fuzzer.run(case)


@pytest.mark.parametrize(
    ("said", "wrong"),
    [
        (f"* OK {SENTINEL}\r\n", "a line has the secret"),
        ("* OK c2VudGluZWxzZW50aW5lbA==\r\n", "a line has the secret in base64"),
        (f"{SENTINEL} OK\r\n", "a line has the secret"),
        ("* OK sentine\u202e\r\n", "a line has what cannot be printed"),
        ("* OK sentine" + "x" * 600 + "\r\n", "a line is too long"),
    ],
)
def test_without_redaction(fuzzer: Dialogues, monkeypatch: pytest.MonkeyPatch, said: str, wrong: str) -> None:
    """What is shown is checked."""
    monkeypatch.setattr(Redactor, "text", lambda _redactor, text: text)
    with pytest.raises(Wrong, match=f"^{wrong}"):
        fuzzer.run(b"imap login\n" + said.encode())


def test_error_without_a_reason(fuzzer: Dialogues, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error of a dialogue that would be told as a fault of this program is a finding."""
    monkeypatch.setattr(dialogues, "classify", lambda *_, **__: Reason.INTERNAL)
    with pytest.raises(Wrong, match="^an error without a reason"):
        fuzzer.run(b"imap login\nnonsense\r\n")


def test_tls(fuzzer: Dialogues) -> None:
    """A line `=TLS=` is the handshake: the seeds of sessions with STARTTLS go on after it."""
    seen: list[bytes] = []
    case = b"pop3 starttls\n+OK\r\n+OK\r\nSTLS\r\n.\r\n+OK\r\n=TLS=\r\n+OK\r\nUSER\r\n.\r\n+OK\r\n"
    server = dialogues.Server(case.partition(b"\n")[2])
    while True:
        try:
            seen.append(server.read_line())
        except ConnectionClosed:
            break
    assert seen[-1] == b"+OK"
    server.start_tls()
    assert server.read_line() == b"+OK"
    fuzzer.run(case)
