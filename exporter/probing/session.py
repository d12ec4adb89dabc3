"""A session that goes on after its login: one connection, on which several pieces of work are done.

The session itself is that of a probe, up to the login and the folders, and its Outcome is that of a probe. What follows
are `Work` generators: they are dialogues whose steps are performed here, without phases.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TypeVar, cast

import structlog

from exporter.model.outcome import Outcome, Phase, Target
from exporter.model.reason import Blame, Reason
from exporter.probing.addresses import Known
from exporter.probing.classify import OUR_OWN, classify, describe
from exporter.probing.connection import ConnectionClosed
from exporter.probing.dialogue import DialogueError, Refusal, Work
from exporter.probing.probe import CERTIFICATE_TO_INSPECT, Attempt, Login
from exporter.probing.redact import shortened
from exporter.probing.resolve import NameResolver
from exporter.probing.search import Secrets

T = TypeVar("T")

LOGOUT_SECONDS = 5.0
"""Seconds for the logout of a session."""

WITHOUT_ANSWER = frozenset({Reason.TIMEOUT, Reason.RESET, Reason.CLOSED})
"""Why a piece of work ended where the server has said nothing to it: what it did is not known."""

log = structlog.get_logger("session")


@dataclass
class WorkFailed(Exception):
    """Why a piece of work ended early; `detail` has the server's words, without secrets.

    `command` is what the server refused, where that is worth telling.
    """

    reason: Reason
    detail: str
    command: str = ""

    @property
    def blame(self) -> Blame:
        """The party at fault: a server that has let somebody in and falls silent is at fault itself."""
        return Blame.PROVIDER if self.reason in WITHOUT_ANSWER else self.reason.blame


class Session(Attempt):
    """A session; use `open_session`."""

    outcome: Outcome
    """What a probe would have seen, up to the login and the folders."""
    is_open: bool
    """Whether the login succeeded, and work can be done."""

    async def begin(self) -> None:
        """Run the session up to its end, within the endpoint's timeout. Where it fails, it is closed."""
        self.deadline = asyncio.get_running_loop().time() + self._endpoint.timeout
        self._in_step = False
        try:
            async with asyncio.timeout_at(self.deadline):
                self._in_step = await self.run()
                if self._reason in CERTIFICATE_TO_INSPECT:
                    await self._inspect_certificate()
        except TimeoutError:
            self._end_by_deadline()
        seen = self._outcome(await self._driver.lines())
        self.outcome = replace(seen, phases=MappingProxyType(dict(seen.phases)))
        # That a folder is hidden is of no concern to what follows.
        self.is_open = self._in_step and self.outcome.reason in (Reason.OK, Reason.FOLDER_HIDDEN)
        if not self.is_open:
            await self.end()

    @property
    def capabilities(self) -> frozenset[bytes]:
        """Capabilities in capitals: of IMAP those after the login, empty where the server has not sent them."""
        observed = self.outcome.observed
        return frozenset(name.upper().encode("ascii", "replace") for name in observed.login_capabilities)

    async def do(self, work: Work[T], seconds: float) -> T:
        """Do a piece of work within so many seconds, and return its result.

        Raises:
            WorkFailed: it ended early. Where the server still awaits a command, more can be done.
        """
        try:
            async with asyncio.timeout(seconds):
                return await self._perform(work)
        except Exception as error:  # noqa: BLE001 (classification is total)
            raise self._failed(error, seconds) from None

    async def end(self) -> None:
        """Log out, where the server awaits a command, and close."""
        self.deadline = asyncio.get_running_loop().time() + LOGOUT_SECONDS
        if self._in_step:
            self._in_step = False
            try:
                async with asyncio.timeout_at(self.deadline):
                    await self._log_out()
            except TimeoutError:
                log.debug("no answer to the logout", endpoint=self._endpoint.name)
        await self.close()

    async def _perform(self, work: Work[T]) -> T:
        if not self._in_step or self._connection is None:
            raise ConnectionClosed("the session has ended")
        self._in_step = False
        result = await self._driver.drive(work, self._connection)
        self._in_step = True
        return cast("T", result)  # without STARTTLS, it is always that of the work

    def _failed(self, error: Exception, seconds: float) -> WorkFailed:
        self._in_step = isinstance(error, DialogueError) and error.in_step
        # Any phase after the login: what a text means there does not depend on which.
        reason = classify(error, Phase.FOLDERS, self._endpoint.protocol)
        if reason is Reason.INTERNAL:
            log.error("fault in a session", endpoint=self._endpoint.name, exc_info=error)
        text = f"no answer within {seconds:g} s" if isinstance(error, TimeoutError) else describe(error)
        if not isinstance(error, OUR_OWN):
            text = self._redactor.text(text)
        command = error.command if isinstance(error, Refusal) else ""
        return WorkFailed(reason, shortened(f"{command}: {text}" if command else text), command)


@asynccontextmanager
async def open_session(
    target: Target, resolver: NameResolver, login: Login, known: Known, secrets: Secrets
) -> AsyncIterator[Session]:
    """Open a session and log in; where that fails, `outcome` says why, and nothing can be done.

    It ends with a logout, unless it is cancelled, and leaves no socket open.
    """
    session = Session(target, resolver, login, known, secrets)
    try:
        await session.begin()
        yield session
        if session.is_open:
            await session.end()
    finally:
        session.abort()
