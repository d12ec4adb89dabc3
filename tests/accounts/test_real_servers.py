"""Logins by app password and by access token, to a real Dovecot and a real Postfix, which verify each token."""

from __future__ import annotations

import math
import signal
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from exporter.accounts.ledger import Ledger
from exporter.config.dump import dump
from exporter.model import plan
from exporter.model.outcome import Outcome, Phase, Target
from exporter.model.reason import Reason
from exporter.model.settings import Account, Config, Endpoint, MechanismChoice, Protocol, Role, Security, Tls
from exporter.monitor.checker import Checker
from exporter.monitor.store import Store
from exporter.probing.resolve import Resolver
from tests.accounts.conftest import Secrets
from tests.servers.authority import Authority
from tests.servers.dovecot import OPS_PASSWORD, OPS_USER, PROBE_PASSWORD, PROBE_USER, Dovecot
from tests.servers.exporter import EACH_SECOND, IN_TIME, LENIENT, Exporter
from tests.servers.postfix import Postfix
from tests.servers.tokens import HANG, Alter, Wait, error
from tests.waiting import PATIENCE

# Protocol, security, and the port's name.
ENDPOINTS = {
    "imaps": (Protocol.IMAP, Security.TLS, "imaps_port"),
    "pop3s": (Protocol.POP3, Security.TLS, "pop3s_port"),
    "smtps": (Protocol.SMTP, Security.TLS, "smtps_port"),
    "submission": (Protocol.SMTP, Security.STARTTLS, "submission_port"),
}


class Bench:
    """A checker, and endpoints on the real servers."""

    def __init__(self, secrets: Secrets, authority: Authority, dovecot: Dovecot, postfix: Postfix) -> None:
        self.secrets = secrets
        self.tokens = secrets.tokens
        self.dovecot = dovecot
        self._tls = Tls(ca_file=authority.ca_file)
        self._ports = {name: getattr(postfix if name[0] == "s" else dovecot, of[2]) for name, of in ENDPOINTS.items()}
        self.resolver = Resolver()
        self.checker = Checker(Store(), self.resolver, Ledger(), {})

    def endpoint(self, name: str, account: Account, **changes: Any) -> Endpoint:
        """Return one of `ENDPOINTS`; a login is due at every check."""
        protocol, security, _ = ENDPOINTS[name]
        values = {"login_interval": 0.001, "timeout": PATIENCE, **changes}
        return Endpoint(
            name=name,
            protocol=protocol,
            host="localhost",
            port=self._ports[name],
            security=security,
            account=account,
            tls=self._tls,
            **values,
        )

    def config(self, endpoints: Sequence[Endpoint]) -> Config:
        """Return a configuration with these."""
        accounts = {endpoint.account.name: endpoint.account for endpoint in endpoints if endpoint.account}
        return Config(accounts=accounts, endpoints={each.name: each for each in endpoints}, source="", digest="")

    async def check(self, endpoints: Sequence[Endpoint]) -> list[Outcome]:
        """Check each once, one after the other."""
        self.checker.configure(self.config(endpoints))
        return [await self.checker.check(Target(each, each.ip_family)) for each in endpoints]


@pytest.fixture
async def bench(
    secrets: Secrets, authority: Authority, dovecot: Dovecot, postfix: Postfix, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Bench]:
    """The bench for one test, in which a day's logins are not planned."""
    monkeypatch.setattr(plan, "PLANNED", math.inf)
    bench = Bench(secrets, authority, dovecot, postfix)
    yield bench
    await bench.resolver.close()


def found(outcomes: Sequence[Outcome]) -> list[str]:
    """The phase and the reason of each outcome."""
    return [f"{outcome.phase} {outcome.reason}" for outcome in outcomes]


SUCCESS = ["logout ok"] * len(ENDPOINTS)


