"""One delivery, step by step, with servers that are no processes: what is sent, looked for, told and cleared away."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeVar, cast

import pytest

from exporter.accounts.ledger import Ledger
from exporter.accounts.sends import Sends
from exporter.accounts.standing import Request
from exporter.accounts.storage import Storage
from exporter.deliveries.logins import CannotLogIn, Logins, target_of
from exporter.deliveries.message import compose
from exporter.deliveries.run import KEPT_IN_SPAM, Deliveries
from exporter.deliveries.tokens import Tokens
from exporter.model.delivery import AuthResult, DeliveryResult, Method, NotMade, Stage
from exporter.model.login import Denial
from exporter.model.outcome import Observed, Outcome, Phase
from exporter.model.reason import Blame, Reason
from exporter.model.settings import Cleanup, Config, Delivery, Endpoint, ExpectedFolder, Protocol, Role
from exporter.probing.classify import classify, describe
from exporter.probing.dialogue import Arrival, DialogueError, ReadLine, Send
from exporter.probing.session import WorkFailed
from tests.deliveries.results import DELIVERY, IMAP, RECIPIENT, SENDER
from tests.examples import failure, success
from tests.probing.fake_mailbox import FakeMailbox, Message

if TYPE_CHECKING:
    from exporter.probing.dialogue import Work

T = TypeVar("T")
AT_OPS = Endpoint(name="ops-imap", protocol=Protocol.IMAP, host="imap.gmail.com", port=993, account=SENDER)
QUICK = replace(DELIVERY, read_at=(IMAP,), timeout=0.0)
CHECKED = (
    b"Authentication-Results: mx.google.com; dkim=fail; spf=pass\r\n"
    b"Received: by mx.google.com; Sat, 28 Nov 2026 12:00:03 +0000\r\n"
    b"Received: by smtp.gmail.com; Sat, 28 Nov 2026 12:00:01 +0000\r\n"
)


def play(work: Work[T], answers: Callable[[bytes], list[bytes]]) -> T:
    """Let the work talk to a server of lines, and return its result."""
    lines: list[bytes] = []
    answer: Any = None
    while True:
        try:
            step = work.send(answer)
        except StopIteration as end:
            return cast("T", end.value)
        answer = None
        if isinstance(step, Send):
            lines += answers(step.data)
        elif isinstance(step, ReadLine):
            answer = lines.pop(0)
        elif isinstance(step, Arrival):
            answer = time.perf_counter()


@dataclass
class Office:
    """The servers of all endpoints. What the sender submits is put into a folder of the recipient."""

    puts: str = "INBOX"
    """Empty: it is lost."""
    mailbox: FakeMailbox = field(default_factory=lambda: FakeMailbox({b"INBOX": [], b"Spam": [], b"Trash": []}))
    sent: FakeMailbox = field(default_factory=lambda: FakeMailbox({b"Sent": [], b"Trash": []}))
    over_pop3: bool = True
    refusal: bytes = b""
    """The answer of the submission to RCPT, where it refuses."""
    capabilities: tuple[str, ...] = ("IMAP4rev1", "MOVE", "SPECIAL-USE")
    of_pop3: tuple[str, ...] = ()
    down: frozenset[str] = frozenset()
    no_login: frozenset[str] = frozenset()
    """Endpoints that are down, and those at which no login is allowed."""
    forbidden: frozenset[str] = frozenset()
    """Endpoints of which it is known before that no login is allowed."""
    opened: list[str] = field(default_factory=list)
    requests: dict[str, Request] = field(default_factory=dict)
    messages: list[bytes] = field(default_factory=list)

    def check(self, endpoint: Endpoint) -> None:
        """See whether a login would be allowed."""
        if endpoint.name in self.forbidden:
            raise CannotLogIn(NotMade("probe", "no", Denial.CEILING))

    @asynccontextmanager
    async def open(
        self, endpoint: Endpoint, change: Callable[[Request], Request] = lambda one: one
    ) -> AsyncIterator[Any]:
        """Open a session."""
        asked = Request(place=endpoint.name, protocol=endpoint.protocol.value, interval=900.0, most=100, longest=60.0)
        self.requests[endpoint.name] = change(asked)
        if endpoint.name in self.no_login:
            raise CannotLogIn(NotMade("probe", "no", Denial.INTERVAL))
        self.opened.append(endpoint.name)
        yield OfficeSession(self, endpoint)

    def smtp(self, data: bytes) -> list[bytes]:
        """Answer like a server of submission."""
        if data.endswith(b"\r\n.\r\n"):
            self.messages.append(data.removesuffix(b".\r\n"))
            if self.puts:
                header = CHECKED + self.messages[-1].partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
                self._put(self.mailbox, self.puts.encode(), header)
            return [b"250 2.0.0 OK"]
        if data.startswith(b"RCPT") and self.refusal:
            return [self.refusal]
        return [b"354 Go ahead" if data == b"DATA\r\n" else b"250 2.1.0 OK"]

    def pop3(self, data: bytes) -> list[bytes]:
        """Answer like a server of POP3 with one message."""
        if data == b"UIDL\r\n":
            return [b"+OK", b"1 id1", b"."]
        header = self.messages[-1].split(b"\r\n\r\n")[0] if self.over_pop3 else b"Subject: x"
        return [b"+OK", *header.split(b"\r\n"), b"."]

    def _put(self, mailbox: FakeMailbox, folder: bytes, header: bytes) -> Message:
        message = Message(header, uid=mailbox._next)
        mailbox._next += 1
        mailbox.folders[folder].append(message)
        return message

    def put(self, folder: str, tokens: Tokens, age: float) -> Message:
        """Put a message of this exporter into a folder, which was made so many seconds ago."""
        made_at = time.time() - age
        header = compose("ops@gmail.com", "probe@gmail.com", tokens.new(made_at), made_at).partition(b"\r\n\r\n")[0]
        return self._put(self.mailbox, folder.encode(), header + b"\r\n\r\n")


@dataclass
class OfficeSession:
    """A session at one of its endpoints."""

    office: Office
    endpoint: Endpoint

    @property
    def outcome(self) -> Outcome:
        """What a probe would have seen."""
        office, target = self.office, target_of(self.endpoint)
        if self.endpoint.name in office.down:
            return replace(failure(target, Phase.CONNECT, Reason.REFUSED), detail="Connection refused")
        return success(target, observed=Observed(capabilities=office.of_pop3))

    @property
    def is_open(self) -> bool:
        """Whether work can be done."""
        return self.endpoint.name not in self.office.down

    @property
    def capabilities(self) -> frozenset[bytes]:
        """Those of IMAP."""
        return frozenset(name.upper().encode() for name in self.office.capabilities)

    async def do(self, work: Work[T], _seconds: float) -> T:
        """Do it."""
        office = self.office
        try:
            match self.endpoint.protocol:
                case Protocol.SMTP:
                    return play(work, office.smtp)
                case Protocol.POP3:
                    return play(work, office.pop3)
            return (office.sent if self.endpoint is AT_OPS else office.mailbox).do(work)
        except DialogueError as error:
            raise WorkFailed(classify(error, Phase.FOLDERS, self.endpoint.protocol), describe(error)) from None


@pytest.fixture
def ledger() -> Iterator[Ledger]:
    """A ledger in memory."""
    with Ledger(Storage(None)) as made:
        yield made


@dataclass
class Bench:
    """Who makes deliveries, and the servers."""

    ledger: Ledger
    office: Office = field(default_factory=Office)
    making: Deliveries = field(init=False)

    def __post_init__(self) -> None:
        logins = cast("Logins", self.office)
        self.making = Deliveries(logins, Sends(self.ledger), self.ledger)
        self.making.configure(Config(deliveries={DELIVERY.name: DELIVERY}))

    async def deliver(self, delivery: Delivery = QUICK, **how: bool) -> DeliveryResult:
        """Make one."""
        return await self.making.run(delivery, **how)

    async def tokens(self) -> Tokens:
        """The tokens of this exporter."""
        return Tokens(await self.making._key())

    def folders(self) -> dict[str, int]:
        """How many messages are where."""
        return {name.decode(): len(messages) for name, messages in self.office.mailbox.folders.items()}


@pytest.fixture
def bench(ledger: Ledger) -> Bench:
    """Servers at which everything is well."""
    return Bench(ledger)


def failures(result: DeliveryResult) -> list[tuple[Stage, Reason, Blame]]:
    """What failed."""
    return [(one.stage, one.reason, one.blame) for one in result.failures]


async def test_inbox(bench: Bench) -> None:
    """The message is submitted, found, judged by what the receiver says, looked for over POP3 and cleared away."""
    result = await bench.deliver(replace(DELIVERY, timeout=1.0))
    assert result.ok
    assert set(result.stages) == {Stage.SUBMIT, Stage.TRANSFER, Stage.CLEANUP}
    assert (result.folder, result.found_over_pop3, result.leftover) == (Role.INBOX, True, 0)
    assert result.authentication == {Method.DKIM: AuthResult.FAIL, Method.SPF: AuthResult.PASS}
    assert [(hop.by, hop.seconds) for hop in result.hops] == [("mx.google.com", 2.0)]
    assert bench.office.opened == ["submission", "imap", "pop3"]
    assert bench.folders() == {"INBOX": 0, "Spam": 0, "Trash": 1}
    assert result.started_at <= result.ended_at
    (message,) = bench.office.messages
    assert b"From: ops@gmail.com\r\nTo: probe@gmail.com\r\n" in message


async def test_missing(bench: Bench) -> None:
    """A message that is not visible in time is missing; the mailbox is cleared all the same."""
    bench.office.puts = ""
    bench.office.put("INBOX", await bench.tokens(), 86400)
    result = await bench.deliver()
    assert failures(result) == [(Stage.TRANSFER, Reason.MESSAGE_MISSING, Blame.PROVIDER)]
    assert (result.folder, result.duration, result.up) == (None, None, False)
    assert bench.folders()["Trash"] == 1


@pytest.mark.parametrize("expect", list(ExpectedFolder))
async def test_spam(bench: Bench, expect: ExpectedFolder) -> None:
    """In spam a message stays, and whether that is a failure is for the configuration to say; POP3 shows no spam."""
    bench.office.puts = "Spam"
    result = await bench.deliver(replace(DELIVERY, timeout=1.0, expect=expect))
    assert (result.folder, result.found_over_pop3) == (Role.SPAM, None)
    assert result.duration is not None
    assert [one.reason for one in result.failures] == [Reason.MESSAGE_IN_SPAM] * (expect is ExpectedFolder.INBOX)
    assert bench.folders() == {"INBOX": 0, "Spam": 1, "Trash": 0}
    assert "pop3" not in bench.office.opened


async def test_what_is_cleared(bench: Bench) -> None:
    """What an earlier run has left over; not what may be on its way of another delivery, and nobody else's."""
    tokens, others = await bench.tokens(), Tokens(b"another key")
    old, young = bench.office.put("INBOX", tokens, 3600), bench.office.put("INBOX", tokens, 30)
    future, foreign = bench.office.put("INBOX", tokens, -3600), bench.office.put("INBOX", others, 3600)
    result = await bench.deliver()
    left = bench.office.mailbox.folders[b"INBOX"]
    assert [message.header for message in left] == [young.header, foreign.header]
    assert result.leftover == 0
    moved = {message.header for message in bench.office.mailbox.folders[b"Trash"]}
    assert {old.header, future.header} < moved


