"""The credential of an account, with tokens of a real token endpoint."""

from __future__ import annotations

import asyncio
import threading
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
from tests.waiting import PATIENCE, until

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
    """A clock that stands at the time of its creation."""
    clock = Clock()
    clock.now = time.time()
    return clock


@pytest.fixture
def access(account: Account, clock: Clock) -> Access:
    """The access of that account."""
    return Access(account, {}, clock)


async def credential(access: Access) -> Credential:
    """Read the secret, and return the credential."""
    return await access.credential(access.secret())


async def test_password(secrets: Secrets) -> None:
    """A password is the credential: no request is made, and no refresh is counted."""
    access = Access(secrets.password(USER, SENTINEL), {})
    assert await credential(access) == Credential(USER, SENTINEL)
    assert secrets.tokens.requests == []
    assert (access.token, access.refreshes, access.refresh_seconds) == (None, {}, None)


async def test_password_with_a_doubt(secrets: Secrets) -> None:
    """A password that may be a mistake is used, and its credential says what is odd about it."""
    path = secrets.write("password", f"{SENTINEL}1 \n").file
    access = Access(Account(name="ops", username=USER, app_password=SecretRef(file=path)), {})
    doubt = f"the file {path} has a space at the end"
    assert await credential(access) == Credential(USER, f"{SENTINEL}1 ", doubt=doubt)


async def test_password_in_the_environment() -> None:
    """A variable is read for each login."""
    environ = {"PASSWORD": "first"}
    access = Access(Account(name="ops", username=USER, app_password=SecretRef(env="PASSWORD")), environ)
    assert (await credential(access)).password == "first"
    environ["PASSWORD"] = "second"
    assert (await credential(access)).password == "second"


async def test_token_is_shared(access: Access, trusted: TokenServer) -> None:
    """All logins of the account use one token until it is about to expire."""
    first = await credential(access)
    assert first.is_token
    assert first.username == USER
    assert trusted.holder(first.password) == USER
    assert await credential(access) == first
    assert len(trusted.requests) == 1


async def test_concurrent_logins_share_one_refresh(access: Access, trusted: TokenServer) -> None:
    """Logins that begin during a refresh wait for its token."""
    trusted.script(Wait(0.2))
    secret = access.secret()
    found = await asyncio.gather(*(access.credential(secret) for _ in range(5)))
    assert len(set(found)) == 1
    assert len(trusted.requests) == 1


async def test_slow_token_endpoint_does_not_block(access: Access, trusted: TokenServer) -> None:
    """The event loop continues while a token is fetched."""
    trusted.script(HANG)
    task = asyncio.create_task(credential(access))
    await until(lambda: trusted.requests)
    assert not task.done()
    trusted.release()
    assert (await task).is_token


async def test_token_is_renewed_early(access: Access, clock: Clock, trusted: TokenServer) -> None:
    """A token is renewed minutes before it expires, so that none expires during a session."""
    first = await credential(access)
    assert access.token is not None
    assert access.token.expires_at == pytest.approx(clock.now + EXPIRES_IN, abs=PATIENCE)
    clock.now = access.token.expires_at - RENEWAL_MARGIN
    assert await credential(access) == first
    clock.advance(1)
    assert await credential(access) != first
    assert len(trusted.requests) == 2


async def test_short_lived_tokens(access: Access, trusted: TokenServer) -> None:
    """Each login gets a new token."""
    trusted.expires_in = 60
    assert await credential(access) != await credential(access)
    assert len(trusted.requests) == 2


async def test_rejected_token_is_replaced_once(access: Access, trusted: TokenServer) -> None:
    """After the second rejection in a row no new token is requested."""
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
    ids=["success", "hidden-folder"],
)
async def test_good_login_resets_the_rejection(access: Access, login: Outcome) -> None:
    """After a good login, whatever followed it, the next rejected token is replaced again."""
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
async def test_other_outcomes_do_not_concern_the_token(access: Access, outcome: Outcome) -> None:
    """The token is not replaced, and a replacement is not forgotten."""
    first = await credential(access)
    assert not access.learn(outcome)
    assert await credential(access) == first
    assert access.learn(REJECTED)
    assert not access.learn(outcome)
    assert not access.learn(REJECTED)


