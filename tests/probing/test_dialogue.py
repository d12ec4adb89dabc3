"""All dialogues: the rules of `exporter.probing.dialogue`, secrets, and servers that send anything."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.model.outcome import Phase
from exporter.model.reason import Reason
from exporter.model.settings import MechanismChoice, Protocol, Role
from exporter.probing import dialogue
from exporter.probing.connection import ConnectionClosed
from exporter.probing.dialogue import (
    MAX_TEXT,
    Credential,
    CredentialUnavailable,
    DialogueError,
    Enter,
    Plan,
    ProtocolViolation,
    ReadBytes,
    ReadLine,
    Refusal,
    Send,
)
from exporter.probing.sasl import Mechanism
from tests.probing.transcript import (
    CLIENT_NAME,
    LINE,
    PROTOCOLS,
    SENTINEL,
    USERNAME,
    Departure,
    Transcript,
    cases,
    load,
    octets,
    parse,
    replay,
    talk,
)

if TYPE_CHECKING:
    from exporter.probing.dialogue import Dialogue


def test_secrets_are_sent() -> None:
    """The check of secrets in `transcript.play` can fail: the password is sent."""
    sent = replay(load(next(path for path in cases(Protocol.POP3) if path.stem == "gmail_2012_login"))).sent
    assert any(SENTINEL.encode() in send.data for send in sent)


def test_dialogues_load_no_io() -> None:
    """The dialogues load no IO and no library, also not through other modules."""
    program = """import sys
from exporter.probing import dialogue, imap, imap_folders, imap_messages, imap_responses
from exporter.probing import pop3, pop3_messages, sasl, smtp, submission
print(*sorted({"asyncio", "cryptography", "pydantic", "socket", "ssl", "yaml"} & sys.modules.keys()))"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, text=True)
    assert ended.stdout.split() == []


# The steps and errors themselves


def test_reprs() -> None:
    """No repr of an object with a secret shows it."""
    credential = Credential(USERNAME, SENTINEL)
    carriers = [
        credential,
        Mechanism("PLAIN", (SENTINEL.encode(),), client_first=True),
        Plan(CLIENT_NAME, login=credential),
        Send(SENTINEL.encode(), b"[redacted]"),
        Send(SENTINEL.encode()),
    ]
    for carrier in carriers:
        assert type(carrier).__name__ in repr(carrier)
        assert SENTINEL not in repr(carrier)


def read(line: bytes) -> bytes:
    """Return what `read_line` returns for a line."""
    reader = dialogue.read_line()
    assert next(reader) == ReadLine()
    with pytest.raises(StopIteration) as caught:
        reader.send(line)
    result: bytes = caught.value.value
    return result


def test_read_line() -> None:
    """A line is returned unchanged; a NUL in it is a violation that quotes the line."""
    assert read(b"\xff \r x") == b"\xff \r x"
    with pytest.raises(ProtocolViolation, match=r"^a NUL in 'a\x00b'$"):
        read(b"a\0b")


def test_excerpt() -> None:
    """An excerpt is the line, unescaped."""
    line = f"{'x' * 500} p\"a\\ss'wörd"
    assert dialogue.excerpt(line.encode()) == f"'{line}'"
    assert dialogue.excerpt(b"\xff") == r"'\xff'"


def test_text_is_bounded() -> None:
    """Of what a server sent only the beginning is made into text, for each octet that is none takes time."""
    for make in (dialogue.as_text, dialogue.excerpt, lambda octets: str(Refusal(octets))):
        assert make(b"x" * MAX_TEXT).count("x") == MAX_TEXT
        assert make(b"\xff" * (1 << 20)).count("\\xff") == MAX_TEXT
        assert make(b"x" * (1 << 20)).rstrip("'").endswith("x…")
    assert dialogue.as_text(b"xyz", 2) == "xy…"
    assert [dialogue.as_text("é€x".encode(), most) for most in range(6)] == ["…", "…", "é…", "é…", "é…", "é€…"]
    assert dialogue.as_text(b"\xe2\x82", 2) == r"\xe2\x82"


def test_refusal() -> None:
    """A refusal has the server's text, with any octets, and nothing else by default."""
    refusal = Refusal(b"no \xff \xc3\xa4")
    assert str(refusal) == r"no \xff ä"
    assert (refusal.temporary, refusal.in_step) == (None, True)


def _enter_login(plan: Plan) -> tuple[list[dialogue.Step], Credential | None]:
    entering = dialogue.enter_login(plan)
    steps: list[dialogue.Step] = []
    while True:
        try:
            steps.append(next(entering))
        except StopIteration as end:
            return steps, end.value


