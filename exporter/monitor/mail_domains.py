"""The mail domains among the endpoints: which exchanges each has now, and what was found wrong with it.

A domain is looked up once in its interval, when it is due as any target is. Its exchanges are targets of their own, and
come and go with what is found. A look-up that fails keeps those of the last one that did not.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import structlog
from aiodns.error import DNSError

from exporter.domains import exchanges
from exporter.domains.exchanges import MAX_EXCHANGES, NullMx
from exporter.domains.policies import CHANGED_FOR, Policies, lookup_failure
from exporter.model.domain import Change, Dane, Exchange, ExchangesFound, Finding, Mode, Policy, merged
from exporter.model.outcome import Outcome, Phase, Target
from exporter.model.reason import Reason
from exporter.model.settings import Endpoint, IpFamily
from exporter.monitor.checker import ExchangePolicies
from exporter.monitor.store import Store
from exporter.probing.resolve import Resolver

SETTLING = 0.1
"""Seconds in which changes of several domains become one: hundreds are looked up at the start."""

log = structlog.get_logger("domain")


@dataclass(slots=True)
class MailDomain:
    """What is known of one domain."""

    endpoint: Endpoint
    exchanges: tuple[Exchange, ...] = ()
    left_out: int = 0
    """Exchanges beside them that are not probed, for there are too many."""
    is_known: bool = False
    """Whether a look-up has told the exchanges, or that there are none."""
    failure: Finding | None = None
    """Why the last look-up failed."""
    policies: Policies = field(default_factory=Policies)
    change: Change | None = None
    """When its exchanges changed last."""
    version: int = 0
    """The number of times that something was found."""
    probed: dict[tuple[str, IpFamily], tuple[bool | None, Finding | None]] = field(default_factory=dict)
    """What the last probe of an exchange shows, by its address family: whether its certificate matches the TLSA records
    that are in force, and why senders that go by its policies refuse it."""
    told: frozenset[Finding] = field(default_factory=frozenset)
    """What was logged."""
    told_tlsa: Change | None = None
    """The change of TLSA records that was logged."""
    clock: Callable[[], float] = time.time
    """Returns Unix seconds."""

    @property
    def name(self) -> str:
        """The domain."""
        return self.endpoint.domain or ""

    @property
    def is_gone(self) -> bool:
        """Whether the DNS says that there is no such domain: mail for it is sent back at once."""
        return self.failure is not None and self.failure.reason is Reason.DNS_NOT_FOUND

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What is wrong with it now."""
        found, now = [self.failure] if self.failure else [], self.clock()
        if self.endpoint.expect and self.is_known and not self.as_expected:
            hosts = ", ".join(sorted(one.host for one in self.exchanges)) or "none"
            more = f" and {self.left_out} more" if self.left_out else ""
            detail = f"expected {', '.join(self.endpoint.expect)}; found {hosts}{more}"
            found.append(Finding(Reason.MX_RECORDS_CHANGED, detail))
        elif not self.endpoint.expect and self.change and now - self.change.at < CHANGED_FOR:
            found.append(Finding(Reason.MX_RECORDS_CHANGED, self.change.text))
        found += self.policies.findings(self.endpoint, self.exchanges, now)
        found += dict.fromkeys(refused for _, refused in self.probed.values() if refused)
        return merged(found)

    @property
    def policy(self) -> Policy | None:
        """The MTA-STS policy that is in force."""
        return self.policies.mta_sts.in_force(self.clock())

    @property
    def dane(self) -> Mapping[str, bool]:
        """By exchange: whether its certificate matches its TLSA records, at each of its addresses."""
        found: dict[str, bool] = {}
        for (host, _), (matches, _) in self.probed.items():
            if matches is not None:
                found[host] = matches and found.get(host, True)
        return found

    def learn(self, target: Target, dane: bool | None, refused: Finding | None) -> None:
        """Keep what the last probe of an exchange shows: whether it matches its TLSA records, and why it is refused."""
        key = target.endpoint.host, target.ip_family
        if self.probed.get(key, (None, None)) != (dane, refused):
            self.version += 1
            self.probed[key] = dane, refused

    @property
    def changes(self) -> Mapping[str, Change]:
        """What has changed last, by the records: `mx`, `mta_sts` or `tlsa`."""
        policies = self.policies
        found = {"mx": self.change, "mta_sts": policies.mta_sts.change, "tlsa": policies.tlsa_change}
        return {records: change for records, change in found.items() if change}

    def changed(self, before: Sequence[Exchange]) -> None:
        """Keep that the exchanges are not those of before."""
        self.change = Change(self.clock(), f"{_shown(before)} before; {_shown(self.exchanges)} now")

    def restore(self, past: MailDomain) -> None:
        """Go on with what an earlier process knew; what this one has looked up counts, and what has changed is told."""
        if not self.is_known and past.exchanges:
            self.exchanges, self.is_known, self.change = past.exchanges, True, past.change
        elif self.is_known and past.exchanges and past.exchanges != self.exchanges:
            self.changed(past.exchanges)
        else:
            self.change = self.change or past.change
        self.told_tlsa = past.policies.tlsa_change
        self.policies.restore(past.policies, self.clock())
        self.version += 1

    @property
    def as_expected(self) -> bool:
        """Whether it has exactly the exchanges of `expect`."""
        return not self.left_out and {one.host for one in self.exchanges} == set(self.endpoint.expect)

    @property
    def targets(self) -> list[Target]:
        """The series of each of its exchanges."""
        return [target for one in self.exchanges for target in Target.of(self.endpoint.at(one.host))]

    @property
    def look_up(self) -> Target:
        """What is due once in an interval: no exchange, but the domain itself."""
        return Target(self.endpoint, self.endpoint.ip_family)


