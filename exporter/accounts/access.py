"""What an account logs in with: its app password, or an access token that its endpoints share."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from exporter.accounts import oauth
from exporter.accounts.secrets import read_secret
from exporter.config import Account
from exporter.outcome import Outcome, Reason
from exporter.probing.dialogue import CredentialUnavailable
from exporter.probing.sasl import Credential

EARLY = 300.0
"""Seconds before its expiry at which a token is renewed: none expires in the middle of a session."""


@dataclass(slots=True)
class Access:
    """One account's way in. `clock` gives Unix seconds.

    A token that the server refuses is replaced once: it may have been revoked with its grant intact. If the new one is
    refused too, that is the answer, until a login succeeds or the secret changes.
    """

    account: Account
    environ: Mapping[str, str]
    clock: Callable[[], float] = time.time
    token: oauth.AccessToken | None = None
    refreshes: Counter[Reason] = field(default_factory=Counter)
    """How often a token was asked for, by what came of it."""
    refresh_seconds: float | None = None
    """How long the token endpoint took the last time."""
    _secret: tuple[str, ...] = ()
    _replaced: bool = False
    _refreshing: asyncio.Lock = field(default_factory=asyncio.Lock)

    def secret(self) -> tuple[str, ...]:
        """Return the account's secrets, read anew.

        Raises:
            CredentialUnavailable: one cannot be read.
        """
        if self.account.app_password:
            secret: tuple[str, ...] = (read_secret(self.account.app_password, self.environ),)
        else:
            secret = oauth.material(self.account, self.environ)
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
            if self.token is None or self.token.expires_at - self.clock() < EARLY:
                self.token = await self._refresh(secret)
            return Credential(self.account.username, self.token.value, is_token=True)

    def learn(self, outcome: Outcome) -> bool:
        """Take note of a login. True where the server refused a token that is worth replacing by a new one."""
        if outcome.ok:
            self._replaced = False
        if outcome.reason is not Reason.OAUTH_TOKEN_REJECTED or self._replaced:
            return False
        self.token, self._replaced = None, True
        return True

    async def _refresh(self, secret: tuple[str, ...]) -> oauth.AccessToken:
        begun = time.perf_counter()
        result = Reason.OK
        try:
            # It blocks: in a thread, so that a slow endpoint holds up no probe but the one that waits for it.
            return await asyncio.to_thread(oauth.fetch_token, self.account, secret)
        except CredentialUnavailable as error:
            result = error.reason
            raise
        finally:
            self.refresh_seconds = time.perf_counter() - begun
            self.refreshes[result] += 1
