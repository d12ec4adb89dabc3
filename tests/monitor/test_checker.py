"""One check: budget, probe, store, log; against a scripted IMAP server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from exporter.accounts.budget import Budget
from exporter.accounts.ledger import Ledger
from exporter.model.address import HostPattern
from exporter.model.login import Denial
from exporter.model.outcome import Check, Phase, Target
from exporter.model.reason import Reason
from exporter.model.settings import Account, Config, MechanismChoice, Module, SecretRef, Tls
from exporter.monitor.checker import Checker
from exporter.monitor.store import Series, Store
from exporter.probing.resolve import Resolver
from tests.conftest import StartScripted
from tests.examples import SENTINEL, target
from tests.servers.authority import Authority
from tests.servers.dialogues import Imap
from tests.servers.scripted import ScriptedServer

REFUSAL = b"NO [AUTHENTICATIONFAILED] Invalid credentials (Failure)"


class Bench:
    """A checker with everything around it."""

    def __init__(self, server: ScriptedServer, authority: Authority, secret: Path) -> None:
        self.server = server
        self.secret = secret
        self.store = Store()
        self.resolver = Resolver()
        self.checker = Checker(self.store, self.resolver, Ledger(), {})
        self.tls = Tls(ca_file=authority.ca_file)
        self.account = Account(name="ops", username="probe@gmail.com", app_password=SecretRef(file=secret))

    def target(self, **changes: Any) -> Target:
        """The server as a target that logs in whenever it is probed."""
        values = {"host": "localhost", "port": self.server.port, "tls": self.tls, "account": self.account}
        return target(**{**values, "timeout": 5.0, "login_interval": 0.001, **changes})

    def configure(self, *targets: Target) -> None:
        """Watch exactly these."""
        self.store.configure(targets)
        accounts = {of.endpoint.account.name: of.endpoint.account for of in targets if of.endpoint.account}
        endpoints = {of.endpoint.name: of.endpoint for of in targets}
        self.checker.configure(Config(accounts=accounts, endpoints=endpoints, source="", digest=""))

    async def check(self, of: Target) -> Series:
        """Check once, and return what is known afterwards."""
        await self.checker.check(of)
        return self.store[of.key]

    def logins(self) -> int:
        """How many logins the server saw."""
        return sum(received.count(b" AUTHENTICATE ") for received in self.server.received)


@pytest.fixture
async def bench(scripted: StartScripted, authority: Authority, tmp_path: Path) -> AsyncIterator[Bench]:
    """A server that accepts every login, and a secret in a file."""
    secret = tmp_path / "secret"
    secret.write_text(SENTINEL, encoding="utf-8")
    bench = Bench(await scripted(Imap(), security="tls"), authority, secret)
    yield bench
    await bench.resolver.close()


def refuse(bench: Bench, refusal: bytes | None = REFUSAL) -> None:
    """Let the server refuse every login from now on, or accept it again."""
    bench.server.behave = Imap(refusal=refusal)


async def test_without_an_account_nobody_logs_in(bench: Bench) -> None:
    """The probe ends after the capabilities."""
    of = bench.target(account=None)
    bench.configure(of)
    series = await bench.check(of)
    assert series.last is not None
    assert series.last.reason is Reason.OK
    assert Phase.LOGIN not in series.last.phases
    assert bench.logins() == 0


async def test_the_secret_logs_in(bench: Bench) -> None:
    """And the look at the folders proves it."""
    of = bench.target()
    bench.configure(of)
    series = await bench.check(of)
    assert series.last is not None
    assert series.last.reason is Reason.OK
    assert series.last.checks[Check.LOGIN]
    assert bench.logins() == 1


async def test_between_two_logins_the_probes_stop_before_one(bench: Bench) -> None:
    """The login's result stands meanwhile."""
    of = bench.target(login_interval=900)
    bench.configure(of)
    for _ in range(3):
        await bench.check(of)
    series = bench.store[of.key]
    assert bench.logins() == 1
    assert series.successes == 3
    assert series.last is not None
    assert Phase.LOGIN not in series.last.phases
    assert series.last_login is not None
    assert series.last_login.checks[Check.LOGIN]


async def test_a_refused_secret_is_not_tried_again(bench: Bench) -> None:
    """On no endpoint of the account; the endpoint stays up; the file is still read for a new one."""
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


async def test_a_changed_account_begins_with_a_fresh_budget(bench: Bench) -> None:
    """A new user name ends the hold; an unchanged account keeps it over a reload."""
    refuse(bench)
    of = bench.target()
    bench.configure(of)
    await bench.check(of)
    bench.configure(of)
    await bench.check(of)
    assert bench.logins() == 1
    bench.account = replace(bench.account, username="other@gmail.com")
    changed = bench.target()
    bench.configure(changed)
    await bench.check(changed)
    assert bench.logins() == 2


