"""The fuzzer of deliveries finds what is wrong with one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from exporter.deliveries import headers
from exporter.deliveries.tokens import Tokens
from exporter.model.delivery import AuthResult, Hop, Method
from exporter.model.reason import Reason
from exporter.model.settings import Protocol
from exporter.probing.dialogue import Arrival, ProtocolViolation, ReadBytes, ReadLine, Send, Work
from exporter.probing.redact import Redactor
from fuzz import deliveries
from fuzz.deliveries import OURS, WORKS, Deliveries
from fuzz.fuzzer import Wrong
from tests.probing.transcript import SENTINEL

CASES = 300


@pytest.fixture
def fuzzer(tmp_path: Path) -> Deliveries:
    """A fuzzer."""
    return Deliveries(tmp_path)


@pytest.fixture
def doing(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Protocol, Work[object]], None]:
    """Call it with a piece of work to put it in the place of another one."""

    def put(name: str, protocol: Protocol, work: Work[object]) -> None:
        monkeypatch.setitem(WORKS, name, (protocol, lambda _: work))

    return put


def test_every_seed_is_right(fuzzer: Deliveries) -> None:
    """The seeds themselves are no findings, and every piece of work has some."""
    for seed in fuzzer.seeds:
        fuzzer.run(seed)
    assert {seed.split()[0].decode() for seed in fuzzer.seeds} == {*WORKS, "header"}


def test_cases(fuzzer: Deliveries) -> None:
    """Some of those that `make fuzz` runs."""
    random = Random(7)
    for _ in range(CASES):
        fuzzer.run(fuzzer.make(random))


@pytest.mark.parametrize("case", [b"", b"nonsense\nx", b"header", b"header \xff\n", b"submit", b"\xff\n"])
def test_no_case(fuzzer: Deliveries, case: bytes) -> None:
    """What is left of a case that is made smaller may be none."""
    fuzzer.run(case)


def test_our_own_are_cleared(fuzzer: Deliveries, monkeypatch: pytest.MonkeyPatch) -> None:
    """The seeds have messages that are ours and others; it is seen which of them are touched."""
    case = next(seed for seed in fuzzer.seeds if seed.startswith(b"clear MOVE UIDPLUS"))
    seen: list[bytes] = []
    work = WORKS["clear"][1](["MOVE"])
    doing = deliveries._Doing("clear", Protocol.IMAP, work, case.partition(b"\n")[2])
    check = doing._check_sent

    def note(send: Send) -> None:
        seen.append(send.data)
        check(send)

    monkeypatch.setattr(doing, "_check_sent", note)
    doing.run()
    assert seen[-1] == b'd4 UID MOVE 1,9 "Trash \\"1\\""\r\n'
    doing = deliveries._Doing("survey", Protocol.IMAP, WORKS["clear"][1](["MOVE"]), case.partition(b"\n")[2])
    with pytest.raises(Wrong, match="^a command that must not be sent over IMAP"):
        doing.run()


def test_a_token_that_is_not_checked(fuzzer: Deliveries, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who believes every token touches the messages of others."""
    monkeypatch.setattr(Tokens, "read", lambda _tokens, header: (OURS, 1.0) if b"Message-ID" in header else None)
    with pytest.raises(Wrong, match="^a message is touched that is not ours"):
        fuzzer.run(next(seed for seed in fuzzer.seeds if seed.startswith(b"clear UIDPLUS")))
    with pytest.raises(Wrong, match="^more is read of a message that is not ours"):
        fuzzer.run(next(seed for seed in fuzzer.seeds if seed.startswith(b"look") and OURS.encode() in seed).replace(
            OURS.encode(), b"x" * len(OURS)
        ))  # fmt: skip
    with pytest.raises(Wrong, match="^a token that is not ours"):
        fuzzer.run(b"header mail.example.com\nMessage-ID: <x@example.com>\r\n")


def _says(*commands: bytes) -> Work[None]:
    for each in commands:
        yield Send(each)


def _endless() -> Work[None]:
    while True:
        yield Arrival()


def _raises() -> Work[None]:
    yield ReadLine()
    raise IndexError


def _shows() -> Work[None]:
    line = yield ReadLine()
    yield Send(b"d1 EXAMINE " + line + b"\r\n", repeats=True)


def _complains() -> Work[None]:
    line = yield ReadLine()
    raise ProtocolViolation(line.decode())


def _reads() -> Work[None]:
    yield ReadBytes(3)
    yield ReadLine()