async def test_new_secret_needs_a_new_token(secrets: Secrets, account: Account, access: Access) -> None:
    """The old token is dropped, and so is its rejection."""
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


async def test_secret_changes_during_a_refresh(access: Access, trusted: TokenServer, secrets: Secrets) -> None:
    """Only the login that waits for it uses the token of the old secret."""
    trusted.script(HANG)
    waiting = asyncio.create_task(credential(access))
    await until(lambda: trusted.requests)
    assert access.account.oauth2 is not None
    secrets.write("refresh.refresh", "1//rotated")
    secret = access.secret()
    trusted.release()
    assert trusted.holder((await waiting).password) == USER
    assert access.token is None
    with pytest.raises(CredentialUnavailable, match="invalid_grant: Bad Request"):
        await access.credential(secret)


async def test_refreshes_are_counted_by_result(access: Access, clock: Clock, trusted: TokenServer) -> None:
    """The results are counted, and the duration of the last request is known."""
    begun = time.monotonic()
    await credential(access)
    assert access.refresh_seconds is not None
    assert 0 < access.refresh_seconds <= time.monotonic() - begun
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
    """An endpoint that does not answer in time is a failure with its own text, whatever google-auth still does."""
    monkeypatch.setattr(access_module, "TOKEN_TIMEOUT", 0.2)
    trusted.script(HANG)
    with pytest.raises(CredentialUnavailable) as caught:
        await credential(access)
    assert str(caught.value) == "no token within 0.2 s"
    assert caught.value.reason is Reason.OAUTH_ENDPOINT_ERROR
    assert access.refreshes == {Reason.OAUTH_ENDPOINT_ERROR: 1}
    trusted.release()
    assert (await credential(access)).is_token


async def test_cancelled_login_counts_no_refresh(access: Access, trusted: TokenServer) -> None:
    """A cancellation during a refresh is neither a success nor a failure."""
    trusted.script(HANG)
    task = asyncio.create_task(credential(access))
    await until(lambda: trusted.requests)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (dict(access.refreshes), access.refresh_seconds, access.token) == ({}, None, None)
    trusted.release()
    assert (await credential(access)).is_token


async def test_unreadable_secret(access: Access) -> None:
    """The error names the file; the token stays, for the file may be just being replaced."""
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
def accesses(secrets: Secrets) -> list[Access]:
    """The access of each kind of account."""
    accounts = [secrets.password(USER, SENTINEL), secrets.refresh(USER), secrets.service(USER)]
    return [Access(account, {"GMAIL_EXPORTER_APP_PASSWORD": SENTINEL}) for account in accounts]


async def test_repr(accesses: list[Access], secrets: Secrets) -> None:
    """The repr has neither a secret nor a token nor the environment."""
    for access in accesses:
        login = await credential(access)
        shown = repr(access) + repr(login)
        assert USER in shown
        for secret in [SENTINEL, login.password, *secrets.written]:
            assert secret not in shown


async def test_token_is_fetched_for_the_next_login(access: Access, secrets: Secrets) -> None:
    """A token that came too late is used by the next login; it is fetched once."""
    secrets.tokens.script(HANG)
    secret = access.secret()
    assert [await access.credential_within(secret, 0.05) for _ in range(3)] == [None, None, None]
    secrets.tokens.release()
    found = await access.credential_within(secret, PATIENCE)
    assert found is not None
    assert found.is_token
    assert len(secrets.tokens.requests) == 1


async def test_refused_token_within_a_time(access: Access, secrets: Secrets) -> None:
    """The refusal is raised, and the next call requests a token again."""
    secrets.tokens.script(REVOKED)
    with pytest.raises(CredentialUnavailable):
        await access.credential_within(access.secret(), PATIENCE)
    assert await access.credential_within(access.secret(), PATIENCE) is not None


async def test_password_within_a_time(secrets: Secrets) -> None:
    """A password needs no waiting; a new one replaces the old one."""
    for password in ("old", SENTINEL):
        access = Access(secrets.password(USER, password), {})
        assert await access.credential_within(access.secret(), PATIENCE) == Credential(USER, password)