async def test_leftover(bench: Bench) -> None:
    """What cannot be cleared away fails, which is no outage of mail; old spam is counted, and left there."""
    tokens = await bench.tokens()
    bench.office.put("Spam", tokens, KEPT_IN_SPAM + 60)
    bench.office.put("Spam", tokens, 60)
    assert (await bench.deliver()).leftover == 1
    del bench.office.mailbox.folders[b"Trash"]
    result = await bench.deliver()
    assert failures(result) == [(Stage.CLEANUP, Reason.MESSAGE_NOT_CLEARED, Blame.CLIENT)]
    assert "\\Trash" in result.failures[0].detail
    assert (result.up, result.ok, result.leftover) == (True, False, None)
    assert Stage.CLEANUP not in result.stages


async def test_kept(bench: Bench) -> None:
    """With `cleanup: keep` nothing is moved."""
    result = await bench.deliver(replace(QUICK, cleanup=Cleanup.KEEP))
    assert (result.ok, result.leftover) == (True, None)
    assert bench.folders() == {"INBOX": 1, "Spam": 0, "Trash": 0}


async def test_refused(bench: Bench) -> None:
    """A server that refuses the message fails the delivery; at a limit, no other message is sent for now."""
    bench.office.refusal = b"550 5.4.5 Daily user sending limit exceeded."
    result = await bench.deliver()
    assert failures(result) == [(Stage.SUBMIT, Reason.SENDING_LIMIT, Blame.ACCOUNT)]
    assert result.stages == {}
    assert bench.office.opened == ["submission"]
    again = await bench.deliver()
    assert again.not_made is not None
    assert (again.not_made.account, again.not_made.denial) == ("ops", Denial.WAIT24)
    assert "ends within 24 hours" in again.not_made.text
    assert again.up is None
    assert again.not_made.is_refused


