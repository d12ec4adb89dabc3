"""An account's credential: its app password, or an access token that all its endpoints share."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from exporter.accounts import tokens
from exporter.accounts.secrets import read_secret, suspicion
from exporter.model.outcome import Check, Outcome
from exporter.model.reason import Reason
from exporter.model.settings import Account
from exporter.probing.dialogue import Credential, CredentialUnavailable

RENEWAL_MARGIN = 300.0
"""Seconds before its expiry at which a token is renewed, so that none expires during a session."""

TOKEN_TIMEOUT = 15.0
"""Seconds that a login waits for a token; google-auth retries a failing endpoint for longer."""


@dataclass(slots=True)
class Access:
    """The credential of one account. `clock` returns Unix seconds.

    A token that the server refuses is replaced once: it may have been revoked while its grant is valid. If the new one
    is refused, too, none is requested until a login succeeds or the secret changes.
    """

    account: Account
    environ: Mapping[str, str] = field(repr=False)  # it may contain the secrets of all accounts
    clock: Callable[[], float] = time.time
    token: tokens.AccessToken | None = None
    refreshes: Counter[Reason] = field(default_factory=Counter)
    """How often a token was requested, by result."""
    refresh_seconds: float | None = None
    """How long the last request for a token took."""
    _secret: tuple[str, ...] = field(default=(), repr=False)
    _replaced: bool = False
    _refreshing: asyncio.Lock = field(default_factory=asyncio.Lock)
    _fetching: tuple[tuple[str, ...], asyncio.Task[Credential]] | None = field(default=None, repr=False)
    """A secret, and the task that gets the credential made from it, also where no login waits for it any more."""

    def secret(self) -> tuple[str, ...]:
        """Read the account's secrets and return them.

        Raises:
            CredentialUnavailable: one cannot be read.
        """
        if self.account.app_password:
            secret: tuple[str, ...] = (read_secret(self.account.app_password, self.environ),)
        else:
            secret = tokens.token_secrets(self.account, self.environ)
        if secret != self._secret:
            self._secret, self.token, self._replaced = secret, None, False
        return secret

    async def credential(self, secret: tuple[str, ...]) -> Credential:
        """Return the credential that is made from `secret`; with OAuth 2.0 that may need a new token.

        Raises:
            CredentialUnavailable: the token endpoint refused, or could not be reached.
        """
        if self.account.app_password:
            return Credential(self.account.username, secret[0], doubt=suspicion(self.account.app_password, secret[0]))
        async with self._refreshing:
            token = self.token
            if token is None or token.expires_at - self.clock() < RENEWAL_MARGIN:
                token = await self._refresh(secret)
                if secret == self._secret:  # still the current one
                    self.token = token
            return Credential(self.account.username, token.value, is_token=True)

    async def credential_within(self, secret: tuple[str, ...], seconds: float) -> Credential | None:
        """Return `credential`, or None if it takes longer than `seconds`; the next call has the result."""
        if self._fetching is None or self._fetching[1].done() or self._fetching[0] != secret:
            self._fetching = secret, asyncio.create_task(self.credential(secret), name="credential")
            # To read the failure keeps asyncio from logging it; it is counted.
            self._fetching[1].add_done_callback(lambda task: task.cancelled() or task.exception())
        _, task = self._fetching
        done, _ = await asyncio.wait({task}, timeout=seconds)
        return task.result() if done else None

    def learn(self, outcome: Outcome) -> bool:
        """Learn from a login; return whether the server refused a token that will now be replaced."""
        if outcome.checks.get(Check.LOGIN):
            self._replaced = False
        if outcome.reason is not Reason.OAUTH_TOKEN_REJECTED or self._replaced:
            return False
        self.token, self._replaced = None, True
        return True

    async def _refresh(self, secret: tuple[str, ...]) -> tokens.AccessToken:
        started = time.perf_counter()
        result: tokens.AccessToken | CredentialUnavailable
        try:
            async with asyncio.timeout(TOKEN_TIMEOUT):
                result = await _fetch_token(self.account, secret)
        except TimeoutError:
            result = CredentialUnavailable(f"no token within {TOKEN_TIMEOUT:g} s", Reason.OAUTH_ENDPOINT_ERROR)
        except CredentialUnavailable as error:
            result = error
        self.refresh_seconds = time.perf_counter() - started
        if isinstance(result, CredentialUnavailable):
            self.refreshes[result.reason] += 1
            raise result
        self.refreshes[Reason.OK] += 1
        return result


async def _fetch_token(account: Account, secret: tuple[str, ...]) -> tokens.AccessToken:
    """Return `tokens.fetch_token`, which blocks, from a thread that may outlive this call.

    It is a thread of its own: the executor's threads are few and shared, and the daemon's stop waits for them.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[tokens.AccessToken] = loop.create_future()

    def settle(result: tokens.AccessToken | Exception) -> None:
        if done.done():  # cancelled
            return
        if isinstance(result, Exception):
            done.set_exception(result)
        else:
            done.set_result(result)

    def run() -> None:
        result: tokens.AccessToken | Exception
        try:
            result = tokens.fetch_token(account, secret)
        except Exception as error:  # noqa: BLE001 (raised where the result is awaited)
            result = error
        with suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(settle, result)

    threading.Thread(target=run, name="token", daemon=True).start()
    return await done