async def test_a_secret_whose_file_system_does_not_answer(secrets: Secrets, monkeypatch: pytest.MonkeyPatch) -> None:
    """The event loop goes on, the login says why it has no secret, and one thread waits, however many logins do."""
    access = Access(secrets.password(USER, SENTINEL), {})
    gate, threads = threading.Event(), []

    def hang(*arguments: object) -> str:
        threads.append(threading.current_thread())
        gate.wait(PATIENCE)
        return SENTINEL

    monkeypatch.setattr(access_module, "read_secret", hang)
    for _ in range(3):
        with pytest.raises(CredentialUnavailable, match="no answer of the file system within 0.02 s"):
            await access.secret_within(0.02)
    await until(lambda: threads)
    assert len(threads) == 1
    gate.set()
    assert await access.secret_within(PATIENCE) == (SENTINEL,)
    assert await access.secret_within(PATIENCE) == (SENTINEL,)
    assert len(threads) == 2  # the one that hung, whose result came late; and each later login reads again


async def test_logins_at_the_same_time_read_a_secret_once(secrets: Secrets) -> None:
    """A secret of the environment is read without a thread."""
    access = Access(secrets.password(USER, SENTINEL), {})
    assert await asyncio.gather(*(access.secret_within(PATIENCE) for _ in range(5))) == [(SENTINEL,)] * 5
    of_environment = Access(Account(name="ops", username=USER, app_password=SecretRef(env="P")), {"P": SENTINEL})
    assert await of_environment.secret_within(0) == (SENTINEL,)
    missing = Access(Account(name="ops", username=USER, app_password=SecretRef(env="Q")), {"P": SENTINEL})
    with pytest.raises(CredentialUnavailable, match="the variable Q is not set"):
        await missing.secret_within(0)


# What must never be shown


async def knows(access: Access, *secrets: str) -> bool:
    """Whether all of these are known to be secret."""
    known = await access.known_within(5)
    return all(known.are_in(secret) for secret in secrets)


async def test_password_is_known_before_a_login(secrets: Secrets) -> None:
    """A server may know the password from the process before this one: it is read once, without a login."""
    access = Access(secrets.password(USER, SENTINEL), {})
    assert await knows(access, SENTINEL)
    assert not (await access.known_within(5)).are_in("something else")
    assert (await access.known_within(5)) is (await access.known_within(5))


async def test_new_password_is_known(secrets: Secrets) -> None:
    """Where the secret changes, the new one is known from its first login on."""
    account = secrets.password(USER, "xqzdefghijkl")
    access = Access(account, {})
    assert await knows(access, "xqzdefghijkl")
    secrets.password(USER, SENTINEL)
    await credential(access)
    assert await knows(access, SENTINEL)


async def test_unreadable_secret_is_none(secrets: Secrets) -> None:
    """A secret that cannot be read was not sent; it is not tried again until a login needs it."""
    environ: dict[str, str] = {}
    access = Access(Account(name="ops", username=USER, app_password=SecretRef(env="PASSWORD")), environ)
    assert not (await access.known_within(5))
    environ["PASSWORD"] = SENTINEL
    assert not (await access.known_within(5))
    await credential(access)
    assert await knows(access, SENTINEL)


async def test_tokens_are_known(access: Access, clock: Clock, trusted: TokenServer) -> None:
    """The secrets of OAuth 2.0 are known, the access token and the one before it, too."""
    assert await knows(access, *access.secret())
    first = await credential(access)
    assert await knows(access, first.password, *access.secret())
    known = await access.known_within(5)
    assert (await access.known_within(5)) is known
    clock.now += EXPIRES_IN
    second = await credential(access)
    assert second.password != first.password
    assert await knows(access, first.password, second.password, *access.secret())
    assert SENTINEL not in repr(access)
    assert first.password not in repr(access)


async def test_key_is_known(secrets: Secrets) -> None:
    """So is the body of a private key, and not the JSON around it."""
    access = Access(secrets.service(USER), {})
    assert await knows(access, *secrets.key["private_key"].splitlines()[1:-1])
    assert not (await access.known_within(5)).are_in(
        '"type": "service_account", "client_email": "probe@example.iam.gserviceaccount.com"'
    )
