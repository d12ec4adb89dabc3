"""IMAP's responses; sessions with them are in the transcripts."""

from __future__ import annotations

import pytest

from exporter.probing.dialogue import MAX_IGNORED, Dialogue, PassOver, ProtocolViolation, ReadLine, ResponseTooLarge
from exporter.probing.imap_responses import Answers, Response, quote, read_answer, refusal_of


def read(lines: list[bytes], *, lenient: bool = False) -> tuple[Answers, int]:
    """Return the answer to the command `a1` in these lines, and how many of them were passed over."""
    answers = Answers(lenient=lenient)
    reading: Dialogue[bool] = read_answer(b"a1", answers)
    rest, ignored = iter(lines), 0
    try:
        step = next(reading)
        while True:
            ignored += step.count if isinstance(step, PassOver) else 0
            step = reading.send(next(rest) if isinstance(step, ReadLine) else None)
    except StopIteration:
        assert not list(rest)
        return answers, ignored


def test_response() -> None:
    """A response has a tag and a kind, in capitals; neither where there is none. Spaces between them are one."""
    for line in (b"* list (x)  y", b"*   list (x)  y"):
        response = Response(line)
        assert (response.line, response.tag, response.kind) == (b"* list (x)  y", b"*", b"LIST")
    assert (Response(b"").tag, Response(b"*").kind, Response(b"* ").kind) == (b"", b"", b"")


@pytest.mark.parametrize("line", [b"", b"*", b"**", b"*LIST", b"* "])
@pytest.mark.parametrize("lenient", [False, True])
def test_passed_over(line: bytes, lenient: bool) -> None:
    """An empty line, and one with a star that is no response, are passed over at any time."""
    answers, ignored = read([b"* 1 EXISTS", line, b"a1 OK"], lenient=lenient)
    assert [response.line for response in answers] == [b"* 1 EXISTS", b"a1 OK"]
    assert ignored == 1


@pytest.mark.parametrize(
    "line", [b"HTTP/1.1 400 Bad Request", b"a1", b"a1 MAYBE", b"250 hello", b"+OK", b"+ go", b" a1 OK"]
)
def test_other_protocols(line: bytes) -> None:
    """Any other line ends the session before the login, and is passed over after it."""
    with pytest.raises(ProtocolViolation, match="that nothing asked for"):
        read([line, b"a1 OK"])
    assert read([line, b"a1 OK"], lenient=True)[1] == 1


@pytest.mark.parametrize("line", [b"a2 OK", b"A1 OK done", b"zz NO x", b"x  BAD"])
def test_other_tag(line: bytes) -> None:
    """The answer to another command is never passed over: the server is out of step."""
    with pytest.raises(ProtocolViolation, match="an answer that nothing asked for"):
        read([line, b"a1 OK"], lenient=True)


def test_too_many() -> None:
    """Lines are passed over up to a number."""
    assert read([b""] * MAX_IGNORED + [b"a1 OK"])[1] == MAX_IGNORED
    with pytest.raises(ResponseTooLarge):
        read([b""] * (MAX_IGNORED + 1) + [b"a1 OK"])


def test_refusal() -> None:
    """A refusal has the words of the untagged lines that refuse, too, and says whether it is temporary."""
    responses = [Response(b"* 1 EXISTS"), Response(b"* NO [ALERT] Look"), Response(b"a1 NO [UNAVAILABLE] Later")]
    refusal = refusal_of(responses)
    assert str(refusal) == "NO [ALERT] Look NO [UNAVAILABLE] Later"
    assert (refusal.temporary, refusal.in_step) == (True, True)
    assert not refusal_of([Response(b"* BYE")], closing=True).in_step


def test_quote() -> None:
    """A quoted string has its quotes and backslashes escaped."""
    assert quote(b'a "b" \\ c') == b'"a \\"b\\" \\\\ c"'