@pytest.mark.parametrize(
    ("name", "work", "wrong"),
    [
        ("look", _endless(), "more steps than"),
        ("look", _says(b"d1 UID MOVE 1 \"Trash \\\"1\\\"\"\r\n"), "a message is touched"),
        ("clear", _says(b"d1 UID STORE 5 +FLAGS.SILENT (\\Deleted)\r\n"), "a message is touched"),
        ("clear", _says(b"d1 UID EXPUNGE 1:*\r\n"), "a command that must not be sent over IMAP"),
        ("clear", _says(b"d1 UID MOVE 1 \"Inbox\"\r\n"), "a command that must not be sent over IMAP"),
        ("clear", _says(b"d1 EXPUNGE\r\n"), "a command that must not be sent over IMAP"),
        ("survey", _says(b'd1 SELECT "INBOX"\r\n'), "a command that must not be sent over IMAP"),
        ("look", _says(b"d1 UID FETCH " + b"1" * 9000 + b"\r\n"), "more is sent than"),
        ("pop3", _says(b"DELE 1\r\n"), "a command that must not be sent over POP3"),
        ("pop3", _says(b"TOP 1 0\r\n"), "a command that must not be sent over POP3"),
        ("submit", _says(b"RCPT TO:<else@example.com>\r\n"), "a command that must not be sent over SMTP"),
        ("submit", _says(b"VRFY x\r\n"), "a command that must not be sent over SMTP"),
        ("look", _shows(), "what is sent and shown has the secret"),
        ("look", _complains(), "the detail has the secret"),
    ],
)  # fmt: skip
def test_wrong_work(
    fuzzer: Deliveries,
    doing: Callable[[str, Protocol, Work[object]], None],
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    work: Work[object],
    wrong: str,
) -> None:
    """Each rule is checked."""
    monkeypatch.setattr(Redactor, "text", lambda _redactor, text: text)
    doing(name, WORKS[name][0], work)
    with pytest.raises(Wrong, match=f"^{wrong}"):
        fuzzer.run(f"{name}\n{SENTINEL}\r\n".encode())


def test_messages(fuzzer: Deliveries, doing: Callable[[str, Protocol, Work[object]], None]) -> None:
    """One message is sent, and no other."""
    whole = deliveries._MESSAGE + b".\r\n"
    for sent, wrong in (([whole, whole], "the message is sent twice"), ([b"spam\r\n.\r\n"], "another message")):
        doing("submit", Protocol.SMTP, (Send(each, b"(a message)\r\n") for each in sent))
        with pytest.raises(Wrong, match=f"^{wrong}"):
            fuzzer.run(b"submit\n")


def test_unexpected_exception(
    fuzzer: Deliveries, doing: Callable[[str, Protocol, Work[object]], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is no error of a dialogue is a finding, and so is an error that would be told as a fault of ours."""
    doing("look", Protocol.IMAP, _raises())
    with pytest.raises(IndexError):
        fuzzer.run(b"look\nx\r\n")
    doing("look", Protocol.IMAP, _reads())
    monkeypatch.setattr(deliveries, "classify", lambda *_: Reason.INTERNAL)
    with pytest.raises(Wrong, match="^an error without a reason"):
        fuzzer.run(b"look\nabcd")


@pytest.mark.parametrize(
    ("results", "wrong"),
    [
        ({Method.SPF: AuthResult.PASS}, "results of somebody else"),
        ({Method.DMARC: AuthResult.FAIL}, "results of somebody else"),
    ],
)
def test_results_of_somebody_else(
    fuzzer: Deliveries, monkeypatch: pytest.MonkeyPatch, results: dict[Method, AuthResult], wrong: str
) -> None:
    """A header without the name of Google's servers says nothing of Google's."""
    monkeypatch.setattr(headers, "authentication", lambda *_: results)
    with pytest.raises(Wrong, match=f"^{wrong}"):
        fuzzer.run(b"header imap.gmail.com\nAuthentication-Results: x; spf=pass; dmarc=fail\r\n")
    with pytest.raises(Wrong, match="^a result that is not there"):
        fuzzer.run(b"header mail.example.com\nSubject: x\r\n")


@pytest.mark.parametrize(
    ("hops", "wrong"),
    [
        ((Hop("x", 1.0),) * 21, "too many hops"),
        ((Hop("x\u202e", 1.0),), "the name of a server has what cannot be printed"),
        ((Hop("x", float("inf")),), "a time without bounds"),
    ],
)
def test_hops(fuzzer: Deliveries, monkeypatch: pytest.MonkeyPatch, hops: tuple[Hop, ...], wrong: str) -> None:
    """They are bounded."""
    monkeypatch.setattr(headers, "hops", lambda _: hops)
    with pytest.raises(Wrong, match=f"^{wrong}"):
        fuzzer.run(b"header mail.example.com\n")
