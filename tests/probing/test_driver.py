"""The steps of a dialogue, performed on a connection without a socket."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from exporter.model.outcome import Phase
from exporter.model.settings import Endpoint, Protocol, Security
from exporter.probing import imap, pop3, smtp
from exporter.probing.clock import PhaseClock
from exporter.probing.connection import ConnectionClosed
from exporter.probing.dialogue import (
    LINE_COST,
    MAX_REPLY,
    MAX_SESSION,
    Credential,
    Dialogue,
    Enter,
    Note,
    PassOver,
    Plan,
    ProtocolViolation,
    ReadBytes,
    ReadLine,
    ResponseTooLarge,
    Send,
    StartTLS,
)
from exporter.probing.driver import Driver
from exporter.probing.record import MAX_CAPABILITIES
from exporter.probing.redact import redactor_of
from tests.examples import SENTINEL
from tests.probing.fake_connection import FakeConnection, lines

CREDENTIAL = Credential("probe@example.com", SENTINEL)


class Driven:
    """A driver with all that it writes to."""

    def __init__(self, *answers: tuple[float, bytes]) -> None:
        endpoint = Endpoint(name="imap", protocol=Protocol.IMAP, host="127.0.0.1", port=993, security=Security.TLS)
        self.connection = FakeConnection(*answers)
        self.clock = PhaseClock()
        self.observed: dict[str, Any] = {}
        self.driver = Driver(self.clock, redactor_of(endpoint, CREDENTIAL, None), self.observed, time.perf_counter())

    async def __call__(self, dialogue: Dialogue[None], handshake: float = 0.0, *, goes_on: bool = True) -> None:
        """Drive a dialogue; a handshake takes so many seconds, in no phase that the driver times."""

        async def start_tls() -> bool:
            await self.connection.start_tls(handshake)
            return goes_on

        await self.driver.drive(dialogue, self.connection, start_tls)

    async def said(self) -> list[str]:
        """The lines of the record."""
        return [f"{line.speaker}: {line.text}" for line in await self.driver.lines()]


async def test_each_phase_is_the_servers_time() -> None:
    """A phase lasts from what was sent until the last octet of the answer, however long this program takes between."""
    driven = Driven(
        *lines(b"* OK ready", each=2), *lines(b"* CAPABILITY IMAP4rev1 STARTTLS", b"a1 OK", each=3),
        *lines(b"a2 OK go", each=5), *lines(b"* CAPABILITY IMAP4rev1", b"a3 OK", each=0.5),
    )  # fmt: skip
    await driven(imap.DIALOGUE.session(Plan("[127.0.0.1]", starttls=True)), handshake=11)
    assert driven.clock.phases == {
        Phase.GREETING: pytest.approx(2), Phase.CAPABILITY: pytest.approx(6 + 1), Phase.STARTTLS: pytest.approx(5)
    }  # fmt: skip
    assert driven.observed["capabilities"] == ("IMAP4REV1",)


@pytest.mark.parametrize(
    ("protocol", "answers", "phases"),
    [
        (pop3, [b"+OK", b"+OK", b"USER", b"."], {"greeting": 1, "capability": 3}),
        (smtp, [b"220-a", b"220 b", b"250-a", b"250 SIZE 1"], {"greeting": 2, "capability": 2}),
    ],
)
async def test_every_line_of_an_answer_counts(protocol: Any, answers: list[bytes], phases: dict[str, float]) -> None:
    """A phase ends with the last line of its answer."""
    driven = Driven(*lines(*answers))
    await driven(protocol.DIALOGUE.session(Plan("[127.0.0.1]")))
    assert driven.clock.phases == pytest.approx(phases)


async def test_counted_octets() -> None:
    """Counted octets are read as such, and end a phase as lines do."""

    def dialogue() -> Dialogue[None]:
        yield Enter(Phase.FOLDERS)
        yield Send(b"a1 LIST\r\n")
        assert (yield ReadBytes(5)) == b"a\r\nb "

    driven = Driven((4, b"a\r\nb "))
    await driven(dialogue())
    assert driven.clock.phases == {Phase.FOLDERS: pytest.approx(4)}
    assert driven.connection.sent == [b"a1 LIST\r\n"]


async def test_without_verification_it_ends_at_the_handshake() -> None:
    """Where `start_tls` says so, no further step is performed."""

    def dialogue() -> Dialogue[None]:
        yield StartTLS()
        raise AssertionError

    driven = Driven()
    await driven(dialogue(), goes_on=False)
    assert not driven.connection.sent


@pytest.mark.parametrize("most", [LINE_COST, MAX_REPLY])
async def test_limit_of_an_answer(most: int) -> None:
    """The octets since the last command are limited; those before it do not count."""

    def dialogue(further: int) -> Dialogue[None]:
        yield ReadLine()
        yield Send(b"a1 LIST\r\n", most=most)
        yield ReadLine()
        for _ in range(further):
            yield ReadLine()

    answers = [(0.0, b"x" * 100), (0.0, b"x" * most), (0.0, b"x")]
    await Driven(*answers)(dialogue(0))
    with pytest.raises(ResponseTooLarge, match=f"{most + 1} octets in answer to one command"):
        await Driven(*answers)(dialogue(1))


@pytest.mark.parametrize(("line", "most"), [(b"", 10), (b"x" * (LINE_COST // 2), 10), (b"x" * 2 * LINE_COST, 5)])
async def test_short_lines_count_as_longer_ones(line: bytes, most: int) -> None:
    """A reply has as many lines as can be read in the time of its octets; those before the command do not count."""

    def dialogue(number: int) -> Dialogue[None]:
        for _ in range(100):
            yield ReadLine()
        yield Send(b"a1 LIST\r\n", most=10 * LINE_COST)
        for _ in range(number):
            yield ReadLine()

    answers = [(0.0, b"")] * 100 + [(0.0, line)] * 100
    await Driven(*answers)(dialogue(most))
    with pytest.raises(ResponseTooLarge, match="octets in (too many lines in )?answer to one command"):
        await Driven(*answers)(dialogue(most + 1))


async def test_limit_of_a_session() -> None:
    """All octets of a session are limited, however many commands it has."""

    def dialogue() -> Dialogue[None]:
        while True:
            yield Send(b"a1 NOOP\r\n")
            yield ReadLine()

    driven = Driven(*[(0.0, b"x" * MAX_REPLY)] * (MAX_SESSION // MAX_REPLY + 1))
    with pytest.raises(ResponseTooLarge):
        await driven(dialogue())
    assert driven.connection.received == MAX_SESSION + MAX_REPLY


@pytest.mark.parametrize(
    ("answers", "error"), [(lines(b"* OK ready"), ConnectionClosed), (lines(b"nonsense"), ProtocolViolation)]
)
async def test_errors_are_raised(answers: Any, error: type[Exception]) -> None:
    """The end of the connection, and an error of the dialogue, end the drive; the phase is the one it was in."""
    driven = Driven(*answers)
    with pytest.raises(error):
        await driven(imap.DIALOGUE.session(Plan("[127.0.0.1]")))
    assert driven.clock.phase is (Phase.CAPABILITY if error is ConnectionClosed else Phase.GREETING)


async def test_record() -> None:
    """Both sides are recorded, without the secret; and what the server said last, with a line that has no end."""
    driven = Driven(*lines(b"+OK hello", b"+OK", b"USER", b".", b"+OK", b"+OK hello " + SENTINEL.encode()))
    with pytest.raises(ConnectionClosed):
        await driven(pop3.DIALOGUE.session(Plan("[127.0.0.1]", login=CREDENTIAL)))
    assert await driven.said() == [
        "S: +OK hello", "C: CAPA", "S: +OK", "S: USER", "S: .", "C: USER probe@example.com", "S: +OK",
        "C: PASS [redacted]", "S: +OK hello [redacted]", "C: STAT",
    ]  # fmt: skip
    assert driven.driver.last_words(b"") == ""
    assert driven.driver.last_words(b"+OK 3 " + SENTINEL.encode()) == "before that the server said '+OK 3 [redacted]'"


async def test_what_repeats_the_server_is_redacted() -> None:
    """A command with a name that the server chose may hold anything."""

    def dialogue() -> Dialogue[None]:
        yield Send(b"a1 STATUS " + SENTINEL.encode() + b"\r\n", repeats=True)
        yield Send(b"a2 NOOP\r\n")

    driven = Driven()
    await driven(dialogue())
    assert await driven.said() == ["C: a1 STATUS [redacted]", "C: a2 NOOP"]
    assert driven.connection.sent == [b"a1 STATUS " + SENTINEL.encode() + b"\r\n", b"a2 NOOP\r\n"]


async def test_notes() -> None:
    """Words of the server are bounded and redacted, other values are kept; lines passed over are added up."""

    def dialogue() -> Dialogue[None]:
        yield Note("capabilities", (SENTINEL.upper(), *(f"X{number}" for number in range(MAX_CAPABILITIES))))
        yield Note("throttled", value=True)
        yield PassOver()
        yield PassOver(4)

    driven = Driven()
    await driven(dialogue())
    assert driven.observed["capabilities"][0] == "[redacted]"
    assert driven.observed["capabilities"][-1] == "(1 more, not kept)"
    assert (driven.observed["throttled"], driven.observed["ignored_lines"]) == (True, 5)


async def test_others_run_during_a_flood() -> None:
    """A server that never lets a read wait does not hold the event loop."""
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    def dialogue() -> Dialogue[None]:
        until = time.perf_counter() + 0.05
        while time.perf_counter() < until:
            yield ReadLine()

    counting = asyncio.create_task(count())
    await Driven(*[(0.0, b"x\n")] * 200_000)(dialogue())
    counting.cancel()
    assert turns >= 5