async def test_a_recipient_without_room(bench: Bench) -> None:
    """A refused recipient holds back its own messages, and not those of the sender to others."""
    bench.office.refusal = b"452 4.2.2 The recipient's inbox is out of storage space"
    assert failures(await bench.deliver())[0][1] is Reason.MX_MAILBOX_FULL
    again = (await bench.deliver()).not_made
    assert again is not None
    assert (again.denial, again.is_refused) == (Denial.BACKOFF, True)
    bench.office.refusal = b""
    assert (await bench.deliver(replace(QUICK, recipient=replace(RECIPIENT, username="other@gmail.com")))).ok


async def test_sends_of_a_day(bench: Bench) -> None:
    """The schedule leaves a part of the sends to commands, and says so."""
    few = replace(QUICK, sender=replace(SENDER, max_sends_per_day=1))
    assert (await bench.deliver(few)).ok
    denied = (await bench.deliver(few)).not_made
    assert denied is not None
    assert denied.text == "the part of max_sends_per_day that is for the schedule is used up"
    assert len(bench.office.messages) == 1


async def test_a_message_that_nobody_could_look_for(bench: Bench) -> None:
    """Where the recipient may not log in, no message is sent."""
    bench.office.forbidden = frozenset({"imap"})
    result = await bench.deliver()
    assert result.not_made == NotMade("probe", "no", Denial.CEILING)
    assert (bench.office.messages, bench.office.opened) == ([], [])