@pytest.mark.parametrize("mechanism", [MechanismChoice.AUTO, MechanismChoice.PLAIN, MechanismChoice.LOGIN])
async def test_app_password(bench: Bench, mechanism: MechanismChoice) -> None:
    """An app password logs in on all protocols, without a request for a token."""
    account = bench.secrets.password(PROBE_USER, PROBE_PASSWORD)
    logins = bench.dovecot.login_count(PROBE_USER, accepted=True)
    assert (
        found(await bench.check([bench.endpoint(name, account, mechanism=mechanism) for name in ENDPOINTS])) == SUCCESS
    )
    assert bench.dovecot.login_count(PROBE_USER, accepted=True) == logins + len(ENDPOINTS)
    assert bench.tokens.requests == []


async def test_copied_app_password(bench: Bench) -> None:
    """An app password that was copied with its no-break spaces and typographic quotation marks logs in."""
    bench.dovecot.set_password(OPS_USER, "abcdefghijklmnop")
    try:
        account = bench.secrets.password(OPS_USER, "\u201cabcd\u00a0efgh\u00a0ijkl\u00a0mnop\u201d")
        assert found(await bench.check([bench.endpoint(name, account) for name in ENDPOINTS])) == SUCCESS
    finally:
        bench.dovecot.set_password(OPS_USER, OPS_PASSWORD)


async def test_invisible_character(bench: Bench) -> None:
    """A password with a character that nobody can see is not sent, and the character is named."""
    account = bench.secrets.password(PROBE_USER, f"{PROBE_PASSWORD}\u200b")
    assert account.app_password is not None
    logins = bench.dovecot.login_count(PROBE_USER)
    outcomes = await bench.check([bench.endpoint(name, account) for name in ENDPOINTS])
    assert found(outcomes) == ["login credential_unavailable"] * len(ENDPOINTS)
    assert {outcome.detail for outcome in outcomes} == {
        f"the file {account.app_password.file} has an invisible character, U+200B (zero width space) at "
        f"character {len(PROBE_PASSWORD) + 1}: write the secret again, without it"
    }
    assert bench.dovecot.login_count(PROBE_USER) == logins


@pytest.mark.parametrize("mechanism", [MechanismChoice.AUTO, MechanismChoice.XOAUTH2, MechanismChoice.OAUTHBEARER])
@pytest.mark.parametrize("kind", ["refresh", "service"])
async def test_token(bench: Bench, kind: str, mechanism: MechanismChoice) -> None:
    """One token logs in on all protocols, from a refresh token and from a service account."""
    account = getattr(bench.secrets, kind)(PROBE_USER)
    logins = bench.dovecot.login_count(PROBE_USER, accepted=True)
    outcomes = await bench.check([bench.endpoint(name, account, mechanism=mechanism) for name in ENDPOINTS])
    assert found(outcomes) == SUCCESS
    assert [request.answer for request in bench.tokens.requests] == ["granted"]
    assert bench.tokens.introspections == [PROBE_USER] * len(ENDPOINTS)
    assert bench.dovecot.login_count(PROBE_USER, accepted=True) == logins + len(ENDPOINTS)


async def test_folders_by_token(bench: Bench) -> None:
    """After a login by token the folders are visible."""
    account = bench.secrets.refresh(PROBE_USER)
    (outcome,) = await bench.check([bench.endpoint("imaps", account, folders=(Role.INBOX, Role.SENT))])
    assert [folder.visible for folder in outcome.observed.folders] == [True, True]


async def test_slow_token_endpoint(bench: Bench) -> None:
    """The time to fetch a token is measured separately, and is not a part of the probe."""
    wait = 0.5
    bench.tokens.script(Wait(wait))
    began = time.perf_counter()
    (outcome,) = await bench.check([bench.endpoint("imaps", bench.secrets.refresh(PROBE_USER))])
    took = time.perf_counter() - began
    assert outcome.ok
    (access,) = bench.checker.accesses
    assert access.refresh_seconds is not None
    assert access.refresh_seconds > 0.9 * wait
    assert access.refresh_seconds + outcome.ended_at - outcome.started_at < took + 0.5 * wait


