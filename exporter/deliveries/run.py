"""One delivery from the submission to the clearing away → DeliveryResult.

In this order: the message is submitted; the recipient waits for it in one session of IMAP; where that is asked for, it
is looked for in one session of POP3, before it is cleared away, for a maildrop is a snapshot (RFC 1939 §3); then our
own messages are moved to the trash, and no others. A message that somebody took for spam stays there: to move it would
falsify what comes after it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import structlog

from exporter.accounts.ledger import Ledger
from exporter.accounts.ledger_schema import LedgerError
from exporter.accounts.sends import Sends
from exporter.accounts.standing import Request
from exporter.deliveries import headers
from exporter.deliveries.finding import PATIENCE, Found, Mailbox
from exporter.deliveries.logins import CannotLogIn, Logins
from exporter.deliveries.message import compose, message_id
from exporter.deliveries.tokens import Tokens
from exporter.model.delivery import (
    AuthResult,
    DeliveryFailure,
    DeliveryResult,
    Hop,
    Method,
    NotMade,
    Stage,
)
from exporter.model.login import Denial
from exporter.model.outcome import Quota
from exporter.model.plan import DAY, EARLY
from exporter.model.reason import Blame, Reason
from exporter.model.settings import Cleanup, Config, Delivery, Endpoint, ExpectedFolder, Role
from exporter.probing import pop3_messages
from exporter.probing.session import WITHOUT_ANSWER, Session, WorkFailed
from exporter.probing.submission import submit

SUBMIT_SECONDS = 60.0
"""Seconds from MAIL to the acceptance of the message."""

LATE = 60.0
"""Seconds by which a message may be from the future, because clocks differ."""

KEPT_IN_SPAM = 30 * DAY
"""Seconds after which a message in spam is a leftover: Gmail deletes it itself after 30 days."""

ROOM = 4096
"""Octets that a message of ours needs in a mailbox at most, with what the servers on its way put into its header."""

LOGIN_DELAY = 300.0
"""Seconds between two logins by POP3 until the server has told its own LOGIN-DELAY: Gmail's."""

log = structlog.get_logger("delivery")


class _Ended(Exception):
    """A delivery ends early, with this failure."""

    def __init__(self, failure: DeliveryFailure) -> None:
        super().__init__(failure.detail)
        self.failure = failure


@dataclass(slots=True)
class Deliveries:
    """Makes deliveries."""

    logins: Logins
    sends: Sends
    ledger: Ledger
    on_its_way: float = 3600.0
    """Seconds in which a message may be one of another delivery, which still looks for it."""
    seen: dict[str, frozenset[bytes]] = field(default_factory=dict)
    """By delivery: what its maildrop held when it was last looked at, by unique identifiers."""
    login_delays: dict[str, float] = field(default_factory=dict)
    """By endpoint: the LOGIN-DELAY that it has told."""

    def configure(self, config: Config) -> None:
        """Learn for how long a message of any delivery may be looked for."""
        self.on_its_way = max((one.timeout for one in config.deliveries.values()), default=0.0) + LATE

    async def run(self, delivery: Delivery, *, is_planned: bool = True) -> DeliveryResult:
        """Make a delivery. Without `is_planned`, the part of the sends that is left for commands may be used, too."""
        run = _Run(self, delivery)
        try:
            run.tokens = Tokens(await self._key())
            for endpoint in delivery.read_at:
                self.logins.check(endpoint)
            await run.receive(await run.send(is_planned=is_planned))
            await run.clear_copies()
        except CannotLogIn as error:
            run.not_made = error.why
        except LedgerError:
            run.not_made = NotMade(delivery.sender.name, Denial.STORAGE.meaning, Denial.STORAGE)
        except _Ended as error:
            run.failures.append(error.failure)
        return run.result()

    async def _key(self) -> bytes:
        return await asyncio.wrap_future(self.ledger.token_key())