def test_enter_login() -> None:
    """The login phase is entered only where there is a login."""
    credential = Credential(USERNAME, SENTINEL)
    assert _enter_login(Plan(CLIENT_NAME)) == ([], None)
    assert _enter_login(Plan(CLIENT_NAME, login=credential)) == ([Enter(Phase.LOGIN)], credential)


@pytest.mark.parametrize("text", ["a\rb", "a\nb", "a\0b", "a\udc80b", "a\n"])
@pytest.mark.parametrize("which", ["username", "password"])
def test_unsendable(text: str, which: str) -> None:
    """A user name or a password that would be more than one argument is not sent, and not shown."""
    credential = Credential(text, SENTINEL) if which == "username" else Credential(USERNAME, text)
    with pytest.raises(CredentialUnavailable, match="one line of text") as caught:
        _enter_login(Plan(CLIENT_NAME, login=credential))
    assert "a" + text[1] not in str(caught.value)


# The runner

GREETING = "S: * OK ready\n"
CAPABILITY = "C: a1 CAPABILITY\nS: * CAPABILITY IMAP4rev1\nS: a1 OK\n"
LOGOUT = "C: bye LOGOUT\nS: * BYE\nS: bye OK\n"


@pytest.mark.parametrize(
    ("turns", "departure"),
    [
        (GREETING + CAPABILITY, "sends b'bye LOGOUT.*' where the transcript has its end"),
        (GREETING + CAPABILITY + "EOF\n", "sends b'bye LOGOUT.*' where the transcript has EOF"),
        (GREETING + "C: a1 NOOP\n", "sends b'a1 CAPABILITY.*' where the transcript has C: b'a1 NOOP'"),
        (GREETING + GREETING, "sends b'a1 CAPABILITY.*' where the transcript has S: "),
        (CAPABILITY, "waits for a line where the transcript has C: "),
        (GREETING + "C: a1 CAPABILITY\n", "waits for a line where the transcript has its end"),
        (GREETING + CAPABILITY + LOGOUT + "S: * OK more\n", "is over where the transcript has S: b'\\* OK more'"),
        (GREETING + CAPABILITY + LOGOUT + "S!: * OK\n", "is over where the transcript has S!: "),
        ("S: * BYE\n" + LOGOUT, "is over where the transcript has C: b'bye LOGOUT'"),
        (
            GREETING + "C: a1 CAPABILITY\nS: * X {3}\nL: four\n",
            "waits for 3 octets where the transcript has L: b'four'",
        ),
        (GREETING + "C: a1 CAPABILITY\nS: * X {3}\nS: abc\n", "waits for 3 octets where the transcript has S: b'abc'"),
    ],
)
def test_departure(turns: str, departure: str) -> None:
    """A session that does not match its transcript fails, with the line where it departs."""
    with pytest.raises(Departure, match=departure):
        replay(parse(f"# x\n{turns}expect: logout ok\n", Protocol.IMAP))


def test_departure_at_tls() -> None:
    """A transcript that continues in plaintext where the client starts TLS fails."""
    turns = GREETING + "C: a1 CAPABILITY\nS: * CAPABILITY IMAP4rev1 STARTTLS\nS: a1 OK\nC: a2 STARTTLS\nS: a2 OK\n"
    with pytest.raises(Departure, match="starts TLS where the transcript has C: b'a3 CAPABILITY'"):
        replay(parse(f"# x\nplan: starttls\n{turns}C: a3 CAPABILITY\nexpect: logout ok", Protocol.IMAP))


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("S: * OK\nexpect: logout ok", "line 1: a transcript begins with"),
        ("# x\nS: * OK", "line 2: no 'expect"),
        ("# x\nS * OK\nexpect: logout ok", "line 2: not of a transcript: 'S"),
        ("# x\ndetail: x\nexpect: logout ok", "line 2: not of a transcript: 'detail"),
        ("# x\nexpect: logout ok\nS: late", "line 3: not of a transcript: 'S"),
        ("# x\nS: * OK\nplan: login\nexpect: logout ok", "line 3: not of a transcript: 'plan"),
        ("# x\nplan: log_in\nexpect: logout ok", "not of a plan: log_in"),
    ],
)
def test_format(text: str, mistake: str) -> None:
    """A file that is not of the format is an error with its line."""
    with pytest.raises(ValueError, match=f"^{re.escape(mistake)}"):
        parse(text, Protocol.IMAP)


