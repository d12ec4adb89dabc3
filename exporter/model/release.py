"""A release: an operator permits one login in spite of a refusal, as a trial whether its cause is gone."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import quote


class Answer(StrEnum):
    """What became of the request for a release."""

    RELEASED = "released"
    ALREADY = "already"
    """It is released, and its trial login is still to be made."""
    TOO_EARLY = "too_early"
    """The last release was a short time ago."""
    NOT_HELD = "not_held"
    """Nothing is held that a release would end."""
    ENDS_BY_ITSELF = "ends_by_itself"
    """A limit of the server holds logins back, which a release does not end."""


@dataclass(frozen=True, slots=True)
class Release:
    """The answer to a request for a release; `at` is in Unix seconds.

    RELEASED: until then a limit of the server holds logins back; None where none does. TOO_EARLY, ALREADY: the next
    release is possible then. ENDS_BY_ITSELF: the limit ends then.
    """

    answer: Answer
    at: float | None = None


@dataclass(frozen=True, slots=True)
class Way:
    """How an account of this program is released, in a shell on its host, as its user."""

    command: tuple[str, ...] = ()
    """The command, without the name of the account; none where other processes do not see the login budgets."""
    request: tuple[str, ...] = ()
    """The command that asks the daemon, without the URL; none where it may not be asked."""
    url: str = ""
    """The address of the daemon on its host, with a slash at its end."""

    def of(self, account: str) -> str:
        """Return what releases an account, for a shell; empty where only a restart does."""
        if self.command:
            return shlex.join((*self.command, account))
        if self.request:
            return shlex.join((*self.request, f"{self.url}accounts/{quote(account, safe='')}/release"))
        return ""


NOWHERE = Way()
"""Only a restart releases an account."""