async def test_revoked_grant(bench: Bench) -> None:
    """At the first endpoint the token is refused, at the second the new grant is; then all logins are held.

    In any number of checks there are one login with the refused token and one more request for a token.
    """
    account = bench.secrets.refresh(PROBE_USER)
    endpoints = [bench.endpoint(name, account) for name in ENDPOINTS]
    assert found(await bench.check(endpoints)) == SUCCESS
    bench.tokens.revoke(PROBE_USER)
    refused = bench.dovecot.login_count(PROBE_USER, accepted=False)
    assert found(await bench.check(endpoints)) == [
        "login oauth_token_rejected",
        "login oauth_grant_revoked",
        "logout ok",
        "logout ok",
    ]
    for _ in range(5):
        assert found(await bench.check(endpoints)) == SUCCESS
    assert [request.answer for request in bench.tokens.requests] == ["granted", "invalid_grant"]
    assert bench.tokens.introspections == [*[PROBE_USER] * len(ENDPOINTS), None]
    assert bench.dovecot.login_count(PROBE_USER, accepted=False) <= refused + 1
    (access,) = bench.checker.accesses
    assert access.refreshes == {Reason.OK: 1, Reason.OAUTH_GRANT_REVOKED: 1}


async def test_revoked_grant_on_every_protocol(bench: Bench) -> None:
    """With an account for each protocol, first the token is refused and then the grant, each once."""
    accounts = {name: bench.secrets.refresh(PROBE_USER, name=name) for name in ENDPOINTS}
    endpoints = [bench.endpoint(name, account) for name, account in accounts.items()]
    assert found(await bench.check(endpoints)) == SUCCESS
    bench.tokens.revoke(PROBE_USER)
    outcomes = await bench.check(endpoints)
    assert found(outcomes) == ["login oauth_token_rejected"] * len(ENDPOINTS)
    assert all(outcome.up and outcome.observed.logout is None for outcome in outcomes)
    outcomes = await bench.check(endpoints)
    assert found(outcomes) == ["login oauth_grant_revoked"] * len(ENDPOINTS)
    assert {outcome.detail for outcome in outcomes} == {"invalid_grant: Token has been expired or revoked."}
    for _ in range(3):
        assert found(await bench.check(endpoints)) == SUCCESS
    answers = [request.answer for request in bench.tokens.requests]
    assert answers == ["granted"] * len(ENDPOINTS) + ["invalid_grant"] * len(ENDPOINTS)


@pytest.mark.parametrize("mechanism", [MechanismChoice.XOAUTH2, MechanismChoice.OAUTHBEARER])
async def test_token_that_ends_early(bench: Bench, mechanism: MechanismChoice) -> None:
    """While the grant is valid, there are one refused login and one refresh; the next login is good."""
    account = bench.secrets.service(PROBE_USER)
    endpoints = [bench.endpoint(name, account, mechanism=mechanism) for name in ENDPOINTS]
    assert found(await bench.check(endpoints)) == SUCCESS
    bench.tokens.revoke(PROBE_USER)
    assert found(await bench.check(endpoints)) == ["login oauth_token_rejected", *SUCCESS[1:]]
    assert found(await bench.check(endpoints)) == SUCCESS
    assert [request.answer for request in bench.tokens.requests] == ["granted", "granted"]


@pytest.mark.parametrize("first", ENDPOINTS)
async def test_tokens_that_no_server_accepts(bench: Bench, first: str) -> None:
    """There are two logins and two tokens, and no more, whichever protocol is first."""
    bench.tokens.script(Alter({"access_token": "ya29.of-nobody"}), times=None)
    account = bench.secrets.refresh(PROBE_USER)
    names = [first, *(name for name in ENDPOINTS if name != first)]
    endpoints = [bench.endpoint(name, account) for name in names]
    rejected = "login oauth_token_rejected"
    assert found(await bench.check(endpoints)) == [rejected, rejected, *SUCCESS[2:]]
    for _ in range(3):
        assert found(await bench.check(endpoints)) == SUCCESS
    assert len(bench.tokens.requests) == 2
    assert bench.tokens.introspections == [None, None]