def test_octets() -> None:
    r"""`\xNN` is an octet; other backslashes and all other text are unchanged."""
    assert octets(r"a\x00\xffö\y\x5cx41\\") == b"a\0\xff\xc3\xb6\\y\\x41\\\\"


# Any server


def spoken(transcript: Transcript) -> list[bytes]:
    """Return the server's lines of a transcript."""
    return [turn.data for turn in transcript.turns if turn.speaker in ("S", "S!", "L")]


PLANS = st.builds(
    Plan,
    st.just(CLIENT_NAME),
    starttls=st.booleans(),
    login=st.sampled_from(
        [None, Credential(USERNAME, SENTINEL), Credential("pröbe", 'p"a\\ss wörd'), CredentialUnavailable("x")]
    ),
    mechanism=st.sampled_from(MechanismChoice),
    folders=st.lists(st.sampled_from(Role), unique=True, max_size=3).map(tuple),
)

LINES = {protocol: sorted({line for path in cases(protocol) for line in spoken(load(path))}) for protocol in Protocol}
"""The server's lines of all transcripts."""

SESSIONS = {
    protocol: [(transcript.plan, spoken(transcript)) for transcript in map(load, cases(protocol))]
    for protocol in Protocol
}


def any_line(protocol: Protocol) -> st.SearchStrategy[bytes]:
    """Draw a line of a server: one of a transcript, such a line with other octets in it, or any octets but LF."""
    known = st.sampled_from(LINES[protocol])
    anything = st.binary(max_size=40).map(lambda octets: octets.replace(b"\n", b"\r"))
    cut = st.builds(lambda line, at, some: line[:at] + some + line[at + 1 :], known, st.integers(0, 60), anything)
    return st.one_of(known, anything, cut)


def check(protocol: Protocol, sent: list[Send], error: Exception | None) -> None:
    """With any server, a dialogue ends with one of its errors or none, and sends only commands."""
    assert error is None or isinstance(error, (DialogueError, ConnectionClosed))
    for send in sent:
        assert LINE.fullmatch(send.data), protocol


@pytest.mark.parametrize("protocol", Protocol)
@settings(max_examples=300, deadline=None)
@given(data=st.data(), plan=PLANS)
def test_any_server(protocol: Protocol, plan: Plan, data: st.DataObject) -> None:
    """A dialogue with a server that sends anything ends in order."""
    check(protocol, *talk(protocol, plan, data.draw(st.lists(any_line(protocol), max_size=25))))


@pytest.mark.parametrize("protocol", Protocol)
@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_any_departure(protocol: Protocol, data: st.DataObject) -> None:
    """A dialogue with a server that departs from a transcript anywhere ends in order."""
    plan, lines = data.draw(st.sampled_from(SESSIONS[protocol]))
    at = data.draw(st.integers(0, len(lines)))
    skipped = data.draw(st.integers(0, 2))
    others = data.draw(st.lists(any_line(protocol), max_size=3))
    check(protocol, *talk(protocol, plan, [*lines[:at], *others, *lines[at + skipped :]]))


@pytest.mark.parametrize("protocol", Protocol)
def test_sessions_are_complete(protocol: Protocol) -> None:
    """Without a change, the sessions of the property tests end as their transcripts do."""
    for transcript in map(load, cases(protocol)):
        if Reason.STARTTLS_INJECTION in transcript.expected["expect"]:
            continue  # the transport finds it, not the dialogue
        sent, error = talk(protocol, transcript.plan, spoken(transcript))
        expected = [turn.data + b"\r\n" for turn in transcript.turns if turn.speaker == "C"]
        assert [send.data for send in sent] == expected[: len(sent)]
        assert error is not None or len(sent) == len(expected)


def conversation(protocol: Protocol, lines: list[bytes]) -> Dialogue[None]:
    """Return a dialogue that has read `lines`, or as many of them as it needs."""
    talking = PROTOCOLS[protocol].session(Plan(CLIENT_NAME))
    step = next(talking)
    for line in lines:
        while not isinstance(step, (ReadLine, ReadBytes)):
            step = talking.send(None)
        step = talking.send(line)
    return talking


@pytest.mark.parametrize(
    ("protocol", "opening", "line"),
    [
        (Protocol.IMAP, [b"* OK"], b"* 1 EXISTS"),
        (Protocol.POP3, [b"+OK", b"+OK"], b"X-MORE"),
        (Protocol.SMTP, [], b"220-more"),
    ],
)
def test_endless_answer(protocol: Protocol, opening: list[bytes], line: bytes) -> None:
    """An answer without an end is read further: the driver has the limits."""
    assert conversation(protocol, [*opening, *[line] * 10_000]).send(line) == ReadLine()
