"""The sessions of a delivery: each with the permission of the login budget, which learns of the login at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from exporter.accounts.access import Access
from exporter.accounts.budget import Budget
from exporter.accounts.ledger import Ledger
from exporter.accounts.storage import Storage
from exporter.deliveries import logins as logins_module
from exporter.deliveries.logins import CannotLogIn, Logins, target_of
from exporter.model.login import Denial
from exporter.model.mailbox import mailboxes
from exporter.model.outcome import Observed, Outcome, Phase
from exporter.model.reason import Reason
from exporter.model.settings import Account, Config, Endpoint, IpFamily, Protocol, SecretRef
from exporter.probing.dialogue import CredentialUnavailable
from exporter.probing.resolve import Resolver
from tests.examples import SENTINEL, failure, success

REFUSED = replace(
    failure(phase=Phase.LOGIN, reason=Reason.AUTH_INVALID_CREDENTIALS), observed=Observed(login_attempted=True)
)


@dataclass
class FakeSession:
    """A session with this Outcome."""

    outcome: Outcome
    is_open: bool


@dataclass
class Lab:
    """An account with its budget, and servers that answer as a test says."""

    directory: Path
    ledger: Ledger
    monkeypatch: pytest.MonkeyPatch
    answers: list[Outcome] = field(default_factory=list)
    """Of the next sessions; then all are well."""
    observed: list[Outcome] = field(default_factory=list)
    sent: list[str] = field(default_factory=list)
    """The passwords that were sent."""
    is_configured: bool = True

    def __post_init__(self) -> None:
        (self.directory / "password").write_text(SENTINEL, "utf-8")
        secret = SecretRef(file=self.directory / "password")
        self.account = Account(name="probe", username="probe@gmail.com", app_password=secret, max_logins_per_day=5)
        common: dict[str, Any] = {"host": "imap.gmail.com", "port": 993, "account": self.account}
        self.endpoint = Endpoint(name="imap", protocol=Protocol.IMAP, **common)
        (mailbox,) = mailboxes(Config(accounts={"probe": self.account}, endpoints={"imap": self.endpoint}))
        self.budget, self.access = Budget(self.ledger, mailbox), Access(self.account, {})
        self.ledger.watch([self.budget.entry])
        self.monkeypatch.setattr(logins_module, "open_session", self._open)
        self.logins = Logins(lambda _: self._found(), Resolver(), self._observe)

    def _found(self) -> tuple[Budget, Access] | None:
        return (self.budget, self.access) if self.is_configured else None

    async def _observe(self, outcome: Outcome) -> Outcome:
        self.observed.append(outcome)
        return replace(outcome, detail="judged")

    @asynccontextmanager
    async def _open(self, target: Any, _resolver: object, login: Any, *_: object) -> AsyncIterator[FakeSession]:
        if not isinstance(login, CredentialUnavailable):
            self.sent.append(login.password)
        usual = success(target, login=True)
        outcome = replace(self.answers.pop(0), target=target) if self.answers else usual
        yield FakeSession(outcome, outcome.ok)

    async def log_in(self) -> Any:
        """Open a session, and return what a probe would have seen."""
        async with self.logins.open(self.endpoint) as session:
            return session.outcome

    async def denied(self) -> Any:
        """Why no session is opened."""
        with pytest.raises(CannotLogIn) as caught:
            await self.log_in()
        assert SENTINEL not in str(caught.value)
        assert caught.value.why.account == "probe"
        return caught.value.why


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    """A lab whose ledger is in memory; a login that has to wait does so for moments only."""
    monkeypatch.setattr(logins_module, "BUSY_SECONDS", 0.2)
    monkeypatch.setattr(logins_module, "BETWEEN_TRIES", 0.01)
    with Ledger(Storage(None)) as ledger:
        yield Lab(tmp_path, ledger, monkeypatch)


async def test_a_session(lab: Lab) -> None:
    """Its Outcome is told with what the budget allows next, and is the judged one; no interval is waited for."""
    outcomes = [await lab.log_in() for _ in range(3)]
    assert [outcome.detail for outcome in outcomes] == ["judged"] * 3
    assert [one.login.logins_of_day for one in lab.observed if one.login] == [1, 2, 3]
    assert lab.sent == [SENTINEL] * 3


async def test_endpoints_wait_meanwhile(lab: Lab) -> None:
    """While a session is open, an endpoint of the mailbox does not log in, and another session is not granted."""
    target = target_of(lab.endpoint)
    async with lab.logins.open(lab.endpoint):
        assert lab.budget.denial(target) is Denial.BUSY
    assert lab.budget.denial(target) is Denial.INTERVAL


async def test_busy(lab: Lab) -> None:
    """A session waits until another login of the mailbox has ended, but not for ever."""
    secret = await lab.access.secret_within(1.0)
    grant = await lab.budget.ask(target_of(lab.endpoint), secret)
    assert not isinstance(grant, Denial)
    assert (await lab.denied()).denial is Denial.BUSY
    waiting = asyncio.create_task(lab.log_in())
    await asyncio.sleep(0.03)
    await lab.budget.report(grant, success(target_of(lab.endpoint), login=True))
    assert (await waiting).ok


async def test_ceiling(lab: Lab) -> None:
    """At the limit of the day none is made, and before a delivery it is seen that none would be."""
    for _ in range(5):
        lab.logins.check(lab.endpoint)
        await lab.log_in()
    why = await lab.denied()
    assert (why.denial, why.text) == (Denial.CEILING, "max_logins_per_day is reached")
    with pytest.raises(CannotLogIn) as caught:
        lab.logins.check(lab.endpoint)
    assert caught.value.why.denial is Denial.CEILING
    assert len(lab.sent) == 5


async def test_a_refused_login(lab: Lab) -> None:
    """It is told as it is, is held from then on, and is no hindrance for `check`: another secret ends it."""
    lab.answers = [REFUSED]
    why = await lab.denied()
    assert why.denial is None
    assert "user name or password is refused" in why.text
    assert lab.observed[0].login is not None
    assert (await lab.denied()).denial is Denial.HOLD
    lab.logins.check(lab.endpoint)
    (lab.directory / "password").write_text(f"{SENTINEL}2", "utf-8")
    assert (await lab.log_in()).ok
    assert lab.sent == [SENTINEL, f"{SENTINEL}2"]


async def test_a_server_that_is_down(lab: Lab) -> None:
    """That is for the delivery to tell: the session is not open. No login was made, and none is counted."""
    lab.answers = [failure()] * 9
    for _ in range(9):
        async with lab.logins.open(lab.endpoint) as session:
            assert not session.is_open
    assert (await lab.log_in()).ok


async def test_a_secret_that_is_not_there(lab: Lab) -> None:
    """Nothing is asked of the budget, and the reason is told without the secret."""
    (lab.directory / "password").unlink()
    why = await lab.denied()
    assert "No such file" in why.text
    assert why.denial is None
    assert lab.sent == []


async def test_a_token_that_does_not_come(lab: Lab) -> None:
    """The session is that of a probe without a credential; the grant is given back with the reason."""

    async def unavailable(_access: Access, _secret: tuple[str, ...]) -> object:
        raise CredentialUnavailable("no token", Reason.OAUTH_ENDPOINT_ERROR)

    lab.monkeypatch.setattr(Access, "credential", unavailable)
    lab.answers = [failure(phase=Phase.LOGIN, reason=Reason.OAUTH_ENDPOINT_ERROR)]
    assert "no token came" in (await lab.denied()).text
    assert lab.sent == []
    assert (await lab.denied()).denial is Denial.BACKOFF


async def test_cancelled(lab: Lab) -> None:
    """A delivery that is cancelled in the middle of a login gives the mailbox free."""

    @asynccontextmanager
    async def hang(*_: object) -> AsyncIterator[FakeSession]:
        await asyncio.Event().wait()
        yield FakeSession(success(), is_open=True)

    lab.monkeypatch.setattr(logins_module, "open_session", hang)
    running = asyncio.create_task(lab.log_in())
    await asyncio.sleep(0.05)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    lab.monkeypatch.setattr(logins_module, "open_session", lab._open)
    outcome = await lab.log_in()
    assert outcome.ok
    assert lab.observed[-1].login is not None
    assert lab.observed[-1].login.logins_of_day == 2  # what was under way may have been a login


async def test_a_reload(lab: Lab) -> None:
    """An account that has changed meanwhile logs in no more."""
    lab.is_configured = False
    assert (await lab.denied()).text == "a reload has changed the account"


def test_target() -> None:
    """Of an endpoint with several address families, one is enough."""
    endpoint = Endpoint(name="e", protocol=Protocol.IMAP, host="h", port=993, ip_family=IpFamily.BOTH)
    assert target_of(endpoint).ip_family is IpFamily.IPV4