async def test_refused_session_ends_in_order(bench: Bench) -> None:
    """The challenge of a refusal is answered: no session hangs, and the logout succeeds."""
    bench.tokens.script(Alter({"access_token": "ya29.of-nobody"}), times=None)
    for name in ENDPOINTS:
        for mechanism in (MechanismChoice.XOAUTH2, MechanismChoice.OAUTHBEARER):
            account = bench.secrets.refresh(PROBE_USER, name=f"{name}-{mechanism}")
            (outcome,) = await bench.check([bench.endpoint(name, account, mechanism=mechanism)])
            assert (outcome.phase, outcome.reason) == (Phase.LOGIN, Reason.OAUTH_TOKEN_REJECTED)
            assert Phase.LOGOUT in outcome.phases
            assert outcome.observed.logout is None
            assert outcome.phases[Phase.LOGIN] < 2.5


async def test_missing_secret_of_one_account(bench: Bench) -> None:
    """Other accounts still log in."""
    broken, whole = bench.secrets.refresh(PROBE_USER, name="broken"), bench.secrets.refresh(PROBE_USER, name="whole")
    assert broken.oauth2 is not None
    assert broken.oauth2.refresh_token.file is not None
    broken.oauth2.refresh_token.file.unlink()
    endpoints = [bench.endpoint("imaps", broken), bench.endpoint("pop3s", whole)]
    assert found(await bench.check(endpoints)) == ["login credential_unavailable", "logout ok"]


def test_daemon_stops_while_it_waits_for_a_token(bench: Bench, tmp_path: Path) -> None:
    """A token endpoint that hangs delays neither the other endpoints nor the stop."""
    hanging, other = bench.secrets.refresh(PROBE_USER), bench.secrets.password(OPS_USER, OPS_PASSWORD)
    endpoints = [bench.endpoint("imaps", hanging), bench.endpoint("pop3s", other)]
    config = tmp_path / "config.yml"
    plain = yaml.safe_load(dump(bench.config(endpoints)))
    for endpoint in plain["endpoints"].values():
        endpoint.update(EACH_SECOND)
    config.write_text(yaml.safe_dump(plain), "utf-8")
    bench.tokens.script(HANG, times=None)
    environ = {"SSL_CERT_FILE": str(bench.tokens.ca_file)}
    with Exporter(tmp_path / "log", config, environ=environ, before=LENIENT) as exporter:
        exporter.wait_for(lambda: exporter.values("gmail_logins_total", result="success").get("pop3s"))
        exporter.wait_for(lambda: bench.tokens.requests)
        code, seconds = exporter.stop(signal.SIGTERM)
    assert code == 0
    assert seconds < IN_TIME


async def test_requested_probe_waits_a_limited_time_for_a_token(bench: Bench) -> None:
    """After that it is made without a login, which is not counted and does not block the account."""
    account = bench.secrets.refresh(PROBE_USER)
    short = bench.endpoint("imaps", account, timeout=4.0, login_interval=900.0)
    long = bench.endpoint("imaps", account, login_interval=900.0)
    bench.checker.configure(bench.config([long]))
    bench.tokens.script(HANG)
    before = bench.dovecot.login_count()
    for _ in range(2):
        outcome = await bench.checker.check_requested(Target(short, short.ip_family))
        assert outcome.ok
        assert not outcome.login_reached
        assert outcome.login is not None
        assert outcome.held_by is None
    bench.tokens.release()
    outcome = await bench.checker.check_requested(Target(long, long.ip_family))
    assert outcome.login_reached
    assert outcome.ok
    assert bench.dovecot.login_count() - before == 1
    assert len(bench.tokens.requests) == 1


async def test_requested_probe_without_a_token(bench: Bench) -> None:
    """It has the reason, and a revoked grant holds the account, as in any other probe."""
    account = bench.secrets.refresh(PROBE_USER)
    endpoint = bench.endpoint("imaps", account)
    bench.checker.configure(bench.config([endpoint]))
    bench.tokens.script(error("invalid_grant", "Token has been expired or revoked."))
    outcome = await bench.checker.check_requested(Target(endpoint, endpoint.ip_family))
    assert (outcome.phase, outcome.reason) == (Phase.LOGIN, Reason.OAUTH_GRANT_REVOKED)
    assert outcome.login is not None
    assert outcome.held_by is not None
