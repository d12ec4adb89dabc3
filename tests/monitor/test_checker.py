"""One check: budget, probe, store and log, against a scripted IMAP server."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from exporter.accounts.budget import Budget
from exporter.accounts.ledger import Ledger
from exporter.model.address import HostPattern
from exporter.model.evidence import PathEnd
from exporter.model.login import Denial
from exporter.model.outcome import Check, Phase, Target
from exporter.model.reason import Reason
from exporter.model.settings import (
    Account,
    Config,
    IpFamily,
    MechanismChoice,
    Module,
    Protocol,
    SecretRef,
    Security,
    Tls,
)
from exporter.model.verdict import Verdict
from exporter.monitor.checker import STRETCHED, Checker
from exporter.monitor.gathering import Gathering
from exporter.monitor.store import Series, Store
from exporter.probing.resolve import IpAddress, Resolver
from exporter.verdict.sources import EvidenceSources
from tests.conftest import StartScripted
from tests.examples import SENTINEL, target
from tests.servers.authority import Authority
from tests.servers.dialogues import Imap
from tests.servers.scripted import ScriptedServer
from tests.waiting import PATIENCE, until

REFUSAL = b"NO [AUTHENTICATIONFAILED] Invalid credentials (Failure)"


class Bench:
    """A checker with its store and its account, and a scripted server."""

    def __init__(self, server: ScriptedServer, authority: Authority, secret: Path) -> None:
        self.server = server
        self.secret = secret
        self.store = Store()
        self.resolver = Resolver()
        self.checker = Checker(self.store, self.resolver, Ledger(), {})
        self.tls = Tls(ca_file=authority.ca_file)
        self.account = Account(
            name="ops", username="probe@gmail.com", app_password=SecretRef(file=secret), max_logins_per_day=10**12
        )

    def target(self, **changes: Any) -> Target:
        """The server as a target that logs in at every probe."""
        values = {
            "host": "localhost",
            "ip_family": IpFamily.IPV4,
            "port": self.server.port,
            "tls": self.tls,
            "account": self.account,
        }
        return target(**{**values, "timeout": 5.0, "login_interval": 0.001, **changes})

    def configure(self, *targets: Target) -> None:
        """Configure exactly these targets."""
        self.store.configure(targets)
        accounts = {
            target.endpoint.account.name: target.endpoint.account for target in targets if target.endpoint.account
        }
        endpoints = {target.endpoint.name: target.endpoint for target in targets}
        self.checker.configure(Config(accounts=accounts, endpoints=endpoints, source="", digest=""))

    async def check(self, target: Target) -> Series:
        """Check once, and return the series."""
        await self.checker.check(target)
        return self.store[target.key]

    async def not_busy(self, target: Target) -> None:
        """Wait until the budget knows the end of a login."""
        budget = self.checker.budget_of(target)
        assert budget is not None
        await until(lambda: budget.denial(target) is not Denial.BUSY)

    def logins(self) -> int:
        """The number of logins that the server received."""
        return sum(received.count(b" AUTHENTICATE ") for received in self.server.received)


@pytest.fixture
async def bench(scripted: StartScripted, authority: Authority, tmp_path: Path) -> AsyncIterator[Bench]:
    """A checker, a server that accepts every login, and a secret in a file."""
    secret = tmp_path / "secret"
    secret.write_text(SENTINEL, encoding="utf-8")
    bench = Bench(await scripted(Imap(), security="tls"), authority, secret)
    yield bench
    await bench.resolver.close()


def refuse(bench: Bench, refusal: bytes | None = REFUSAL) -> None:
    """Let the server refuse every login from now on, or accept it again."""
    bench.server.behave = Imap(refusal=refusal)


async def test_no_account(bench: Bench) -> None:
    """Without an account, the probe ends after the capabilities."""
    target = bench.target(account=None)
    bench.configure(target)
    series = await bench.check(target)
    assert series.last is not None
    assert series.last.reason is Reason.OK
    assert Phase.LOGIN not in series.last.phases
    assert bench.logins() == 0


async def test_login(bench: Bench) -> None:
    """The secret of the account logs in."""
    target = bench.target()
    bench.configure(target)
    series = await bench.check(target)
    assert series.last is not None
    assert series.last.reason is Reason.OK
    assert series.last.checks[Check.LOGIN]
    assert bench.logins() == 1


class TwoAddresses(Resolver):
    """A name with two addresses; only at the second a server listens."""

    async def resolve(self, host: str, family: IpFamily) -> list[IpAddress]:
        return [(socket.AF_INET, "127.0.0.2"), (socket.AF_INET, "127.0.0.1")]


async def test_dead_address(bench: Bench) -> None:
    """A probe begins with the address that served the last time, every tenth with the dead one; that is logged once."""
    checker = Checker(bench.store, TwoAddresses(), Ledger(), {})
    target = bench.target(account=None)
    bench.store.configure([target])
    lost = []
    with capture_logs() as logs:
        for number in range(1, 32):
            outcome = await checker.check(target)
            assert outcome.ok
            assert outcome.passed_over == ("127.0.0.2",)
            if outcome.observed.connect_lost:
                lost.append(number)
    assert lost == [1, 11, 21, 31]
    [line] = [line for line in logs if line["event"] == "addresses passed over"]
    assert (line["log_level"], line["addresses"]) == ("warning", ["127.0.0.2"])


async def test_login_interval(bench: Bench) -> None:
    """Until the next login is due, probes end before the login, and the result of the last one is kept."""
    target = bench.target(login_interval=900)
    bench.configure(target)
    for _ in range(3):
        await bench.check(target)
    series = bench.store[target.key]
    assert bench.logins() == 1
    assert series.successes == 3
    assert series.last is not None
    assert Phase.LOGIN not in series.last.phases
    assert series.last_login is not None
    assert series.last_login.checks[Check.LOGIN]


async def test_refused_secret(bench: Bench) -> None:
    """A refused secret is not tried again at any endpoint of the account, but a new one is; the endpoint stays up."""
    refuse(bench)
    first, second = bench.target(name="first"), bench.target(name="second")
    bench.configure(first, second)
    for _ in range(3):
        await bench.check(first)
        await bench.check(second)
    series = bench.store[first.key]
    assert bench.logins() == 1
    assert series.suspended
    assert series.last is not None
    assert series.last.up
    assert [failed.reason for failed in series.failing] == [Reason.AUTH_INVALID_CREDENTIALS]

    refuse(bench, None)
    bench.secret.write_text("rotated\n", encoding="utf-8")
    series = await bench.check(first)
    assert bench.logins() == 2
    assert not series.suspended
    assert list(series.failing) == []


async def test_changed_account(bench: Bench) -> None:
    """A new user name ends the hold; an unchanged account is still held after a reload."""
    refuse(bench)
    target = bench.target()
    bench.configure(target)
    await bench.check(target)
    bench.configure(target)
    await bench.check(target)
    assert bench.logins() == 1
    bench.account = replace(bench.account, username="other@gmail.com")
    changed = bench.target()
    bench.configure(changed)
    await bench.check(changed)
    assert bench.logins() == 2


async def test_missing_secret(bench: Bench) -> None:
    """Without its secret, the login fails and nothing is sent; the endpoint stays up."""
    bench.secret.unlink()
    target = bench.target()
    bench.configure(target)
    series = await bench.check(target)
    assert series.last is not None
    assert (series.last.phase, series.last.reason) == (Phase.LOGIN, Reason.CREDENTIAL_UNAVAILABLE)
    assert series.last.up
    assert str(bench.secret) in series.last.detail
    assert bench.logins() == 0
    assert not series.suspended


async def test_hold_at_another_endpoint(bench: Bench) -> None:
    """The failure is logged for the endpoint that refused; for the others, that logins are suspended for it."""
    first, second = bench.target(name="first"), bench.target(name="second")
    bench.configure(first, second)
    await bench.check(first)
    await bench.check(second)
    refuse(bench)
    with capture_logs() as logs:
        await bench.check(first)
        await bench.check(second)
    assert [(entry["event"], entry["endpoint"]) for entry in logs] == [
        ("failing", "first"),
        ("logins suspended", "first"),
        ("logins suspended", "second"),
    ]
    assert (logs[2]["cause_endpoint"], logs[2]["cause_reason"]) == ("first", "auth_invalid_credentials")


async def test_secret_missing_between_logins(bench: Bench) -> None:
    """The secret is read when a login is due, and not before: it may be just being replaced."""
    target = bench.target(login_interval=900)
    bench.configure(target)
    await bench.check(target)
    bench.secret.unlink()
    series = await bench.check(target)
    assert list(series.failing) == []


@pytest.mark.parametrize(
    "changes",
    [{"mechanism": MechanismChoice.LOGIN}, {"name": "renamed"}, {"labels": {"tenant": "a"}}, {"account": "renamed"}],
    ids=str,
)
async def test_another_configuration_of_the_same_mailbox(bench: Bench, changes: dict[str, Any]) -> None:
    """The refused secret stays held."""
    refuse(bench)
    target = bench.target(mechanism=MechanismChoice.PLAIN)
    bench.configure(target)
    await bench.check(target)
    if "account" in changes:
        changes = {"account": replace(bench.account, name=changes["account"])}
    changed = bench.target(**{"mechanism": MechanismChoice.PLAIN, **changes})
    bench.configure(changed)
    series = await bench.check(changed)
    assert bench.logins() == 1
    assert series.last is not None
    assert series.last.held_by is Denial.HOLD


async def test_forced_login(bench: Bench) -> None:
    """A forced check logs in whatever the budget allows."""
    refuse(bench)
    target = bench.target(login_interval=900)
    bench.configure(target)
    await bench.check(target)
    await bench.checker.check(target, force=True)
    assert bench.logins() == 2


async def test_concurrent_checks(bench: Bench) -> None:
    """Of two endpoints of an account that are checked at once, one logs in, and the other at its next check."""
    first, second = bench.target(name="first"), bench.target(name="second")
    bench.configure(first, second)
    await asyncio.gather(bench.checker.check(first), bench.checker.check(second))
    assert bench.logins() == 1
    await bench.check(second)
    assert bench.logins() == 2


async def test_cancelled_check(bench: Bench) -> None:
    """A check that is cancelled during a login does not block the next login of the account."""
    bench.server.behave = Imap(greeting_delay=30)
    target = bench.target()
    bench.configure(target)
    task = asyncio.create_task(bench.checker.check(target))
    await until(lambda: bench.server.connections)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    bench.server.behave = Imap()
    await bench.not_busy(target)
    await bench.check(target)
    assert bench.logins() == 1


async def test_removed_target(bench: Bench) -> None:
    """The Outcome of a target that a reload has removed is not stored."""
    target = bench.target(account=None)
    bench.configure()
    await bench.checker.check(target)
    assert len(bench.store) == 0


async def test_changed_target(bench: Bench) -> None:
    """The Outcome of a target that a reload has changed is neither stored nor logged."""
    old, new = bench.target(account=None, port=1), bench.target(account=None)
    bench.configure(new)
    with capture_logs() as logs:
        await bench.checker.check(old)
    assert bench.store[new.key].last is None
    assert logs == []


async def test_only_changes_are_logged(bench: Bench) -> None:
    """There is one line when an endpoint comes up, fails and recovers, and none in between."""
    target = bench.target(login_interval=0.001)
    bench.configure(target)
    with capture_logs() as logs:
        await bench.check(target)
        await bench.check(target)
        refuse(bench)
        await bench.check(target)
        await bench.check(target)
        refuse(bench, None)
        bench.secret.write_text("rotated", encoding="utf-8")
        await bench.check(target)
    assert [(entry["log_level"], entry["event"]) for entry in logs] == [
        ("info", "up"),
        ("warning", "failing"),
        ("warning", "logins suspended"),
        ("info", "recovered"),
        ("info", "logins resumed"),
    ]
    failing = next(entry for entry in logs if entry["event"] == "failing")
    assert failing["endpoint"] == "imap"
    assert failing["phase"] == "login"
    assert failing["reason"] == "auth_invalid_credentials"
    assert failing["blame"] == "account"
    assert failing["detail"] == "NO [AUTHENTICATIONFAILED] Invalid credentials (Failure)"
    assert "app password" in failing["remedy"]
    assert next(entry for entry in logs if entry["event"] == "logins suspended")["account"] == "ops"
    assert next(entry for entry in logs if entry["event"] == "recovered")["after_seconds"] > 0


async def test_outage_is_logged_as_error(bench: Bench) -> None:
    """An endpoint that is down is logged as an error, not as a warning."""
    target = bench.target(port=1, account=None)
    bench.configure(target)
    with capture_logs() as logs:
        await bench.check(target)
    assert [(entry["log_level"], entry["event"]) for entry in logs] == [("error", "down")]


async def test_debug_log(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    """At debug level every probe is logged with its dialogue, where secrets are redacted, also in answers."""
    caplog.set_level("DEBUG", logger="check")
    refuse(bench, b"NO you said " + SENTINEL.encode())
    target = bench.target()
    bench.configure(target)
    with capture_logs() as logs:
        await bench.check(target)
    probed = next(entry for entry in logs if entry["event"] == "probed")
    lines = [line.partition(" ")[2] for line in probed["dialogue"]]
    assert "C: a1 CAPABILITY" in lines
    assert "C: a2 AUTHENTICATE PLAIN [redacted]" in lines
    assert "S: a2 NO you said [redacted]" in lines
    assert SENTINEL not in repr(logs)


async def test_requested_probe(bench: Bench) -> None:
    """A requested probe is not stored, but its login counts for the budget."""
    watched = bench.target(name="watched")
    bench.configure(watched)
    target = bench.target(name="probe/m/localhost:993", login_interval=900)
    first, second = await bench.checker.check_requested(target), await bench.checker.check_requested(target)
    assert first.checks[Check.LOGIN]
    assert Phase.LOGIN not in second.phases
    assert first.login is not None
    assert first.login.held_by is None
    assert bench.logins() == 1
    assert len(bench.store) == 1
    assert bench.store[watched.key].last is None


async def test_login_of_a_cancelled_request(bench: Bench) -> None:
    """A login is completed after its request was cancelled, and the budget learns its result."""
    bench.server.behave = Imap(greeting_delay=0.2, refusal=REFUSAL)
    target = bench.target(login_interval=900)
    bench.configure(target)
    await cancel_during_login(bench, target)
    await asyncio.gather(*bench.checker._logins)
    assert bench.logins() == 1
    assert (await bench.checker.check_requested(target)).held_by is Denial.HOLD


async def test_fault_in_a_login_of_a_cancelled_request(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """An exception in a login whose request was cancelled is logged with its traceback."""

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("a fault on purpose")

    monkeypatch.setattr(Budget, "report", broken)
    bench.server.behave = Imap(greeting_delay=0.2)
    target = bench.target()
    bench.configure(target)
    with capture_logs() as logs:
        await cancel_during_login(bench, target)
        await asyncio.gather(*bench.checker._logins, return_exceptions=True)
    assert [(entry["event"], str(entry["exc_info"])) for entry in logs] == [("fault in a login", "a fault on purpose")]


async def test_close(bench: Bench) -> None:
    """`close` cancels logins of requests, and the account can log in again."""
    bench.server.behave = Imap(greeting_delay=30)
    target = bench.target()
    bench.configure(target)
    await cancel_during_login(bench, target)
    assert bench.checker._logins
    await bench.checker.close()
    assert not bench.checker._logins
    bench.server.behave = Imap()
    await bench.not_busy(target)
    assert (await bench.checker.check_requested(target)).checks[Check.LOGIN]
    assert bench.logins() == 1


async def cancel_during_login(bench: Bench, target: Target) -> None:
    """Request a probe with a login, and cancel the request once the server is connected."""
    connections = bench.server.connections
    task = asyncio.create_task(bench.checker.check_requested(target))
    await until(lambda: bench.server.connections > connections)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_ledger_that_hangs(bench: Bench) -> None:
    """A requested probe waits for a quarter of its time, and does not log in; one without an account does not wait."""
    go = threading.Event()
    target, plain = bench.target(timeout=4.0), bench.target(name="plain", account=None)
    bench.configure(target, plain)
    bench.checker._ledger._submit(lambda: go.wait(PATIENCE))
    began = time.perf_counter()
    outcome = await bench.checker.check_requested(target)
    assert time.perf_counter() - began >= 1.0
    assert outcome.target.endpoint.timeout <= 3.0
    assert outcome.ok
    assert (outcome.held_by, outcome.login_reached) == (Denial.STORAGE, False)
    assert (await bench.check(plain)).successes == 1
    go.set()
    assert (await bench.check(target)).logins == {True: 1}
    assert bench.logins() == 1


async def test_public_only(bench: Bench) -> None:
    """Only with `public_only`, an address that is not public is not probed."""
    target = bench.target(account=None)
    assert (await bench.checker.check_requested(target)).ok
    outcome = await bench.checker.check_requested(target, public_only=True)
    assert outcome.reason is Reason.ADDRESS_NOT_PUBLIC
    assert outcome.login is None


async def test_target_of_a_changed_account(bench: Bench) -> None:
    """A target with the account as it was before a reload does not log in."""
    old = bench.target()
    bench.configure(old)
    bench.account = replace(bench.account, username="other@gmail.com")
    bench.configure(bench.target())
    assert Phase.LOGIN not in (await bench.checker.check(old)).phases
    assert Phase.LOGIN not in (await bench.checker.check_requested(old)).phases
    assert bench.logins() == 0


async def test_changed_mechanism_of_a_module(bench: Bench) -> None:
    """Another mechanism of a module does not end the hold, as that of an endpoint does not."""
    refuse(bench)
    target = bench.target()

    def apply(mechanism: MechanismChoice) -> Target:
        module = Module(
            name="m", protocol=target.endpoint.protocol, port=bench.server.port, tls=bench.tls, account=bench.account,
            mechanism=mechanism, login_interval=0.001, allow_hosts=(HostPattern("localhost"),),
        )  # fmt: skip
        modules, accounts = {"m": module}, {"ops": bench.account}
        bench.checker.configure(Config(accounts=accounts, endpoints={}, modules=modules, source="", digest=""))
        (endpoint,) = module.endpoints
        return Target(endpoint, endpoint.ip_family)

    for mechanism in (MechanismChoice.PLAIN, MechanismChoice.PLAIN, MechanismChoice.LOGIN):
        await bench.checker.check_requested(apply(mechanism))
        assert bench.logins() == 1


def test_stretched_intervals_are_logged(bench: Bench) -> None:
    """Once for a mailbox whose endpoints ask for more logins than are planned, and again where that changes."""
    account = replace(bench.account, max_logins_per_day=200)
    of = {"account": account, "login_interval": 900}
    targets = [bench.target(name=f"e{number}", host=f"h{number}.gmail.com", **of) for number in range(8)]
    with capture_logs() as logs:
        for some in (targets[:1], targets[:4], targets[:4], targets, targets[:1], targets[:4]):
            bench.configure(*some)
    lines = [line for line in logs if line["event"] == STRETCHED]
    assert [(line["asked"], line["planned"], line["login_interval"]) for line in lines] == [
        (384, 160, "15m to 36m"), (768, 160, "15m to 1h12m"), (384, 160, "15m to 36m"),
    ]  # fmt: skip
    assert (lines[0]["accounts"], lines[0]["max_logins_per_day"]) == (["ops"], 200)


def test_stretched_intervals_of_modules_are_logged(bench: Bench) -> None:
    """They share what the endpoints leave."""
    account = replace(bench.account, max_logins_per_day=200)
    hosts = tuple(HostPattern(f"h{number}.gmail.com") for number in range(4))
    module = Module(name="m", protocol=Protocol.IMAP, port=993, account=account, allow_hosts=hosts)
    with capture_logs() as logs:
        bench.checker.configure(Config(accounts={"ops": account}, modules={"m": module}))
    (line,) = logs
    assert (line["event"], line["planned"]) == (f"{STRETCHED}, for modules", 180)


def test_stretched_intervals_of_many_mailboxes(bench: Bench) -> None:
    """The first have a line each, and the others are counted: a thousand mailboxes do not fill the log."""
    accounts = [replace(bench.account, name=f"a{n}", username=f"a{n}", max_logins_per_day=10) for n in range(30)]
    endpoints = [bench.target(name=a.name, account=a, login_interval=900).endpoint for a in accounts]
    with capture_logs() as logs:
        bench.checker.configure(
            Config(accounts={a.name: a for a in accounts}, endpoints={each.name: each for each in endpoints})
        )
    assert [line.get("further_mailboxes") for line in logs] == [*[None] * 10, 20]


class TestVerdict:
    """An Outcome has its evidence and its verdict when it is stored."""

    @pytest.fixture
    def gathering(self, bench: Bench) -> Gathering:
        """The checker gathers evidence, which contacts nobody here but the server: no endpoint is at Google."""
        gathering = Gathering(bench.store, bench.resolver, EvidenceSources(bench.resolver))
        bench.checker = Checker(bench.store, bench.resolver, Ledger(), {}, gathering=gathering)
        return gathering

    async def test_told_after_two(self, bench: Bench, gathering: Gathering, free_port: int) -> None:
        """Refused at this host itself: there is no network in between that could be at fault."""
        nothing = bench.target(port=free_port, account=None, interval=20.0)
        bench.configure(nothing)
        with capture_logs() as logged:
            first = (await bench.check(nothing)).last
            second = (await bench.check(nothing)).last
        for outcome in (first, second):
            assert outcome is not None
            assert outcome.evidence is not None
            assert outcome.evidence.trace is not None
            assert (outcome.evidence.trace.end, outcome.evidence.trace.end_hop) == (PathEnd.RST, 1)
        assert (first and first.verdict, second and second.verdict) == (Verdict.UNKNOWN, Verdict.PROVIDER_DOWN)
        told = [(line["event"], line["verdict"]) for line in logged]
        assert told == [("down", "unknown"), ("verdict", "provider_down")]
        await gathering.close()

    async def test_a_server_at_fault(self, bench: Bench, gathering: Gathering) -> None:
        """What changes is logged."""
        silent = bench.target(account=None, timeout=0.3, security=Security.STARTTLS)  # the server waits for TLS
        bench.configure(silent)
        with capture_logs() as logged:
            verdicts = [(await bench.check(silent)).last for _ in range(3)]
        told = [outcome.verdict for outcome in verdicts if outcome]
        assert (told[0], told[-1]) == (Verdict.UNKNOWN, Verdict.PROVIDER_DOWN)
        (line,) = [line for line in logged if line["event"] == "verdict"]
        assert (line["verdict"], line["blame"]) == ("provider_down", "provider")
        assert "accepts connections and then says nothing" in line["because"]
        await gathering.close()

    async def test_a_request(self, bench: Bench, gathering: Gathering, free_port: int) -> None:
        """It is judged by what is known, and traces nothing."""
        outcome = await bench.checker.check_requested(bench.target(port=free_port, account=None))
        assert outcome.evidence is not None
        assert (outcome.evidence.trace, outcome.verdict) == (None, Verdict.PROVIDER_DOWN)
        assert outcome.evidence.host is not None
        await gathering.close()