async def test_a_missing_secret_is_a_failed_login_and_no_outage(bench: Bench) -> None:
    """Everything up to the login is probed, and nothing is sent in the secret's place."""
    bench.secret.unlink()
    of = bench.target()
    bench.configure(of)
    series = await bench.check(of)
    assert series.last is not None
    assert (series.last.phase, series.last.reason) == (Phase.LOGIN, Reason.CREDENTIAL_UNAVAILABLE)
    assert series.last.up
    assert str(bench.secret) in series.last.detail
    assert bench.logins() == 0
    assert not series.suspended


async def test_a_sibling_that_is_held_back_has_not_failed(bench: Bench) -> None:
    """The refusal is told of the endpoint that met it; of the others only that their logins are suspended."""
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


async def test_a_secret_that_is_gone_between_two_logins_is_no_failure(bench: Bench) -> None:
    """It may be in the middle of a rotation: it is read when a login is due, and not before."""
    of = bench.target(login_interval=900)
    bench.configure(of)
    await bench.check(of)
    bench.secret.unlink()
    series = await bench.check(of)
    assert list(series.failing) == []


async def test_a_changed_way_to_log_in_ends_the_hold(bench: Bench) -> None:
    """Where the remedy is to set another mechanism, setting it must be enough."""
    refuse(bench)
    of = bench.target(mechanism=MechanismChoice.PLAIN)
    bench.configure(of)
    await bench.check(of)
    changed = bench.target(mechanism=MechanismChoice.LOGIN)
    bench.configure(changed)
    await bench.check(changed)
    assert bench.logins() == 2


async def test_an_operator_who_insists_logs_in(bench: Bench) -> None:
    """Whatever the budget says."""
    refuse(bench)
    of = bench.target(login_interval=900)
    bench.configure(of)
    await bench.check(of)
    await bench.checker.check(of, force=True)
    assert bench.logins() == 2


async def test_logins_of_one_account_are_never_at_once(bench: Bench) -> None:
    """Two endpoints that are probed together: one logs in, the other one at its next probe."""
    first, second = bench.target(name="first"), bench.target(name="second")
    bench.configure(first, second)
    await asyncio.gather(bench.checker.check(first), bench.checker.check(second))
    assert bench.logins() == 1
    await bench.check(second)
    assert bench.logins() == 2


async def test_a_cancelled_check_leaves_the_budget_free(bench: Bench) -> None:
    """A stop in the middle of a login does not block the account's other endpoints."""
    bench.server.behave = Imap(greeting_delay=30)
    of = bench.target()
    bench.configure(of)
    task = asyncio.create_task(bench.checker.check(of))
    await asyncio.sleep(0.2)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    bench.server.behave = Imap()
    await bench.check(of)
    assert bench.logins() == 1


async def test_a_target_that_was_removed_meanwhile_is_forgotten(bench: Bench) -> None:
    """A reload during a probe: its outcome goes nowhere."""
    of = bench.target(account=None)
    bench.configure()
    await bench.checker.check(of)
    assert len(bench.store) == 0


async def test_a_target_that_was_changed_meanwhile_is_not_spoken_for(bench: Bench) -> None:
    """What is learned of the old configuration says nothing of the new one: not in the store, and not in the log."""
    old, new = bench.target(account=None, port=1), bench.target(account=None)
    bench.configure(new)
    with capture_logs() as logs:
        await bench.checker.check(old)
    assert bench.store[new.key].last is None
    assert logs == []


async def test_only_changes_are_logged(bench: Bench) -> None:
    """One line when it comes up, when it fails and when it recovers; none in between."""
    of = bench.target(login_interval=0.001)
    bench.configure(of)
    with capture_logs() as logs:
        await bench.check(of)
        await bench.check(of)
        refuse(bench)
        await bench.check(of)
        await bench.check(of)
        refuse(bench, None)
        bench.secret.write_text("rotated", encoding="utf-8")
        await bench.check(of)
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


async def test_an_outage_is_an_error_in_the_log(bench: Bench) -> None:
    """An endpoint that is down is worse than one whose login fails."""
    of = bench.target(port=1, account=None)
    bench.configure(of)
    with capture_logs() as logs:
        await bench.check(of)
    assert [(entry["log_level"], entry["event"]) for entry in logs] == [("error", "down")]


