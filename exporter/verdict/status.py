"""The provider's own account of its incidents, read over HTTPS.

It may confirm that the provider is at fault, never acquit it: incidents are published long after they begin. What
cannot be read is unknown.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable
from dataclasses import replace

import structlog

from exporter.host.threads import in_thread
from exporter.model.evidence import ProviderStatus
from exporter.model.verdict_settings import StatusProvider, StatusSettings
from exporter.probing.http_client import Answer, Bounds, NoAnswer, get
from exporter.probing.resolve import NameResolver
from exporter.verdict.incidents import DASHBOARD, FormChanged, read

URL = f"{DASHBOARD}incidents.json"

HOURLY = 3600.0
"""Seconds between two readings while nothing fails."""

BOUNDS = Bounds(seconds=10.0, octets=2 << 20)
"""The file has some 400 KB."""

_MAX_ETAG = 256

log = structlog.get_logger("status")


class StatusFeed:
    """The feed, and what it said when it was last read."""

    def __init__(
        self,
        resolver: NameResolver,
        *,
        url: str = URL,
        context: ssl.SSLContext | None = None,
        bounds: Bounds = BOUNDS,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._resolver = resolver
        self._url = url
        self._context = context
        self._bounds = bounds
        self._monotonic = monotonic
        self._settings = StatusSettings(StatusProvider.NONE)
        self._status: ProviderStatus | None = None
        self._etag = ""
        self._began_at = float("-inf")
        self._reading: asyncio.Task[None] | None = None

    @property
    def status(self) -> ProviderStatus | None:
        """What was read last; None where no provider's is read."""
        return self._status

    def configure(self, settings: StatusSettings) -> None:
        """Read the status of this provider, or of none; what is known of the same one stays."""
        if settings.provider is StatusProvider.NONE:
            self._status, self._etag, self._began_at = None, "", float("-inf")
        elif settings.provider is not self._settings.provider:
            self._status = ProviderStatus(settings.provider.value)
        self._settings = settings

    async def read(self, within: float = HOURLY) -> None:
        """Read it, where a provider's is read, unless that began within so many seconds. It is read once at a time."""
        if self._status is None:
            return
        if self._reading is None:
            if self._monotonic() - self._began_at < within:
                return
            self._reading = asyncio.create_task(self._read(), name="provider's status")
            self._reading.add_done_callback(self._done)
        await asyncio.shield(self._reading)

    async def refresh(self) -> None:
        """Read it, unless that was done within the interval: something fails."""
        await self.read(self._settings.interval)

    def _done(self, _task: asyncio.Task[None]) -> None:
        self._reading = None

    async def close(self) -> None:
        """Stop reading."""
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)

    async def _read(self) -> None:
        before, self._began_at = self._status, self._monotonic()
        if before is None:
            return
        status = await self._fetch(before)
        if self._status is None:
            return  # a reload has switched it off
        self._status = status
        if status.fault and status.fault != before.fault:
            log.warning("the provider's status cannot be read", provider=status.provider, reason=status.fault)
        for incident in status.incidents:
            if incident.id not in {known.id for known in before.incidents}:
                facts = {"severity": incident.severity, "impact": incident.status, "text": incident.text}
                log.warning("the provider has an open incident", provider=status.provider, url=incident.url, **facts)

    async def _fetch(self, before: ProviderStatus) -> ProviderStatus:
        known = {"If-None-Match": self._etag} if self._etag and before.is_known else {}
        try:
            answer = await get(self._url, self._resolver, self._bounds, headers=known, context=self._context)
            if answer.status == 304 and known:
                return replace(before, read_at=time.time())
            if answer.status != 200:
                return replace(before, fault=_unexpected(answer))
            # In a thread: two megabytes of JSON would hold up the probes.
            found = await in_thread(read, answer.body)
        except NoAnswer as error:
            return replace(before, fault=str(error))
        except FormChanged as error:
            return replace(before, fault=f"its form has changed: {error}")
        etag = answer.headers.get("etag", "")
        self._etag = etag if etag.isascii() and len(etag) <= _MAX_ETAG else ""
        return ProviderStatus(before.provider, found.incidents, time.time(), notices=found.notices)


def _unexpected(answer: Answer) -> str:
    return f"the answer is {'a redirect, ' if 'location' in answer.headers else ''}HTTP {answer.status}"
