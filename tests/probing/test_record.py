"""What is kept of a dialogue."""

from __future__ import annotations

import pytest

from exporter.model.outcome import MAX_DETAIL, Line
from exporter.probing.record import (
    MAX_CAPABILITIES,
    MAX_CAPABILITY_CHARACTERS,
    MAX_LINES,
    MAX_OCTETS,
    DialogueRecord,
    bounded,
)


def recorded(*texts: str) -> list[Line]:
    """What is kept of these lines of a server."""
    record = DialogueRecord()
    for number, text in enumerate(texts):
        record.add(float(number), "S", text.encode())
    return record.lines()


def test_unanswered() -> None:
    """The server's last three lines since the client sent something are at hand."""
    record = DialogueRecord()
    assert record.unanswered() == []
    for number in range(5):
        record.add(0.0, "S", b"%d" % number)
    assert record.unanswered() == [b"2", b"3", b"4"]
    record.add(0.0, "C", b"a1 NOOP")
    assert record.unanswered() == []
    record.add(0.0, "S", b"* OK")
    assert record.unanswered() == [b"* OK"]


def test_unanswered_of_many() -> None:
    """Also of a dialogue that is not kept whole."""
    record = DialogueRecord()
    record.add(0.0, "C", b"a1 LIST")
    for number in range(15_000):
        record.add(0.0, "S", b"%d" % number)
    assert record.unanswered() == [b"14997", b"14998", b"14999"]


def test_ordinary() -> None:
    """An ordinary dialogue is kept whole."""
    assert recorded() == []
    assert [line.text for line in recorded("* OK", "1 OK")] == ["* OK", "1 OK"]
    texts = [str(number) for number in range(MAX_LINES)]
    assert [line.text for line in recorded(*texts)] == texts


def test_too_many_lines() -> None:
    """Of too many lines, the first and the last are kept; a line between them says how many were left out."""
    lines = recorded(*map(str, range(15_000)))
    assert len(lines) == MAX_LINES + 1
    half = MAX_LINES // 2
    assert [line.text for line in lines[:half]] == [str(number) for number in range(half)]
    assert [line.text for line in lines[half + 1 :]] == [str(number) for number in range(15_000 - half, 15_000)]
    assert lines[half][1:] == ("", f"(dialogue not kept: {15_000 - MAX_LINES} lines between these)")
    assert [line.at for line in lines] == sorted(line.at for line in lines)


@pytest.mark.parametrize("octets", [512, 2048, 8192])
def test_long_lines(octets: int) -> None:
    """Lines are bounded by the memory that they take, too; of a long one only the beginning is read for people."""
    record = DialogueRecord()
    for number in range(MAX_LINES):
        record.add(float(number), "S", f"{number:3}".encode().ljust(octets, b"x"))
    lines = [line for line in record.lines() if line.speaker]
    assert [line.text[:3] for line in (lines[0], lines[-1])] == ["  0", f"{MAX_LINES - 1:3}"]
    assert MAX_OCTETS * 0.7 < len(lines) * octets < MAX_OCTETS
    assert {len(line.text) for line in lines} == {min(octets, 2 * MAX_DETAIL + 1)}
    assert all(line.text.endswith("…") for line in lines) is (octets > 2 * MAX_DETAIL)
    left_out = next(line.text for line in record.lines() if not line.speaker)
    assert left_out == f"(dialogue not kept: {MAX_LINES - len(lines)} lines between these)"


def test_any_octets() -> None:
    """What is no text is escaped, and the line end is not a part of a line."""
    record = DialogueRecord()
    record.add(0.0, "C", b"NOOP\r\n")
    record.add(0.1, "S", b"* OK \xff\xc3\xa9")
    assert [line.text for line in record.lines()] == ["NOOP", "* OK \\xff\u00e9"]


def test_capabilities() -> None:
    """Capabilities are bounded in number and in characters; usual ones are one object for all who have them."""
    first, second = (bounded(tuple(f"CAPABILITY-{number}" for number in range(30))) for _ in range(2))
    assert first is second
    assert bounded(()) == ()
    many = tuple(map(str, range(MAX_CAPABILITIES + 7)))
    assert bounded(many) == (*many[:MAX_CAPABILITIES], "(7 more, not kept)")
    *kept, rest = bounded(("x" * 500,) * 100)
    assert MAX_CAPABILITY_CHARACTERS * 0.9 < sum(map(len, kept)) <= MAX_CAPABILITY_CHARACTERS
    assert rest == f"({100 - len(kept)} more, not kept)"
