"""An account's way in, with tokens of a real token endpoint."""

from __future__ import annotations

import asyncio
import time

import pytest

from exporter.accounts import access as access_module
from exporter.accounts.access import RENEWAL_MARGIN, Access
from exporter.model.outcome import Outcome, Phase
from exporter.model.reason import Reason
from exporter.model.settings import Account, SecretRef
from exporter.probing.dialogue import Credential, CredentialUnavailable
from tests.accounts.conftest import Secrets
from tests.examples import SENTINEL, Clock, failure, success, target
from tests.servers.tokens import EXPIRES_IN, HANG, TokenServer, Wait, error

USER = "probe@example.com"
IMAP = target("imap")
REJECTED = failure(IMAP, Phase.LOGIN, Reason.OAUTH_TOKEN_REJECTED)
REVOKED = error("invalid_grant", "Token has been expired or revoked.")


@pytest.fixture
def account(secrets: Secrets) -> Account:
    """An account with a refresh token."""
    return secrets.refresh(USER)


@pytest.fixture
def clock() -> Clock:
    """A clock that shows the time of the beginning."""
    clock = Clock()
    clock.now = time.time()
    return clock


@pytest.fixture
def access(account: Account, clock: Clock) -> Access:
    """Its way in."""
    return Access(account, {}, clock)


async def credential(access: Access) -> Credential:
    """Read the secret, and get what logs in."""
    return await access.credential(access.secret())


async def test_a_password_is_the_credential(secrets: Secrets) -> None:
    """Nobody is asked for anything, and no refresh is counted."""
    access = Access(secrets.password(USER, SENTINEL), {})
    assert await credential(access) == Credential(USER, SENTINEL)
    assert secrets.tokens.requests == []
    assert (access.token, access.refreshes, access.refresh_seconds) == (None, {}, None)


async def test_a_password_may_be_in_the_environment() -> None:
    """As a variable that is read anew."""
    environ = {"PASSWORD": "first"}
    access = Access(Account(name="ops", username=USER, app_password=SecretRef(env="PASSWORD")), environ)
    assert (await credential(access)).password == "first"
    environ["PASSWORD"] = "second"
    assert (await credential(access)).password == "second"


async def test_a_token_is_shared(access: Access, trusted: TokenServer) -> None:
    """Every login of the account uses it until it is about to expire."""
    first = await credential(access)
    assert first.is_token
    assert first.username == USER
    assert trusted.holder(first.password) == USER
    assert await credential(access) == first
    assert len(trusted.requests) == 1


async def test_concurrent_logins_share_one_refresh(access: Access, trusted: TokenServer) -> None:
    """Who comes while the token is being fetched waits for that one."""
    trusted.script(Wait(0.2))
    secret = access.secret()
    found = await asyncio.gather(*(access.credential(secret) for _ in range(5)))
    assert len(set(found)) == 1
    assert len(trusted.requests) == 1


async def test_a_slow_token_endpoint_holds_up_nobody_else(access: Access, trusted: TokenServer) -> None:
    """The event loop goes on while a token is waited for."""
    trusted.script(Wait(0.3))
    task = asyncio.create_task(credential(access))
    longest, last = 0.0, time.perf_counter()
    while not task.done():
        await asyncio.sleep(0.005)
        longest, last = max(longest, time.perf_counter() - last), time.perf_counter()
    assert longest < 0.25
    assert (await task).is_token


async def test_a_token_is_renewed_early(access: Access, clock: Clock, trusted: TokenServer) -> None:
    """Minutes before its end, so that none expires in the middle of a session."""
    first = await credential(access)
    assert access.token is not None
    assert access.token.expires_at == pytest.approx(clock.now + EXPIRES_IN, abs=5)
    clock.now = access.token.expires_at - RENEWAL_MARGIN
    assert await credential(access) == first
    clock.advance(1)
    assert await credential(access) != first
    assert len(trusted.requests) == 2


async def test_tokens_that_live_shortly(access: Access, trusted: TokenServer) -> None:
    """Each login gets a new one."""
    trusted.expires_in = 60
    assert await credential(access) != await credential(access)
    assert len(trusted.requests) == 2


async def test_a_rejected_token_is_replaced_once(access: Access, trusted: TokenServer) -> None:
    """The second rejection in a row is the answer: it is no loop."""
    first = await credential(access)
    assert access.learn(REJECTED)
    second = await credential(access)
    assert second != first
    assert not access.learn(REJECTED)
    assert not access.learn(REJECTED)
    assert await credential(access) == second
    assert len(trusted.requests) == 2


@pytest.mark.parametrize(
    "login",
    [success(IMAP, login=True), failure(IMAP, Phase.FOLDERS, Reason.FOLDER_HIDDEN)],
    ids=["all-well", "hidden-folder"],
)
async def test_a_good_login_makes_the_next_rejection_the_first(access: Access, login: Outcome) -> None:
    """Whatever comes after the login; weeks later a token may be revoked again."""
    await credential(access)
    assert access.learn(REJECTED)
    await credential(access)
    assert not access.learn(login)
    assert access.learn(REJECTED)


@pytest.mark.parametrize(
    "outcome",
    [
        success(IMAP),
        failure(IMAP, Phase.CONNECT),
        failure(IMAP, Phase.LOGIN, Reason.TIMEOUT),
        failure(IMAP, Phase.LOGIN, Reason.OAUTH_ENDPOINT_ERROR),
    ],
    ids=["no-login", "connect", "timeout", "no-token"],
)
async def test_what_says_nothing_of_the_token(access: Access, outcome: Outcome) -> None:
    """Neither is the token replaced, nor is a replacement forgotten."""
    first = await credential(access)
    assert not access.learn(outcome)
    assert await credential(access) == first
    assert access.learn(REJECTED)
    assert not access.learn(outcome)
    assert not access.learn(REJECTED)


