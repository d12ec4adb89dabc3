"""An account's credential: its app password, or an access token that all its endpoints share."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TypeVar

from exporter.accounts import tokens
from exporter.accounts.secrets import read_secret, suspicion
from exporter.host.threads import in_thread
from exporter.model.outcome import Check, Outcome
from exporter.model.reason import Reason
from exporter.model.settings import Account
from exporter.probing.dialogue import Credential, CredentialUnavailable
from exporter.probing.search import NO_SECRETS, Secrets

T = TypeVar("T")

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
    _secret: tuple[str, ...] | None = field(default=None, repr=False)
    _tokens: deque[str] = field(default_factory=lambda: deque(maxlen=2), repr=False)
    """The last two access tokens: the one before is valid for some time."""
    _known: tuple[tuple[object, ...], Secrets] = field(default=((), NO_SECRETS), repr=False)
    """What `known_within` has returned, and what it was made of."""
    _replaced: bool = False
    _refreshing: asyncio.Lock = field(default_factory=asyncio.Lock)
    _reading: asyncio.Task[tuple[str, ...]] | None = field(default=None, repr=False)
    """Reads the secrets, also where no login waits for it any more."""
    _fetching: tuple[tuple[str, ...], asyncio.Task[Credential]] | None = field(default=None, repr=False)
    """A secret, and the task that gets the credential made from it, also where no login waits for it any more."""

    def secret(self) -> tuple[str, ...]:
        """Read the account's secrets and return them.

        Raises:
            CredentialUnavailable: one cannot be read.
        """
        return self._learn_secret(self._read())

    async def secret_within(self, seconds: float) -> tuple[str, ...]:
        """As `secret`, but files are read in a thread: a file system may never answer.

        Raises:
            CredentialUnavailable: one cannot be read, or not in that time.
        """
        if not self._has_files:
            return self.secret()
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(in_thread(self._read), name="secret")
            self._reading.add_done_callback(_forget_failure)
        task = self._reading
        done, _ = await asyncio.wait({task}, timeout=seconds)
        if not done:
            raise CredentialUnavailable(f"its secret cannot be read: no answer of the file system within {seconds:g} s")
        return self._learn_secret(task.result())

    @property
    def _has_files(self) -> bool:
        return any(reference.file for reference in self.account.secrets)

    def _read(self) -> tuple[str, ...]:
        if self.account.app_password:
            return (read_secret(self.account.app_password, self.environ),)
        return tokens.token_secrets(self.account, self.environ)

    def _learn_secret(self, secret: tuple[str, ...]) -> tuple[str, ...]:
        if secret != self._secret:
            self._secret, self.token, self._replaced = secret, None, False
        return secret

    async def known_within(self, seconds: float) -> Secrets:
        """Return everything of the account that must never be shown, also where a probe does not log in.

        A server may know it from other sessions, those of the process before this one, too: the secrets are read once
        for this, if they can be read in that time.
        """
        if self._secret is None and (self._reading is None or self._reading.done()):
            self._secret = ()  # where they cannot be read now, this process has sent nothing
            with suppress(CredentialUnavailable):
                await self.secret_within(seconds)
        made_of = self._secret, *self._tokens
        if made_of != self._known[0]:
            parts = self._secret or ()
            if parts and not self.account.app_password:
                parts = tokens.secret_parts(self.account, parts)
            self._known = made_of, Secrets([*parts, *self._tokens])
        return self._known[1]

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
                self._tokens.append(token.value)
                if secret == self._secret:  # still the current one
                    self.token = token
            return Credential(self.account.username, token.value, is_token=True)

    async def credential_within(self, secret: tuple[str, ...], seconds: float) -> Credential | None:
        """Return `credential`, or None if it takes longer than `seconds`; the next call has the result."""
        if self._fetching is None or self._fetching[1].done() or self._fetching[0] != secret:
            self._fetching = secret, asyncio.create_task(self.credential(secret), name="credential")
            self._fetching[1].add_done_callback(_forget_failure)
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
                result = await in_thread(tokens.fetch_token, self.account, secret)
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


def _forget_failure(task: asyncio.Task[T]) -> None:
    """Read the failure of a task that nothing may wait for any more: it is counted, and asyncio need not log it."""
    if not task.cancelled():
        task.exception()
