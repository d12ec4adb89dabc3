"""A week in a few seconds: how often an account that is refused logs in, as counted by the mail servers.

Five endpoints on three protocols are probed every 30 seconds of a clock that the test sets, by a process that is
restarted every hour and has only the ledger's file. A probe without a login only asks the budget; each login that is
granted is made, to a server that counts it.

The bounds are those of `exporter.accounts.standing`, for T = 604,800 s and the usual login_interval of I = 900 s:

- `hold`: 1 login for each secret, and 1 more where the process died during it: 2
- `wait24`: 1 + T / 3,600 = 169
- `backoff`: 1 + ceil(log2(21,600 / 900)) + T / 21,600 = 1 + 5 + 28 = 34; for each of three protocols where only their
  servers are at fault: 102
- a process that dies during every login: 34
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Mapping
from itertools import count
from pathlib import Path

import pytest

from exporter.accounts.access import TOKEN_TIMEOUT, Access
from exporter.accounts.budget import Budget
from exporter.accounts.ledger import Ledger
from exporter.accounts.ledger_file import Grant
from exporter.accounts.ledger_tables import SILENCE
from exporter.accounts.standing import MAX_BACKOFF, WAIT24_INTERVAL
from exporter.accounts.storage import Storage
from exporter.model.login import Denial
from exporter.model.outcome import Phase, Target
from exporter.model.plan import DAY
from exporter.model.reason import Reason
from exporter.model.settings import Account, Config, Protocol, SecretRef, Security
from exporter.monitor.checker import Checker
from exporter.monitor.store import Store
from exporter.probing.probe import probe
from exporter.probing.resolve import Resolver
from tests.accounts.ledgers import steady
from tests.conftest import StartScripted
from tests.examples import SENTINEL, Clock, failure, target
from tests.servers.dialogues import Dialogue, Imap, Pop3, Smtp
from tests.servers.scripted import ScriptedServer
from tests.waiting import until

WEEK = 7 * DAY
HOUR = 3600.0
INTERVAL = 30.0
LOGIN_INTERVAL = 900.0
LONGEST = 10.0 + TOKEN_TIMEOUT
"""Seconds that a login can take."""
ENDPOINTS = {
    "imap": Protocol.IMAP,
    "imap-6": Protocol.IMAP,
    "pop3": Protocol.POP3,
    "smtps": Protocol.SMTP,
    "submission": Protocol.SMTP,
}
DIALOGUES: Mapping[Protocol, type[Dialogue]] = {Protocol.IMAP: Imap, Protocol.POP3: Pop3, Protocol.SMTP: Smtp}

Refusals = Mapping[Protocol, bytes]

WRONG_PASSWORD: Refusals = {
    Protocol.IMAP: b"NO [AUTHENTICATIONFAILED] Invalid credentials (Failure)",
    Protocol.POP3: b"-ERR [AUTH] Username and password not accepted.",
    Protocol.SMTP: b"535-5.7.8 Username and Password not accepted. For more information, go to\r\n"
    b"535 5.7.8  https://support.google.com/mail/?p=BadCredentials d2e1a72fcca58sm10429491b3a.92 - gsmtp",
}
TOO_MANY: Refusals = {
    Protocol.IMAP: b"NO [ALERT] Too many simultaneous connections. (Failure)",
    Protocol.POP3: b"-ERR [LOGIN-DELAY] too soon",
    Protocol.SMTP: b"454 4.7.0 Too many login attempts, please try again later. d2e1a72fcca58sm10429491b3a.92 - gsmtp",
}
EXCEEDED: Refusals = {
    Protocol.IMAP: b"NO [ALERT] Account exceeded command or bandwidth limits. (Failure)",
    # POP3 has no such text.
    Protocol.SMTP: b"550 5.4.5 Daily user sending limit exceeded.",
}
FAULTS: Refusals = {
    Protocol.IMAP: b"NO [UNAVAILABLE] Temporary System Error",
    Protocol.POP3: b"-ERR [SYS/TEMP] Temporary system problem. Please try again later.",
    Protocol.SMTP: b"454 4.7.0 Cannot authenticate due to temporary system problem. Try again later.",
}

BACKOFF_BOUND = 1 + math.ceil(math.log2(MAX_BACKOFF / LOGIN_INTERVAL)) + int(WEEK / MAX_BACKOFF)
WAIT24_BOUND = 1 + int(WEEK / WAIT24_INTERVAL)


class Process:
    """What a daemon loses when it ends; the file remains."""

    def __init__(self, path: Path, config: Config, resolver: Resolver, clock: Clock) -> None:
        self.ledger = Ledger(Storage(path), steady(clock))
        store = Store()
        store.configure(Target(endpoint, endpoint.ip_family) for endpoint in config.endpoints.values())
        self.checker = Checker(store, resolver, self.ledger, {})
        self.checker.configure(config)
        self.budget: Budget
        self.access: Access
        ((self.budget, self.access),) = self.checker._accounts.values()

    async def grants(self, of: Target, *, thorough: bool = True) -> bool:
        """Whether a check would log in now; the question is asked as the checker does, and changes nothing.

        Only where `thorough`, the secret is read: it does not change between most of the 20,160 probes.
        """
        await until(lambda: self.budget.entry.standing)
        denied = self.budget.denial(of)
        if denied is Denial.HOLD and thorough:
            granted = await self.budget.ask(of, self.access.secret())
            if isinstance(granted, Denial):
                return False
            await self.budget.report(granted, failure(of, Phase.CONNECT))
            return True
        return denied is None


class Week:
    """The servers, the clock, and one process after another."""

    def __init__(self, servers: Mapping[Protocol, ScriptedServer], directory: Path) -> None:
        self.servers = servers
        self.clock = Clock()
        self.clock.now = 1_800_000_000.0
        self.path = directory / "ledger.db"
        self.secret = directory / "secret"
        self.secret.write_text(SENTINEL, "utf-8")
        self.resolver = Resolver()
        account = Account(name="ops", username="probe@gmail.com", app_password=SecretRef(file=self.secret))
        self.targets = [
            target(
                name,
                protocol=protocol,
                host="127.0.0.1",
                port=servers[protocol].port,
                security=Security.NONE,
                account=account,
                login_interval=LOGIN_INTERVAL,
            )
            for name, protocol in ENDPOINTS.items()
        ]
        endpoints = {of.endpoint.name: of.endpoint for of in self.targets}
        self.config = Config(accounts={"ops": account}, endpoints=endpoints, source="", digest="")
        self.reasons: set[Reason] = set()
        self.thorough = False

    def refuse(self, refusals: Refusals) -> None:
        """Let the servers refuse every login with these texts; only endpoints of these protocols remain."""
        self.targets = [of for of in self.targets if of.endpoint.protocol in refusals]
        for protocol, refusal in refusals.items():
            # This server allows a login without TLS.
            more = {"capabilities": (b"SIZE 35882577", b"AUTH PLAIN LOGIN")} if protocol is Protocol.SMTP else {}
            self.servers[protocol].behave = DIALOGUES[protocol](refusal=refusal, **more)  # type: ignore[arg-type]

    def logins(self) -> int:
        """The number of logins that the servers have counted."""
        commands = (b" AUTHENTICATE PLAIN ", b"AUTH PLAIN ")
        return sum(
            any(command in received for command in commands)
            for server in self.servers.values()
            for received in server.received
        )

    async def live(self, seconds: float, *, dying: int = 0) -> None:
        """Let the seconds pass; in the first `dying` logins the process dies before it knows the result."""
        end = self.clock.now + seconds
        while self.clock.now < end:
            process = Process(self.path, self.config, self.resolver, self.clock)
            self.targets.append(self.targets.pop(0))  # another endpoint is probed first
            if await self._run(process, min(self.clock.now + HOUR, end), dying=dying > 0):
                dying -= 1
                self.clock.advance(SILENCE + LONGEST + 1)  # until then it may be alive
            process.ledger.close()

    async def _run(self, process: Process, end: float, *, dying: bool) -> bool:
        """Run one process to its end; return whether it died."""
        # The first probe of an endpoint always goes over the network.
        fresh = {of.endpoint.name for of in self.targets[: None if self.thorough else 1]}
        for round_number in count():
            if self.clock.now >= end:
                break
            for of in self.targets:
                granted = await process.grants(of, thorough=round_number % (5 if self.thorough else 20) == 0)
                if granted and dying:
                    if not isinstance(await process.budget.ask(of, process.access.secret()), Grant):
                        continue  # another process has died, which only the ledger knows
                    login = await process.access.credential(process.access.secret())
                    await probe(of, self.resolver, login)
                    return True
                if granted or of.endpoint.name in fresh:
                    outcome = await process.checker.check(of)
                    assert granted or not outcome.observed.login_attempted
                    self.reasons.add(outcome.reason)
                    fresh.discard(of.endpoint.name)
                self.clock.advance(INTERVAL / len(self.targets))
        return False


@pytest.fixture
async def week(scripted: StartScripted, tmp_path: Path) -> AsyncIterator[Week]:
    """The servers and the clock."""
    week = Week({protocol: await scripted(dialogue()) for protocol, dialogue in DIALOGUES.items()}, tmp_path)
    yield week
    await week.resolver.close()


async def test_wrong_password(week: Week) -> None:
    """A refused secret is tried once in the week, and the next one, from Thursday on, once, too."""
    week.thorough = True
    week.refuse(WRONG_PASSWORD)
    await week.live(3 * DAY)
    assert week.logins() == 1
    week.secret.write_text("another wrong one", "utf-8")
    await week.live(4 * DAY)
    assert week.logins() == 2
    assert week.reasons == {Reason.OK, Reason.AUTH_INVALID_CREDENTIALS}
    connections = sum(server.connections for server in week.servers.values())
    assert connections >= 168 * len(ENDPOINTS)


async def test_wrong_password_and_a_process_that_dies(week: Week) -> None:
    """If the process dies before it knows the refusal, there is a second login, and no third."""
    week.refuse(WRONG_PASSWORD)
    await week.live(DAY, dying=1)
    assert week.logins() == 2
    week.secret.write_text("another wrong one", "utf-8")
    await week.live(DAY, dying=1)
    assert week.logins() == 4


@pytest.mark.parametrize(
    ("refusals", "bound", "reasons"),
    [
        (TOO_MANY, BACKOFF_BOUND, {Reason.TOO_MANY_CONNECTIONS, Reason.LOGIN_DELAY, Reason.LOGIN_RATE_LIMITED}),
        (EXCEEDED, WAIT24_BOUND, {Reason.BANDWIDTH_EXCEEDED, Reason.SENDING_LIMIT}),
        (FAULTS, 3 * BACKOFF_BOUND, {Reason.TEMPORARY_SYSTEM_ERROR, Reason.AUTH_TEMPORARY}),
    ],
    ids=["too-many", "wait24", "faults"],
)
async def test_temporary_refusals(week: Week, refusals: Refusals, bound: int, reasons: set[Reason]) -> None:
    """Logins are repeated as often as documented, and not much less often."""
    week.refuse(refusals)
    await week.live(WEEK)
    assert week.reasons - {Reason.OK} == reasons
    assert bound * 0.8 <= week.logins() <= bound


async def test_process_dies_during_every_login(week: Week) -> None:
    """In a crash loop, which never learns that the password is wrong, the logins back off."""
    week.refuse(WRONG_PASSWORD)
    await week.live(WEEK, dying=1_000_000)
    assert BACKOFF_BOUND * 0.8 <= week.logins() <= BACKOFF_BOUND