async def test_a_new_secret_means_a_new_token(secrets: Secrets, account: Account, access: Access) -> None:
    """The old token goes, and what was learned of it."""
    first = await credential(access)
    access.learn(REJECTED)
    await credential(access)
    assert account.oauth2 is not None
    changed = secrets.refresh(USER)
    assert changed.oauth2 is not None
    access.account = changed
    second = await credential(access)
    assert second != first
    assert len(secrets.tokens.requests) == 3
    assert access.learn(REJECTED)


async def test_a_secret_that_changes_while_a_token_is_fetched(
    access: Access, trusted: TokenServer, secrets: Secrets
) -> None:
    """The token of the old secret serves the login that waits for it, and no other."""
    trusted.script(HANG)
    waiting = asyncio.create_task(credential(access))
    while not trusted.requests:
        await asyncio.sleep(0.005)
    assert access.account.oauth2 is not None
    secrets.write("refresh.refresh", "1//rotated")
    secret = access.secret()
    trusted.release()
    assert trusted.holder((await waiting).password) == USER
    assert access.token is None
    with pytest.raises(CredentialUnavailable, match="invalid_grant: Bad Request"):
        await access.credential(secret)


async def test_refreshes_are_counted_by_their_result(access: Access, clock: Clock, trusted: TokenServer) -> None:
    """And the time that the token endpoint took the last time is known."""
    trusted.script(Wait(0.1))
    await credential(access)
    assert access.refresh_seconds is not None
    assert 0.1 <= access.refresh_seconds < 2
    clock.advance(EXPIRES_IN)
    trusted.script(REVOKED)
    for _ in range(2):
        with pytest.raises(CredentialUnavailable):
            await credential(access)
        trusted.script(error("invalid_client", "Unauthorized", 401))
    assert access.refreshes == {
        Reason.OK: 1,
        Reason.OAUTH_GRANT_REVOKED: 1,
        Reason.OAUTH_CLIENT_INVALID: 1,
    }


async def test_token_timeout(access: Access, trusted: TokenServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """An endpoint that keeps one waiting, whatever google-auth does about it, is a failure with words."""
    monkeypatch.setattr(access_module, "TOKEN_TIMEOUT", 0.2)
    trusted.script(HANG)
    with pytest.raises(CredentialUnavailable) as caught:
        await credential(access)
    assert str(caught.value) == "no token within 0.2 s"
    assert caught.value.reason is Reason.OAUTH_ENDPOINT_ERROR
    assert access.refreshes == {Reason.OAUTH_ENDPOINT_ERROR: 1}
    trusted.release()
    assert (await credential(access)).is_token


async def test_a_cancelled_login_counts_no_refresh(access: Access, trusted: TokenServer) -> None:
    """A stop while a token is waited for is neither a success nor a failure."""
    trusted.script(HANG)
    task = asyncio.create_task(credential(access))
    while not trusted.requests:
        await asyncio.sleep(0.005)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (dict(access.refreshes), access.refresh_seconds, access.token) == ({}, None, None)
    trusted.release()
    assert (await credential(access)).is_token


async def test_a_secret_that_cannot_be_read(access: Access) -> None:
    """The file is named; what is known of the token stays, for the file may be in the middle of a rotation."""
    first = await credential(access)
    assert access.account.oauth2 is not None
    path = access.account.oauth2.refresh_token.file
    assert path is not None
    content = path.read_text("utf-8")
    path.unlink()
    with pytest.raises(CredentialUnavailable, match="refresh.refresh cannot be read: No such file"):
        access.secret()
    path.write_text(content, "utf-8")
    assert await credential(access) == first


@pytest.fixture
def ways_in(secrets: Secrets) -> list[Access]:
    """One for each kind of account."""
    accounts = [secrets.password(USER, SENTINEL), secrets.refresh(USER), secrets.service(USER)]
    return [Access(account, {"GMAIL_EXPORTER_APP_PASSWORD": SENTINEL}) for account in accounts]


async def test_nothing_secret_in_a_repr(ways_in: list[Access], secrets: Secrets) -> None:
    """Neither secret nor token nor the environment shows."""
    for access in ways_in:
        login = await credential(access)
        shown = repr(access) + repr(login)
        assert USER in shown
        for secret in [SENTINEL, login.password, *secrets.written]:
            assert secret not in shown


async def test_who_does_not_wait_for_a_token_leaves_it_to_the_next(access: Access, secrets: Secrets) -> None:
    """It is fetched once, however many ask meanwhile."""
    secrets.tokens.script(HANG)
    secret = access.secret()
    assert [await access.credential_within(secret, 0.05) for _ in range(3)] == [None, None, None]
    secrets.tokens.release()
    found = await access.credential_within(secret, 5)
    assert found is not None
    assert found.is_token
    assert len(secrets.tokens.requests) == 1


async def test_a_token_that_is_refused_is_refused_to_who_waits(access: Access, secrets: Secrets) -> None:
    """And where nobody waited any more the next one asks again."""
    secrets.tokens.script(REVOKED)
    with pytest.raises(CredentialUnavailable):
        await access.credential_within(access.secret(), 5)
    assert await access.credential_within(access.secret(), 5) is not None


async def test_a_password_is_there_at_once(secrets: Secrets) -> None:
    """A new one takes the place of the old one, also where the old one was asked for last."""
    for password in ("old", SENTINEL):
        access = Access(secrets.password(USER, password), {})
        assert await access.credential_within(access.secret(), 5) == Credential(USER, password)
