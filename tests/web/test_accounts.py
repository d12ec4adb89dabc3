"""Releasing an account over HTTP: who may, what is answered, and what the page of an endpoint shows."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import replace

import httpx
import pytest
from structlog.testing import capture_logs

from exporter.accounts.clock import Clock as SteadyClock
from exporter.accounts.ledger import Ledger
from exporter.accounts.ledger_file import Grant
from exporter.config.web import WebConfig
from exporter.model.login import Denial
from exporter.model.outcome import Phase
from exporter.model.reason import Reason
from exporter.model.release import NOWHERE, Way
from exporter.model.settings import Account, Config, SecretRef
from exporter.monitor.checker import Checker
from exporter.monitor.store import Store
from exporter.probing.resolve import Resolver
from exporter.web.accounts import NOT_PERMITTED, OFF, Releases
from exporter.web.pages import Pages
from exporter.web.server.application import application
from exporter.web.server.websettings import WebSettings
from tests.accounts.ledgers import refused
from tests.examples import ACCOUNT, Clock, budgeted, failure, success, target
from tests.web.conftest import KNOWN

IMAP = target("imap", account=ACCOUNT, login_interval=900)
SPARE = Account(name="spare", username="spare@gmail.com", app_password=SecretRef(env="X"))
HERE, ELSEWHERE = "127.0.0.1", "192.0.2.7"
COMMAND = Way(("gmail-exporter", "accounts", "release", "--storage.path=/var/lib/x/ledger.db"))


class Bench:
    """Pages and releases over a real login budget, and whoever asks."""

    def __init__(self, ledger: Ledger, clock: Clock) -> None:
        self.clock = clock
        self.store = Store()
        self.store.configure([IMAP])
        self.checker = Checker(self.store, Resolver(), ledger, {})
        self.checker.configure(Config(accounts={"ops": ACCOUNT, "spare": SPARE}, endpoints={"imap": IMAP.endpoint}))
        self.settings = WebSettings(site=KNOWN)
        self.pages = Pages(self.store, self._probe, way=COMMAND)
        self.arrange()
        self.probed: list[str] = []

    def arrange(self, *, is_enabled: bool = True) -> None:
        """Make the application, with --web.enable-lifecycle or without."""
        self.releases = Releases(
            self.settings, is_enabled, self.checker.release, lambda: self.checker.accounts, self.pages.probe_endpoint
        )
        self.pages.permits_release = self.releases.permits
        self.app = application(self.pages, self.releases, settings=self.settings)

    async def hold(self) -> None:
        """Let the server refuse the secret, and the store know it."""
        budget = self.checker.budget_of(IMAP)
        assert budget is not None
        grant = await budget.ask(IMAP, ("secret",))
        assert isinstance(grant, Grant)
        await budget.report(grant, refused(IMAP, Reason.AUTH_INVALID_CREDENTIALS))
        self.store[IMAP.key].add(failure(IMAP, Phase.LOGIN, Reason.AUTH_INVALID_CREDENTIALS))
        await self._probe(IMAP.key)

    async def request(self, path: str, method: str = "POST", of: str = HERE, **headers: str) -> httpx.Response:
        """Send a request from an address."""
        transport = httpx.ASGITransport(self.app, client=(of, 40000))
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        async with httpx.AsyncClient(transport=transport, base_url="http://exporter") as client:
            return await client.request(method, path, headers={"accept-encoding": "identity", **named})

    async def page(self, of: str = HERE) -> str:
        """Return the page of the endpoint."""
        self.pages._bodies.forget()
        return (await self.request("/endpoints/imap", "GET", of)).text

    async def _probe(self, key: object) -> None:
        budget = self.checker.budget_of(IMAP)
        assert budget is not None
        self.store[IMAP.key].add(replace(success(IMAP), login=budget.status(IMAP)))


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    """Budgets in memory, whose time the test sets."""
    clock = Clock()
    with Ledger(None, SteadyClock("boot", clock)) as ledger:
        bench = Bench(ledger, clock)
        yield bench
        await bench.checker.close()


async def test_answers(bench: Bench) -> None:
    """Each has its status, and says what happens next; the log has the address of the client."""
    nothing = await bench.request("/accounts/ops/release")
    assert (nothing.status_code, nothing.text) == (409, "ops is not held: there is nothing to release.\n")
    await bench.hold()
    with capture_logs() as logs:
        released = await bench.request("/accounts/ops/release")
    assert released.status_code == 200
    assert released.text.startswith("ops is released: one login is made, ")
    assert logs == [
        {"event": "release requested", "log_level": "info", "account": "ops", "client": HERE, "answer": "released"}
    ]
    already = await bench.request("/accounts/ops/release")
    assert (already.status_code, already.text[:24]) == (409, "ops is released already:")
    bench.clock.advance(890)
    budget = bench.checker.budget_of(IMAP)
    assert budget is not None
    grant = await budget.ask(IMAP, ("secret",))
    assert not isinstance(grant, Grant), "its interval is not over"
    bench.clock.advance(10)
    grant = await budget.ask(IMAP, ("secret",))
    assert isinstance(grant, Grant)
    await budget.report(grant, refused(IMAP, Reason.AUTH_INVALID_CREDENTIALS))
    early = await bench.request("/accounts/ops/release")
    assert early.status_code == 429
    assert "The next release is possible in 15 min, at " in early.text
    assert 895 <= int(early.headers["retry-after"]) <= 900


async def test_unknown_account(bench: Bench) -> None:
    """The answer names the one that was probably meant, that of a user name, or all."""
    answer = await bench.request("/accounts/Spare@gmail.com/release")
    assert (answer.status_code, answer.text) == (404, '"Spare@gmail.com" is a user name: name its account, "spare"\n')
    answer = await bench.request("/accounts/opps/release")
    assert (answer.status_code, answer.text) == (404, 'there is no account "opps"; did you mean "ops"?\n')
    answer = await bench.request("/accounts/zzz/release")
    assert answer.text == 'there is no account "zzz"; there are: ops, spare\n'
    assert (await bench.request("/accounts/spare/release")).status_code == 409
    assert (await bench.request("/accounts/ops/release", "GET")).status_code == 405


async def test_budgets_that_cannot_be_used(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """503, with the reason."""
    monkeypatch.setattr("exporter.accounts.ledger_file.LedgerFile.release", lambda *_: 1 / 0)
    with capture_logs():
        answer = await bench.request("/accounts/ops/release")
    assert answer.status_code == 503
    assert answer.text == "The login budgets cannot be used: a fault of this program, told in its log.\n"


async def test_who_may(bench: Bench) -> None:
    """With --web.enable-lifecycle: clients of this host, and all of those who have shown who they are."""
    await bench.hold()
    for of, headers in ((ELSEWHERE, {}), (HERE, {"x_forwarded_for": ELSEWHERE}), (HERE, {"via": "1.1 proxy"})):
        answer = await bench.request("/accounts/ops/release", of=of, **headers)
        assert (answer.status_code, answer.text) == (403, NOT_PERMITTED)
    foreign = await bench.request("/accounts/ops/release", origin="http://evil.example")
    assert foreign.status_code == 403
    assert "another site" in foreign.text
    bench.arrange(is_enabled=False)
    answer = await bench.request("/accounts/ops/release")
    assert (answer.status_code, answer.text) == (403, OFF)
    bench.arrange()
    bench.settings.config = WebConfig(users={"alice": b"$2b$04$" + b"x" * 53})
    assert (await bench.request("/accounts/ops/release", of=ELSEWHERE)).status_code == 401
    assert bench.releases.is_enabled


async def test_button(bench: Bench) -> None:
    """It leads back to the page of its endpoint, which was probed, and shows what comes next."""
    assert "accounts/ops/release" not in await bench.page()
    await bench.hold()
    (action,) = re.findall(r'action="\.\.(/accounts/[^"]+)"', await bench.page())
    assert action == "/accounts/ops/release?endpoint=imap"
    answer = await bench.request(action)
    assert (answer.status_code, answer.headers["location"]) == (303, "../../endpoints/imap")
    page = await bench.page()
    assert "for one login, which is still to be made" in page
    assert '<form method="post" action="../accounts' not in page
    again = await bench.request(action)
    assert again.status_code == 303


@pytest.mark.parametrize(
    ("way", "words"),
    [
        (COMMAND, "on the exporter&#39;s host, as its user: <code>gmail-exporter accounts release --storage.path="),
        (Way((), ("curl", "-X", "POST"), "http://localhost:9/"), "<code>curl -X POST http://localhost:9/accounts/ops/"),
        (NOWHERE, "start the exporter again: its login budgets are in memory"),
    ],
)
async def test_page_without_a_button(bench: Bench, way: Way, words: str) -> None:
    """Where this client may not release the account, the page shows what works for this exporter."""
    await bench.hold()
    bench.pages.way = way
    assert words in (await bench.page(ELSEWHERE)).replace("exporter's", "exporter&#39;s")
    assert words not in await bench.page(HERE)


async def test_page_of_a_release_that_is_too_early(bench: Bench) -> None:
    """It says when the next one is possible, in place of the button."""
    held = budgeted(success(IMAP), Denial.HOLD)
    assert held.login is not None
    bench.store[IMAP.key].add(replace(held, login=replace(held.login, next_release_at=4e9)))
    page = await bench.page()
    assert "possible again <time" in page
    assert "/accounts/" not in page
