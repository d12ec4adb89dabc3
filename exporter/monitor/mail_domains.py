"""The mail domains among the endpoints: which exchanges each has now, and what was found wrong with it.

A domain is looked up once in its interval, when it is due as any target is. Its exchanges are targets of their own, and
come and go with what is found. A look-up that fails keeps those of the last one that did not.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import structlog
from aiodns.error import DNSError

from exporter.domains import exchanges
from exporter.domains.exchanges import NullMx
from exporter.model.domain import Exchange, Finding
from exporter.model.outcome import Phase, Target
from exporter.model.reason import Reason
from exporter.model.settings import Endpoint
from exporter.monitor.store import Store
from exporter.probing.classify import classify, describe
from exporter.probing.resolve import Resolver

SETTLING = 0.1
"""Seconds in which changes of several domains become one: hundreds are looked up at the start."""

log = structlog.get_logger("domain")


@dataclass(slots=True)
class MailDomain:
    """What is known of one domain."""

    endpoint: Endpoint
    exchanges: tuple[Exchange, ...] = ()
    is_known: bool = False
    """Whether a look-up has told the exchanges, or that there are none."""
    failure: Finding | None = None
    """Why the last look-up failed."""
    version: int = 0
    """The number of times that something was found."""
    told: frozenset[Finding] = field(default_factory=frozenset)
    """What was logged."""

    @property
    def name(self) -> str:
        """The domain."""
        return self.endpoint.domain or ""

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What is wrong with it now."""
        found = [self.failure] if self.failure else []
        if self.endpoint.expect and self.is_known and not self.as_expected:
            hosts = ", ".join(sorted(one.host for one in self.exchanges)) or "none"
            detail = f"expected {', '.join(self.endpoint.expect)}; found {hosts}"
            found.append(Finding(Reason.MX_RECORDS_CHANGED, detail))
        return tuple(found)

    @property
    def as_expected(self) -> bool:
        """Whether it has exactly the exchanges of `expect`."""
        return {one.host for one in self.exchanges} == set(self.endpoint.expect)

    @property
    def targets(self) -> list[Target]:
        """The series of each of its exchanges."""
        return [target for one in self.exchanges for target in Target.of(self.endpoint.at(one.host))]

    @property
    def look_up(self) -> Target:
        """What is due once in an interval: no exchange, but the domain itself."""
        return Target(self.endpoint, self.endpoint.ip_family)


class MailDomains:
    """The domains of a configuration. `changed` is called after their exchanges have changed."""

    def __init__(self, resolver: Resolver, store: Store, changed: Callable[[], None]) -> None:
        self._resolver = resolver
        self._store = store
        self._changed = changed
        self._domains: dict[str, MailDomain] = {}
        self._timer: asyncio.TimerHandle | None = None

    def __iter__(self) -> Iterator[MailDomain]:
        return iter(self._domains.values())

    def get(self, name: str) -> MailDomain | None:
        """Return the domain of an endpoint; None where it has none."""
        return self._domains.get(name)

    def configure(self, endpoints: Iterable[Endpoint]) -> list[Target]:
        """Keep exactly the domains of these endpoints, and return all targets: those of hosts, and the exchanges."""
        domains: dict[str, MailDomain] = {}
        targets: list[Target] = []
        for endpoint in endpoints:
            if endpoint.domain is None:
                targets += Target.of(endpoint)
                continue
            known = self._domains.get(endpoint.name)
            if known is None or known.name != endpoint.domain:
                known = MailDomain(endpoint)
            known.endpoint = endpoint
            domains[endpoint.name] = known
            targets += known.targets
        self._domains = domains
        return targets

    def is_up(self, domain: MailDomain) -> bool | None:
        """Whether a server with mail for the domain reaches an exchange of it; None while that is not known."""
        if not domain.exchanges:
            return False if domain.is_known or domain.failure else None
        last = [series.last for series in self._store.of_endpoint(domain.endpoint.name)]
        if any(outcome and outcome.up for outcome in last):
            return True
        return None if None in last or not last else False

    async def look_up(self, target: Target) -> None:
        """Look up a domain now."""
        domain = self._domains.get(target.endpoint.name)
        if domain is None or domain.endpoint != target.endpoint:
            return  # a reload has changed it
        before = domain.exchanges
        await self.renew(domain)
        if domain.exchanges != before:
            log.info("exchanges", **_facts(domain), hosts=[one.host for one in domain.exchanges])
            self._settle()
        self._tell(domain)

    async def renew(self, domain: MailDomain) -> None:
        """Look up the exchanges of a domain."""
        before = domain.exchanges
        found, failure, is_known = before, None, True
        try:
            async with asyncio.timeout(domain.endpoint.timeout):
                found = await exchanges.look_up(self._resolver, domain.name)
        except NullMx as error:
            found, failure = (), Finding(Reason.MX_NULL, str(error))
        except (DNSError, TimeoutError) as error:
            reason = classify(error, Phase.RESOLVE, domain.endpoint.protocol)
            detail = "the MX look-up: no answer in time" if isinstance(error, TimeoutError) else describe(error)
            failure, is_known = Finding(reason, detail), domain.is_known
        domain.failure, domain.is_known, domain.exchanges = failure, is_known, found
        domain.version += 1

    def _settle(self) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(SETTLING, self._tell_changed)

    def _tell_changed(self) -> None:
        self._timer = None
        self._changed()

    def _tell(self, domain: MailDomain) -> None:
        """Log what is wrong now and was not before, and what is right again."""
        found = frozenset(domain.findings)
        for finding in domain.findings:
            if finding not in domain.told:
                facts = {"reason": finding.reason.value, "detail": finding.detail, "remedy": finding.remedy}
                log.warning("domain failing", **_facts(domain), **facts)
        if domain.told and not found:
            log.info("domain recovered", **_facts(domain))
        domain.told = found

    def close(self) -> None:
        """Forget what would be told later."""
        if self._timer is not None:
            self._timer.cancel()


def _facts(domain: MailDomain) -> dict[str, Any]:
    return {"endpoint": domain.endpoint.name, "domain": domain.name}
