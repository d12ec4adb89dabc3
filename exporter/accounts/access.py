"""What an account logs in with: its app password, or an access token that its endpoints share."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import ParamSpec, TypeVar, cast

from exporter.accounts import tokens
from exporter.accounts.secrets import read_secret
from exporter.model.outcome import Check, Outcome
from exporter.model.reason import Reason
from exporter.model.settings import Account
from exporter.probing.dialogue import Credential, CredentialUnavailable

P = ParamSpec("P")
T = TypeVar("T")

RENEWAL_MARGIN = 300.0
"""Seconds before its expiry at which a token is renewed: none expires in the middle of a session."""


TOKEN_TIMEOUT = 15.0
"""Seconds that a login waits for a token; google-auth itself asks a failing endpoint again and again for longer."""


@dataclass(slots=True)
class Access:
    """One account's way in. `clock` gives Unix seconds.

    A token that the server refuses is replaced once: it may have been revoked with its grant intact. If the new one is
    refused too, that is the answer, until a login succeeds or the secret changes.
    """

    account: Account
    environ: Mapping[str, str] = field(repr=False)  # it may hold the secrets of all accounts
    clock: Callable[[], float] = time.time
    token: tokens.AccessToken | None = None
    refreshes: Counter[Reason] = field(default_factory=Counter)
    """How often a token was asked for, by what came of it."""
    refresh_seconds: float | None = None
    """How long the token endpoint took the last time."""
    _secret: tuple[str, ...] = field(default=(), repr=False)
    _replaced: bool = False
    _refreshing: asyncio.Lock = field(default_factory=asyncio.Lock)
    _fetching: tuple[tuple[str, ...], asyncio.Task[Credential]] | None = field(default=None, repr=False)
    """The credential that somebody did not wait for, and the secret that it is made from."""

    def secret(self) -> tuple[str, ...]:
        """Return the account's secrets, read anew.

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
        """Return what to log in with, made from `secret`; with OAuth 2.0 that may need a new token.

        Raises:
            CredentialUnavailable: the token endpoint refused, or could not be reached.
        """
        if self.account.app_password:
            return Credential(self.account.username, secret[0])
        async with self._refreshing:
            token = self.token
            if token is None or token.expires_at - self.clock() < RENEWAL_MARGIN:
                token = await self._refresh(secret)
                if secret == self._secret:  # no new one was read meanwhile
                    self.token = token
            return Credential(self.account.username, token.value, is_token=True)

    async def credential_within(self, secret: tuple[str, ...], seconds: float) -> Credential | None:
        """As `credential`, but None where it takes longer. It is fetched all the same, for whoever asks next."""
        if self._fetching is None or self._fetching[1].done() or self._fetching[0] != secret:
            self._fetching = secret, asyncio.create_task(self.credential(secret), name="credential")
            # Where nobody waits any more its failure is no news: the counters have it.
            self._fetching[1].add_done_callback(lambda task: task.cancelled() or task.exception())
        _, task = self._fetching
        done, _ = await asyncio.wait({task}, timeout=seconds)
        return task.result() if done else None

    def learn(self, outcome: Outcome) -> bool:
        """Take note of a login. True where the server refused a token that is worth replacing by a new one."""
        if outcome.checks.get(Check.LOGIN):
            self._replaced = False
        if outcome.reason is not Reason.OAUTH_TOKEN_REJECTED or self._replaced:
            return False
        self.token, self._replaced = None, True
        return True

    async def _refresh(self, secret: tuple[str, ...]) -> tokens.AccessToken:
        begun = time.perf_counter()
        result: Reason | None = None  # a cancellation is none
        try:
            async with asyncio.timeout(TOKEN_TIMEOUT):
                token = await _in_thread(tokens.fetch_token, self.account, secret)
        except TimeoutError:
            result = Reason.OAUTH_ENDPOINT_ERROR
            raise CredentialUnavailable(f"no token within {TOKEN_TIMEOUT:g} s", result) from None
        except CredentialUnavailable as error:
            result = error.reason
            raise
        else:
            result = Reason.OK
            return token
        finally:
            if result is not None:
                self.refresh_seconds = time.perf_counter() - begun
                self.refreshes[result] += 1


async def _in_thread(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Return what `work` returns, which may block, and outlive whoever waits for it.

    In a thread of its own: those of the loop are few and shared, and a stop of the daemon waits for them.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: BaseException | None) -> None:
        if done.done():
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(cast("T", result))

    def run() -> None:
        result, failed = None, None
        try:
            result = work(*args, **kwargs)
        except Exception as error:  # noqa: BLE001 (it is raised where it is waited for)
            failed = error
        with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(settle, result, failed)

    threading.Thread(target=run, name="token", daemon=True).start()
    return await done
