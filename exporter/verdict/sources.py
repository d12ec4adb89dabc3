"""The sources of evidence beside the failed probe itself: controls, other resolvers, this host, the provider's status.

While all is well, only controls and the status are looked at, every quarter of an hour and every hour.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import NamedTuple

from exporter.model.evidence import ControlKind, ControlState, HostFacts, ProviderStatus, SecondOpinion
from exporter.model.settings import Config, Endpoint, IpFamily
from exporter.model.verdict_settings import StatusProvider, StatusSettings, VerdictSettings
from exporter.probing.resolve import NameResolver
from exporter.verdict.controls import FRESH, Controls
from exporter.verdict.status import StatusFeed
from exporter.verdict.this_host import answers, host_facts, opinions

_STATUS_PATIENCE = 5.0
"""Seconds that evidence waits for the status, which has a deadline of its own and counts from the next time else."""


TICK = 60.0
"""Seconds after which what is due is looked at, also after a reload."""


class Found(NamedTuple):
    """What the sources show of one host; the attributes are those of `Evidence`."""

    controls: tuple[ControlState, ...]
    opinions: tuple[SecondOpinion, ...]
    host: HostFacts
    status: ProviderStatus | None
    portal: bool | None


class EvidenceSources:
    """The sources in force."""

    def __init__(
        self, resolver: NameResolver, *, controls: Controls | None = None, feed: StatusFeed | None = None
    ) -> None:
        self._resolver = resolver
        self._settings = VerdictSettings()
        self.controls = controls or Controls(resolver)
        self.feed = feed or StatusFeed(resolver)

    def configure(self, config: Config) -> None:
        """Put the section `verdict` of a configuration into force."""
        self._settings = config.verdict
        self.controls.configure(config.controls)
        status = config.verdict.status
        is_read = config.status_provider is not StatusProvider.NONE
        self.feed.configure(status if is_read else StatusSettings(StatusProvider.NONE))

    async def look(self) -> None:
        """Look at what is due while all is well; a job calls it each `TICK` seconds."""
        await asyncio.gather(self.controls.look(), self.feed.read())

    async def gather(self, endpoint: Endpoint, family: IpFamily, address: str | None) -> Found:
        """Look at everything that may show why an endpoint fails; it takes some 8 seconds at most.

        Args:
            endpoint: The endpoint. What is for Google's hosts alone is left out for others.
            family: The address family that was probed.
            address: The address that was probed; None where the name has none.
        """
        names = [endpoint.host, *(control.host for control in self._controls_for(endpoint))]
        _, _, other, answering = await asyncio.gather(
            self.controls.look(FRESH, plain=True),
            self._refresh_status(endpoint),
            opinions(self._settings.resolvers, endpoint.host, family),
            answers(self._resolver, names),
        )
        return self._found(endpoint, address, other, resolver_answers=answering)

    def known(self, endpoint: Endpoint, address: str | None) -> Found:
        """Return what is known of an endpoint without asking anybody; the arguments are those of `gather`."""
        return self._found(endpoint, address, (), resolver_answers=None)

    def _found(
        self,
        endpoint: Endpoint,
        address: str | None,
        other: tuple[SecondOpinion, ...],
        *,
        resolver_answers: bool | None,
    ) -> Found:
        controls = self._controls_for(endpoint)
        portals = [control.portal for control in controls if control.portal is not None]
        return Found(
            controls,
            other,
            host_facts(address, controls, resolver_answers=resolver_answers),
            self.feed.status if endpoint.is_google else None,
            any(portals) if portals else None,
        )

    def _controls_for(self, endpoint: Endpoint) -> tuple[ControlState, ...]:
        return tuple(
            state for state in self.controls.states if state.kind is not ControlKind.PROVIDER_WEB or endpoint.is_google
        )

    async def _refresh_status(self, endpoint: Endpoint) -> None:
        if endpoint.is_google:
            with suppress(TimeoutError):
                async with asyncio.timeout(_STATUS_PATIENCE):
                    await self.feed.refresh()

    async def close(self) -> None:
        """Stop what is under way."""
        await asyncio.gather(self.controls.close(), self.feed.close())
