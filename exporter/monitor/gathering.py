"""Evidence while an endpoint fails, gathered for its host once, however many of its endpoints fail.

An outage of a host begins with the first of its endpoints that fails, and ends with the last that is up again. In it
the path to each port that fails is traced once, and the other addresses of the name are tried once; what else is looked
at is at most `FRESH` seconds old. No probe waits for it: a failed Outcome does, `PATIENCE` seconds at most, and what
takes longer counts from the next one. While nothing fails, nothing is done.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

import structlog

from exporter.model.evidence import Evidence, Tally, Trace
from exporter.model.outcome import Outcome, Target, TargetKey
from exporter.model.settings import Config, IpFamily
from exporter.model.verdict_settings import TraceSettings
from exporter.monitor.siblings import Census
from exporter.monitor.store import Store
from exporter.probing.path import Tracer
from exporter.probing.resolve import NameResolver
from exporter.verdict.other_addresses import other_addresses
from exporter.verdict.sources import EvidenceSources, Found
from exporter.verdict.symptom import AT_FAULT, TOLD, UNREACHED, symptom_of

FRESH = 10.0
"""Seconds for which what was found of a host is good enough."""

PATIENCE = 1.0
"""Seconds that a failed Outcome waits for evidence, of an endpoint that is probed that rarely."""

AT_ONCE = 20
"""Hosts for which evidence is gathered at the same time."""

PATHS_AT_ONCE = 4
"""Ports that are traced, or tried at other addresses, at the same time."""

MAX_PATHS = 1024
"""Addresses of which is kept how far the path was seen."""

log = structlog.get_logger("evidence")


@dataclass(slots=True)
class _Port:
    """What was found of a port in an outage."""

    trace: Trace | None = None
    trace_web: Trace | None = None
    addresses: Tally | None = None
    begun: set[str] = field(default_factory=set)
    """What was begun: each is done once in an outage."""
    tasks: set[asyncio.Task[None]] = field(default_factory=set)


@dataclass(slots=True)
class _Outage:
    """An outage of a host over one address family, and what was found of it."""

    failing: set[TargetKey] = field(default_factory=set)
    found: Found | None = None
    began_at: float = float("-inf")
    """When it was last begun to look, by the clock."""
    tasks: set[asyncio.Task[None]] = field(default_factory=set)
    ports: dict[int, _Port] = field(default_factory=dict)


class Gathering:
    """Gathers evidence.

    Args:
        store: Has the other endpoints.
        resolver: Looks up other addresses of a name.
        sources: What else is looked at.
        patience: Seconds that a failed Outcome waits at most. By default `PATIENCE`, and a quarter of its interval.
        clock: Gives monotonic seconds.
    """

    def __init__(
        self,
        store: Store,
        resolver: NameResolver,
        sources: EvidenceSources,
        *,
        patience: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._resolver = resolver
        self._sources = sources
        self._patience = patience
        self._clock = clock
        self._census = Census(store, clock)
        self._settings = TraceSettings()
        self._tracer = Tracer(self._settings.max_per_hour, self._settings.max_hops)
        self._outages: dict[tuple[str, IpFamily], _Outage] = {}
        self._farthest: OrderedDict[str, int] = OrderedDict()
        """By address, the last hop that ever answered on the way to it."""
        self._hosts = asyncio.Semaphore(AT_ONCE)
        self._paths = asyncio.Semaphore(PATHS_AT_ONCE)

    def configure(self, config: Config) -> None:
        """Trace within the bounds of this configuration, and forget what is no longer in the store."""
        if config.verdict.trace != self._settings:
            self._settings = config.verdict.trace
            self._tracer = Tracer(self._settings.max_per_hour, self._settings.max_hops)
        for (host, family), outage in list(self._outages.items()):
            outage.failing = {key for key in outage.failing if key in self._store}
            if not outage.failing:
                self._end(host, family)

    async def evidence(self, outcome: Outcome) -> Evidence | None:
        """Return what is known of an outage now, and have more gathered; None where the reason says all by itself."""
        target, symptom = outcome.target, symptom_of(outcome)
        if symptom in TOLD:
            self.recover(target)
            return None
        outage = self._outages.setdefault((target.endpoint.host, target.ip_family), _Outage())
        outage.failing.add(target.key)
        port = outage.ports.setdefault(target.endpoint.port, _Port())
        address = outcome.observed.address or self._last_address(target)
        if not outage.tasks and self._clock() - outage.began_at >= FRESH:
            outage.began_at = self._clock()
            self._start(outage.tasks, self._gather(outage, target, address))
        if address and symptom in UNREACHED and self._settings.on_failure:
            self._once(port, "trace", self._trace(port, address, target.endpoint.port))
        if address and symptom in AT_FAULT:
            self._once(port, "addresses", self._try_others(port, target, address))
        if tasks := outage.tasks | port.tasks:
            await asyncio.wait(tasks, timeout=self._patience or min(PATIENCE, target.endpoint.interval / 4))
        return self._together(outcome, outage, port, address)

    def known(self, outcome: Outcome) -> Evidence:
        """Return what is known without a look at anything: for a target of a request."""
        endpoint, address = outcome.target.endpoint, outcome.observed.address
        return self._evidence(outcome, self._sources.known(endpoint, address))

    async def close(self) -> None:
        """Stop gathering."""
        for host, family in list(self._outages):
            self._end(host, family)
        await asyncio.sleep(0)

    def recover(self, target: Target) -> None:
        """End the outage of a target; that of its host ends with the last of them."""
        if not self._outages:
            return
        key = target.endpoint.host, target.ip_family
        if outage := self._outages.get(key):
            outage.failing.discard(target.key)
            if not outage.failing:
                self._end(*key)

    def _end(self, host: str, family: IpFamily) -> None:
        outage = self._outages.pop((host, family))
        for task in outage.tasks.union(*(port.tasks for port in outage.ports.values())):
            task.cancel()

    def _last_address(self, target: Target) -> str | None:
        last = self._store[target.key].last_success if self._store.holds(target) else None
        return last.observed.address if last else None

    def _once(self, port: _Port, what: str, work: Coroutine[Any, Any, None]) -> None:
        if what in port.begun:
            work.close()
        else:
            port.begun.add(what)
            self._start(port.tasks, work)

    def _start(self, tasks: set[asyncio.Task[None]], work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work, name="evidence")
        tasks.add(task)

        def done(task: asyncio.Task[None]) -> None:
            tasks.discard(task)
            if not task.cancelled() and (fault := task.exception()):
                log.error("fault in gathering evidence", exc_info=fault)

        task.add_done_callback(done)

    async def _gather(self, outage: _Outage, target: Target, address: str | None) -> None:
        async with self._hosts:
            outage.found = await self._sources.gather(target.endpoint, target.ip_family, address)

    async def _trace(self, port: _Port, address: str, number: int) -> None:
        async with self._paths:
            port.trace, port.trace_web = await self._tracer.trace(address, number)

    async def _try_others(self, port: _Port, target: Target, address: str) -> None:
        async with self._paths:
            port.addresses = await other_addresses(target, address, self._resolver)

    def _together(self, outcome: Outcome, outage: _Outage, port: _Port, address: str | None) -> Evidence:
        before = self._farthest.get(address or "")
        for trace in (port.trace, port.trace_web):
            if trace is not None and trace.last_answer is not None:
                self._farthest[trace.address] = max(trace.last_answer, self._farthest.get(trace.address, 0))
                self._farthest.move_to_end(trace.address)
        while len(self._farthest) > MAX_PATHS:
            self._farthest.popitem(last=False)
        return self._evidence(
            outcome,
            outage.found,
            trace=port.trace,
            trace_web=port.trace_web,
            farthest_hop=before,
            addresses=port.addresses,
            is_pending=outage.found is None or bool(port.tasks),
        )

    def _evidence(self, outcome: Outcome, found: Found | None, **more: Any) -> Evidence:
        tls, target = outcome.observed.tls, outcome.target
        series = self._store[target.key] if self._store.holds(target) else None
        return Evidence(
            at=time.time(),
            tcp=outcome.observed.tcp,
            siblings=self._census.siblings(outcome),
            public_root=tls.public_root if tls else None,
            was_reached=series.last_success is not None if series else None,
            **(found._asdict() if found else {}),
            **more,
        )