@dataclass(slots=True)
class _Run:
    """What is known of a delivery while it is made."""

    deliveries: Deliveries
    delivery: Delivery
    started_at: float = field(default_factory=time.time)
    token: str = ""
    tokens: Tokens = field(default_factory=lambda: Tokens(b""))
    stages: dict[Stage, float] = field(default_factory=dict)
    folder: Role | None = None
    found_over_pop3: bool | None = None
    authentication: dict[Method, AuthResult] = field(default_factory=dict)
    hops: tuple[Hop, ...] = ()
    failures: list[DeliveryFailure] = field(default_factory=list)
    not_made: NotMade | None = None
    leftover: int | None = None

    def result(self) -> DeliveryResult:
        """Return the result."""
        return DeliveryResult(
            delivery=self.delivery,
            started_at=self.started_at,
            ended_at=time.time(),
            stages=MappingProxyType(self.stages),
            folder=self.folder,
            found_over_pop3=self.found_over_pop3,
            authentication=MappingProxyType(self.authentication),
            hops=self.hops,
            failures=tuple(self.failures),
            not_made=self.not_made,
            leftover=self.leftover,
        )

    async def send(self, *, is_planned: bool) -> float:
        """Submit the message; return when the server had accepted it, in seconds of `time.perf_counter`."""
        delivery, sends = self.delivery, self.deliveries.sends
        granted = await sends.ask(delivery, is_planned=is_planned)
        if isinstance(granted, Denial):
            waits = granted in (Denial.BACKOFF, Denial.WAIT24)
            raise CannotLogIn(NotMade(delivery.sender.name, _of_sends(granted), granted, is_refused=waits))
        refused, command = None, ""
        is_made = False
        began = time.perf_counter()
        try:
            async with self._session(delivery.via, Stage.SUBMIT) as session:
                self.token = self.tokens.new(time.time())
                sender, recipient = delivery.sender.username, delivery.recipient.username
                message = compose(sender, recipient, self.token, time.time())
                extensions = session.outcome.observed.capabilities
                is_made = True
                try:
                    accepted_at = await session.do(submit(extensions, sender, recipient, message), SUBMIT_SECONDS)
                except WorkFailed as failed:
                    refused, command = failed.reason, failed.command
                    if refused in WITHOUT_ANSWER:  # it may arrive; the next run clears it away then
                        failed.detail += "; whether the server has taken the message is not known"
                    raise
        finally:
            await sends.report(granted, refused, command, is_made=is_made)
        self.stages[Stage.SUBMIT] = accepted_at - began
        return accepted_at

    async def receive(self, accepted_at: float) -> None:
        """Wait for the message, look for it over POP3, and clear away what is ours."""
        delivery = self.delivery
        async with self._session(delivery.imap, Stage.TRANSFER) as session:
            mailbox = await Mailbox.open(session, Role.INBOX, Role.SPAM, Role.TRASH)
            identifier = message_id(self.token, delivery.sender.username)
            found = await mailbox.wait_for(identifier, self._is_it, accepted_at + delivery.timeout)
            self._judge(found, accepted_at, session.outcome.observed.quota)
            if found and found.folder is Role.INBOX and delivery.pop3 is not None:
                await self._look_over_pop3(delivery.pop3)
            try:
                await self._clear(mailbox)
            except WorkFailed as failed:
                self._fail(Stage.CLEANUP, failed.reason, failed.blame, failed.detail)

    async def clear_copies(self) -> None:
        """Clear away the copies in the sender's folder of sent messages, once a day."""
        endpoint = self.delivery.sent_at
        if endpoint is None:
            return

        def once_a_day(request: Request) -> Request:
            return replace(request, place=f"{request.place}/sent copies", interval=DAY, planned=0.0, early=EARLY)

        try:
            async with self._session(endpoint, Stage.CLEANUP, once_a_day) as session:
                mailbox = await Mailbox.open(session, Role.SENT, Role.TRASH)
                try:
                    await mailbox.clear(Role.SENT, lambda header: self.tokens.read(header) is not None)
                except WorkFailed as failed:
                    failed.detail = f"{endpoint.name}: {failed.detail}"  # it is not the mailbox of the recipient
                    raise
        except CannotLogIn as error:
            if error.why.denial is not Denial.INTERVAL:
                log.info("copies of sent messages are not cleared", delivery=self.delivery.name, why=str(error))

    def _judge(self, found: Found | None, accepted_at: float, quota: Quota | None) -> None:
        delivery = self.delivery
        if found is None:
            text = f"not visible {delivery.timeout:g} s after the server had accepted it"
            reason = Reason.MESSAGE_MISSING
            if quota and quota.limit - quota.used < ROOM:
                text += f"; the mailbox holds {quota.used} of {quota.limit} octets"
                reason = Reason.MX_MAILBOX_FULL
            self._fail(Stage.TRANSFER, reason, reason.blame, text)
            return
        self.folder = found.folder
        self.stages[Stage.TRANSFER] = max(0.0, found.at - accepted_at)
        host, address = delivery.imap.host, delivery.recipient.username
        self.authentication.update(headers.authentication(found.header, host, address))
        self.hops = headers.hops(found.header)
        if found.folder is Role.SPAM and delivery.expect is ExpectedFolder.INBOX:
            self._fail(Stage.TRANSFER, Reason.MESSAGE_IN_SPAM, Reason.MESSAGE_IN_SPAM.blame, "found in spam")

    async def _look_over_pop3(self, endpoint: Endpoint) -> None:
        """Look for the message over POP3; nothing is known where the server lets nobody log in so soon."""
        delays, seen = self.deliveries.login_delays, self.deliveries.seen

        def after_delay(request: Request) -> Request:
            delay = delays.get(endpoint.name, LOGIN_DELAY)
            return replace(request, early=max(0.0, 1 - delay / request.interval))

        try:
            async with self._session(endpoint, Stage.POP3, after_delay) as session:
                delays[endpoint.name] = _login_delay(session)
                before = seen.get(self.delivery.name, frozenset())
                held = sum(folder.messages or 0 for folder in session.outcome.observed.folders)
                finding = pop3_messages.find(self._is_it, before, held)
                found, seen[self.delivery.name] = await session.do(finding, PATIENCE)
        except CannotLogIn as error:
            log.debug("not looked for over POP3", delivery=self.delivery.name, why=str(error))
            return
        except _Ended as error:
            self.failures.append(error.failure)
            return
        self.found_over_pop3 = found
        if not found:
            text = "visible over IMAP, and not over POP3"
            self._fail(Stage.POP3, Reason.MESSAGE_MISSING, Reason.MESSAGE_MISSING.blame, text)

    async def _clear(self, mailbox: Mailbox) -> None:
        if self.delivery.cleanup is Cleanup.KEEP:
            return
        began = time.perf_counter()
        await mailbox.clear(Role.INBOX, self._is_to_be_cleared)
        self.stages[Stage.CLEANUP] = time.perf_counter() - began
        in_inbox = await mailbox.count(Role.INBOX, self._is_to_be_cleared)
        self.leftover = in_inbox + await mailbox.count(Role.SPAM, self._is_old_spam)

    @asynccontextmanager
    async def _session(
        self, endpoint: Endpoint, stage: Stage, change: Callable[[Request], Request] = lambda request: request
    ) -> AsyncIterator[Session]:
        """Open a session; what fails in it is a failure of the stage, but for its login."""
        async with self.deliveries.logins.open(endpoint, change) as session:
            outcome = session.outcome
            if not session.is_open:
                text = f"{endpoint.name}: {outcome.phase}: {outcome.detail}"
                raise _Ended(DeliveryFailure(stage, outcome.reason, outcome.blame, text))
            try:
                yield session
            except WorkFailed as failed:
                raise _Ended(DeliveryFailure(stage, failed.reason, failed.blame, failed.detail)) from None

    def _fail(self, stage: Stage, reason: Reason, blame: Blame, detail: str) -> None:
        self.failures.append(DeliveryFailure(stage, reason, blame, detail))

    def _is_it(self, header: bytes) -> bool:
        read = self.tokens.read(header)
        return read is not None and read[0] == self.token

    def _is_to_be_cleared(self, header: bytes) -> bool:
        """Whether a message is this one, or was left over by an earlier run; one that is younger may be on its way."""
        read = self.tokens.read(header)
        if read is None:
            return False
        token, made_at = read
        age = time.time() - made_at
        # A message from the future is one from before the clock was set.
        return token == self.token or not -LATE <= age <= self.deliveries.on_its_way

    def _is_old_spam(self, header: bytes) -> bool:
        read = self.tokens.read(header)
        return read is not None and time.time() - read[1] > KEPT_IN_SPAM


def _of_sends(denial: Denial) -> str:
    texts = {
        Denial.CEILING: "the part of max_sends_per_day that is for the schedule is used up",
        Denial.WAIT24: "a limit of the server for what may be sent, which ends within 24 hours",
        Denial.BACKOFF: "a message was refused for the time being, or what became of it is not known",
        Denial.BUSY: "another message of the account is being sent",
    }
    return texts.get(denial, denial.meaning)


def _login_delay(session: Session) -> float:
    """Return the seconds that a server of POP3 wants between two logins (RFC 2449 §6.5)."""
    for capability in session.outcome.observed.capabilities:
        words = capability.upper().split()
        if words[:1] == ["LOGIN-DELAY"] and len(words) > 1 and words[1].isdecimal() and len(words[1]) < 7:
            return float(words[1])
    return 0.0