async def test_a_login_that_is_refused_meanwhile(bench: Bench) -> None:
    """Then nothing is known of the message, which is no outage of mail."""
    bench.office.no_login = frozenset({"imap"})
    result = await bench.deliver()
    assert (result.up, result.not_made is not None) == (None, True)
    assert Stage.SUBMIT in result.stages


@pytest.mark.parametrize(
    ("endpoint", "stage"), [("submission", Stage.SUBMIT), ("imap", Stage.TRANSFER), ("pop3", Stage.POP3)]
)
async def test_a_server_that_is_down(bench: Bench, endpoint: str, stage: Stage) -> None:
    """It fails the delivery at its stage, and says which endpoint it is; without POP3, the rest is done."""
    bench.office.down = frozenset({endpoint})
    result = await bench.deliver(replace(DELIVERY, timeout=1.0))
    assert [one[:2] for one in failures(result)] == [(stage, Reason.REFUSED)]
    assert result.failures[0].detail == f"{endpoint}: connect: Connection refused"
    assert (result.leftover == 0) is (endpoint == "pop3")


async def test_not_over_pop3(bench: Bench) -> None:
    """A message that IMAP shows and POP3 does not is missing there."""
    bench.office.over_pop3 = False
    result = await bench.deliver(replace(DELIVERY, timeout=1.0))
    assert failures(result) == [(Stage.POP3, Reason.MESSAGE_MISSING, Blame.PROVIDER)]
    assert result.found_over_pop3 is False
    assert bench.folders()["Trash"] == 1


