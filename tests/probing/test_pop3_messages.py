"""A message over POP3: found by its header among what is new."""

from __future__ import annotations

import pytest

from exporter.probing.dialogue import LINE_COST, MAX_REPLY, ProtocolViolation, Refusal
from exporter.probing.pop3_messages import MAX_LISTED, MAX_NEW, find
from tests.probing.work import play


def is_it(header: bytes) -> bool:
    """Whether it is the message of this test."""
    return b"Message-ID: <ours>" in header


def test_found() -> None:
    """The newest messages are looked at first, no further than the one that is looked for; a dot is unstuffed."""
    text = """
        C: UIDL
        S: +OK
        S: 1 aaa
        S: 2 bbb
        S: 3 ccc
        S: .
        C: TOP 3 0
        S: +OK headers follow
        S: Message-ID: <theirs>
        S: .
        C: TOP 2 0
        S: +OK
        S: Subject: x
        S: ..
        S: Message-ID: <ours>
        S: .
    """
    assert play(find(is_it), text) == (True, frozenset({b"aaa", b"bbb", b"ccc"}))


def test_only_what_is_new() -> None:
    """What was there the last time is not looked at again."""
    text = "C: UIDL\nS: +OK\nS: 1 aaa\nS: 2 bbb\nS: .\nC: TOP 1 0\nS: +OK\nS: Subject: x\nS: ."
    assert play(find(is_it, {b"bbb"}), text) == (False, frozenset({b"aaa", b"bbb"}))
    assert play(find(is_it), "C: UIDL\nS: +OK\nS: .") == (False, frozenset())


def test_a_full_maildrop() -> None:
    """Of many new messages, the newest are looked at."""
    listed = "\n".join(f"S: {number} id{number}" for number in range(1, 101))
    tops = "\n".join(f"C: TOP {number} 0\nS: +OK\nS: ." for number in range(100, 100 - MAX_NEW, -1))
    found, held = play(find(is_it), f"C: UIDL\nS: +OK\n{listed}\nS: .\n{tops}")
    assert not found
    assert len(held) == 100


def test_a_maildrop_that_is_too_full_to_be_listed() -> None:
    """Then only the newest are listed, one by one."""
    held = MAX_LISTED + 1
    numbers = range(held - MAX_NEW + 1, held + 1)
    uidls = "\n".join(f"C: UIDL {number}\nS: +OK {number} id{number}" for number in numbers)
    tops = f"C: TOP {held - 1} 0\nS: +OK\nS: Message-ID: <ours>\nS: ."
    found, listed = play(find(is_it, {b"id%d" % held}, held), f"{uidls}\n{tops}")
    assert (found, listed) == (True, frozenset(b"id%d" % number for number in numbers))
    with pytest.raises(ProtocolViolation):
        play(find(is_it, (), held), f"C: UIDL {numbers[0]}\nS: +OK")


def test_the_largest_list() -> None:
    """A list of as many messages as are listed is within the limit of an answer, though its lines be short."""
    assert MAX_LISTED * max(LINE_COST, len("8000 ") + 70 + len("\r\n")) < MAX_REPLY


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("C: UIDL\nS: -ERR Command not understood", Refusal),
        ("C: UIDL\nS: +OK\nS: 1\nS: .", ProtocolViolation),
        ("C: UIDL\nS: +OK\nS: 0 aaa\nS: .", ProtocolViolation),
        ("C: UIDL\nS: +OK\nS: one aaa\nS: .", ProtocolViolation),
        ("C: UIDL\nS: +OK\nS: 1 aaa\nS: .\nC: TOP 1 0\nS: -ERR [SYS/TEMP] later", Refusal),
    ],
)
def test_refused(text: str, error: type[Exception]) -> None:
    """A refusal is one; a list that is none is no POP3."""
    with pytest.raises(error) as caught:
        play(find(is_it), text)
    if isinstance(caught.value, Refusal):
        assert caught.value.command == text.rpartition("C: ")[2].split()[0]