async def test_at_debug_every_probe_is_logged_with_its_dialogue(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    """Secrets are redacted in it, also where the server sends them back."""
    caplog.set_level("DEBUG", logger="check")
    refuse(bench, b"NO you said " + SENTINEL.encode())
    of = bench.target()
    bench.configure(of)
    with capture_logs() as logs:
        await bench.check(of)
    probed = next(entry for entry in logs if entry["event"] == "probed")
    lines = [line.partition(" ")[2] for line in probed["dialogue"]]
    assert "C: a1 CAPABILITY" in lines
    assert "C: a2 AUTHENTICATE PLAIN [redacted]" in lines
    assert "S: a2 NO you said [redacted]" in lines
    assert SENTINEL not in repr(logs)


async def test_a_look_is_not_stored_and_asks_the_budget(bench: Bench) -> None:
    """Of a target that is not configured nothing stays, but that its account has logged in."""
    watched = bench.target(name="watched")
    bench.configure(watched)
    of = bench.target(name="probe/m/localhost:993", login_interval=900)
    first, second = await bench.checker.check_requested(of), await bench.checker.check_requested(of)
    assert first.checks[Check.LOGIN]
    assert Phase.LOGIN not in second.phases
    assert first.login is not None
    assert first.login.held_by is None
    assert bench.logins() == 1
    assert len(bench.store) == 1
    assert bench.store[watched.key].last is None


async def test_a_login_of_a_look_is_seen_through(bench: Bench) -> None:
    """Whoever waited for it has gone; what the server said is learned, a fault of ours is told."""
    bench.server.behave = Imap(greeting_delay=0.2, refusal=REFUSAL)
    of = bench.target(login_interval=900)
    bench.configure(of)
    await leave(bench, of)
    await asyncio.gather(*bench.checker._logins)
    assert bench.logins() == 1
    assert (await bench.checker.check_requested(of)).held_by is Denial.HOLD


async def test_a_fault_in_a_login_that_nobody_waits_for_is_told(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """With its traceback, in the log."""

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("a fault on purpose")

    monkeypatch.setattr(Budget, "report", broken)
    bench.server.behave = Imap(greeting_delay=0.2)
    of = bench.target()
    bench.configure(of)
    with capture_logs() as logs:
        await leave(bench, of)
        await asyncio.gather(*bench.checker._logins, return_exceptions=True)
    assert [(entry["event"], str(entry["exc_info"])) for entry in logs] == [("fault in a login", "a fault on purpose")]


async def test_the_end_ends_the_logins_of_looks(bench: Bench) -> None:
    """And gives their slot back."""
    bench.server.behave = Imap(greeting_delay=30)
    of = bench.target()
    bench.configure(of)
    await leave(bench, of)
    assert bench.checker._logins
    await bench.checker.close()
    assert not bench.checker._logins
    bench.server.behave = Imap()
    assert (await bench.checker.check_requested(of)).checks[Check.LOGIN]
    assert bench.logins() == 1


async def leave(bench: Bench, of: Target) -> None:
    """Ask for a look with a login, and go before it is done."""
    connections = bench.server.connections
    task = asyncio.create_task(bench.checker.check_requested(of))
    while bench.server.connections == connections:
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_look_keeps_out_of_this_network_where_it_is_told_to(bench: Bench) -> None:
    """And only then."""
    of = bench.target(account=None)
    assert (await bench.checker.check_requested(of)).ok
    seen = await bench.checker.check_requested(of, public_only=True)
    assert seen.reason is Reason.ADDRESS_NOT_PUBLIC
    assert seen.login is None


async def test_an_account_that_a_reload_has_changed_does_not_log_in_for_an_old_target(bench: Bench) -> None:
    """Its new secret was never meant for that one."""
    old = bench.target()
    bench.configure(old)
    bench.account = replace(bench.account, username="other@gmail.com")
    bench.configure(bench.target())
    assert Phase.LOGIN not in (await bench.checker.check(old)).phases
    assert Phase.LOGIN not in (await bench.checker.check_requested(old)).phases
    assert bench.logins() == 0


async def test_a_module_that_logs_in_another_way_ends_the_hold(bench: Bench) -> None:
    """As an endpoint does."""
    refuse(bench)
    of = bench.target()

    def apply(mechanism: MechanismChoice) -> Target:
        module = Module(
            name="m", protocol=of.endpoint.protocol, port=bench.server.port, tls=bench.tls, account=bench.account,
            mechanism=mechanism, login_interval=0.001, allow_hosts=(HostPattern("localhost"),),
        )  # fmt: skip
        modules, accounts = {"m": module}, {"ops": bench.account}
        bench.checker.configure(Config(accounts=accounts, endpoints={}, modules=modules, source="", digest=""))
        (endpoint,) = module.endpoints
        return Target(endpoint, endpoint.ip_family)

    for mechanism, logins in ((MechanismChoice.PLAIN, 1), (MechanismChoice.PLAIN, 1), (MechanismChoice.LOGIN, 2)):
        await bench.checker.check_requested(apply(mechanism))
        assert bench.logins() == logins