async def test_pop3_too_soon(bench: Bench) -> None:
    """Where the server lets nobody log in so soon, nothing is known of POP3."""
    bench.office.no_login = frozenset({"pop3"})
    result = await bench.deliver(replace(DELIVERY, timeout=1.0))
    assert (result.ok, result.found_over_pop3) == (True, None)


@pytest.mark.parametrize(
    ("capabilities", "delay"),
    [((), 0.0), (("TOP", "LOGIN-DELAY 60"), 60.0), (("LOGIN-DELAY 9999999",), 0.0), (("login-delay 30 USER",), 30.0)],
)
async def test_login_delay(bench: Bench, capabilities: tuple[str, ...], delay: float) -> None:
    """Before a server has told its LOGIN-DELAY it is taken for Gmail's, then for what it says (RFC 2449 §6.5)."""
    bench.office.of_pop3 = capabilities
    whole = replace(DELIVERY, timeout=1.0)
    await bench.deliver(whole)
    assert bench.office.requests["pop3"].early == pytest.approx(1 - 300 / 900)
    await bench.deliver(whole)
    assert bench.office.requests["pop3"].early == pytest.approx(1 - delay / 900)


async def test_copies_of_the_sender(bench: Bench) -> None:
    """They are cleared in one login a day, which needs the plan of nobody; without one, the delivery is well."""
    tokens = await bench.tokens()
    made = compose("ops@gmail.com", "probe@gmail.com", tokens.new(time.time()), time.time()).partition(b"\r\n\r\n")[0]
    of_others = Message(b"Subject: gmail-exporter test message\r\n\r\n", uid=2)
    bench.office.sent.folders[b"Sent"] = [Message(made + b"\r\n\r\n", uid=1), of_others]
    with_copies = replace(QUICK, sent_at=AT_OPS)
    assert (await bench.deliver(with_copies)).ok
    assert bench.office.sent.folders[b"Sent"] == [of_others]
    request = bench.office.requests["ops-imap"]
    assert (request.interval, request.place) == (86400.0, "ops-imap/sent copies")
    bench.office.no_login = frozenset({"ops-imap"})
    assert (await bench.deliver(with_copies)).ok
    bench.office.no_login = frozenset()
    del bench.office.sent.folders[b"Trash"]
    (told,) = (await bench.deliver(with_copies)).failures
    assert (told.stage, told.reason) == (Stage.CLEANUP, Reason.MESSAGE_NOT_CLEARED)
    assert told.detail.startswith("ops-imap: ")
    bench.office.down = frozenset({"ops-imap"})
    assert failures(await bench.deliver(with_copies)) == [(Stage.CLEANUP, Reason.REFUSED, Blame.UNKNOWN)]


def test_for_how_long_a_message_is_on_its_way(bench: Bench) -> None:
    """As long as any delivery looks for one."""
    assert bench.making.on_its_way == DELIVERY.timeout + 60
    longer = replace(DELIVERY, name="longer", timeout=900.0)
    bench.making.configure(Config(deliveries={DELIVERY.name: DELIVERY, "longer": longer}))
    assert bench.making.on_its_way == 960