class MailDomains(ExchangePolicies):
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
            elif known.endpoint.port != endpoint.port:
                known.policies.dane = {}  # TLSA records are of a port
            known.endpoint = endpoint
            domains[endpoint.name] = known
            targets += known.targets
        self._domains = domains
        return targets

    def is_up(self, domain: MailDomain) -> bool | None:
        """Whether a server with mail for the domain reaches an exchange of it; None while that is not known."""
        if domain.is_gone:
            return False
        if not domain.exchanges:
            return False if domain.is_known or domain.failure else None
        last = [series.last for series in self._store.of_endpoint(domain.endpoint.name)]
        if any(outcome and outcome.up for outcome in last):
            return True
        return None if None in last or not last else False

    def restored(self) -> None:
        """Probe the exchanges that an earlier process knew, and tell what is not as it was."""
        if self._domains:
            self._changed()
        for domain in self:
            if domain.policies.mta_sts.is_looked_up:
                self._tell(domain)

    async def look_up(self, target: Target) -> None:
        """Look up a domain now."""
        domain = self._domains.get(target.endpoint.name)
        if domain is None or domain.endpoint != target.endpoint:
            return  # a reload has changed it
        before, left_out = domain.exchanges, domain.left_out
        await self.renew(domain)
        if domain.exchanges != before:
            log.info("exchanges", **_facts(domain), hosts=[one.host for one in domain.exchanges])
            self._settle()
        if domain.left_out not in (0, left_out):
            log.warning(
                "exchanges not probed", **_facts(domain), probed=len(domain.exchanges), left_out=domain.left_out
            )
        await self.renew_policies(domain)
        self._tell(domain)

    async def renew_policies(self, domain: MailDomain) -> None:
        """Look up the policies of a domain."""
        await domain.policies.renew(self._resolver, domain.endpoint, domain.exchanges, domain.clock())
        hosts = {one.host for one in domain.exchanges}
        domain.probed = {key: shown for key, shown in domain.probed.items() if key[0] in hosts}
        domain.version += 1

    def tlsa(self, target: Target) -> Dane | None:
        """As `ExchangePolicies.tlsa`."""
        domain, host = self._domains.get(target.endpoint.name), target.endpoint.host
        facts = domain.policies.tlsa_of(host) if domain else None
        if domain is None or facts is None or not facts.in_force:
            return None
        return Dane(facts.in_force, tuple(dict.fromkeys((facts.base or host, host, domain.name))))

    def enforced(self, outcome: Outcome) -> Outcome:
        """As `ExchangePolicies.enforced`.

        RFC 8461 §5: under `enforce`, senders deliver to no exchange whose certificate is not trusted or that has no
        STARTTLS. Where TLSA records have decided, they have done so for good (RFC 8461 §2). RFC 7672 §2.2: records that
        nobody can use still demand TLS, whatever the certificate.
        """
        endpoint, observed = outcome.target.endpoint, outcome.observed
        domain = self._domains.get(endpoint.name)
        if domain is None:
            return outcome
        policy, refused = domain.policy, None
        if outcome.reason is Reason.DANE_MISMATCH:
            refused = Finding(outcome.reason, outcome.detail, endpoint.host)
        elif outcome.reason is Reason.STARTTLS_UNAVAILABLE and self.tlsa(outcome.target):
            refused = Finding(Reason.DANE_MISMATCH, f"{outcome.reason}: {outcome.detail}", endpoint.host)
        elif observed.tls_fault is Reason.STARTTLS_UNAVAILABLE and domain.policies.tlsa_of(endpoint.host):
            detail = f"{observed.tls_fault}: {observed.tls_fault_detail}"
            refused = Finding(Reason.DANE_MISMATCH, detail, endpoint.host)
        elif observed.tls_fault and outcome.up and policy and policy.demands_tls_of(endpoint.host):
            detail = f"{observed.tls_fault}: {observed.tls_fault_detail}"
            refused = Finding(Reason.MTA_STS_CERTIFICATE, detail, endpoint.host)
        domain.learn(outcome.target, observed.dane, refused)
        is_enforced = policy is not None and policy.mode is Mode.ENFORCE
        if outcome.up and refused and (is_enforced or refused.reason is Reason.DANE_MISMATCH):
            return replace(outcome, phase=Phase.TLS, reason=refused.reason, detail=refused.detail)
        return outcome

    async def renew(self, domain: MailDomain) -> None:
        """Look up the exchanges of a domain."""
        looked_up = await look_up_exchanges(self._resolver, domain.endpoint)
        failure, before = looked_up.failure, domain.exchanges
        is_known = failure is None or failure.reason is Reason.MX_NULL
        found = looked_up.exchanges if is_known else before
        if domain.is_known and before and found != before:
            domain.exchanges = found
            domain.changed(before)
        domain.failure, domain.is_known, domain.exchanges = failure, is_known or domain.is_known, found
        domain.left_out = looked_up.left_out if is_known else domain.left_out
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
        if (change := domain.policies.tlsa_change) and change != domain.told_tlsa:
            log.info("TLSA records changed", **_facts(domain), change=change.text)
            domain.told_tlsa = change
        if domain.told and not found:
            log.info("domain recovered", **_facts(domain))
        domain.told = found

    def close(self) -> None:
        """Forget what would be told later."""
        if self._timer is not None:
            self._timer.cancel()


async def look_up_exchanges(resolver: Resolver, endpoint: Endpoint) -> ExchangesFound:
    """Look up the exchanges of an endpoint's domain, within its timeout."""
    found: tuple[Exchange, ...] = ()
    began, failure, name = time.monotonic(), None, endpoint.domain or ""
    try:
        async with asyncio.timeout(endpoint.timeout):
            found = await exchanges.look_up(resolver, name)
    except NullMx as error:
        failure = Finding(Reason.MX_NULL, str(error))
    except (DNSError, TimeoutError) as error:
        failure = lookup_failure(error, f"the MX records of {name}", endpoint)
    left_out = max(0, len(found) - MAX_EXCHANGES)
    return ExchangesFound(found[:MAX_EXCHANGES], failure, time.monotonic() - began, left_out)


def _shown(exchanges: Sequence[Exchange]) -> str:
    return ", ".join(f"{one.preference} {one.host}" for one in exchanges) or "none"


def _facts(domain: MailDomain) -> dict[str, Any]:
    return {"endpoint": domain.endpoint.name, "domain": domain.name}
