"""The policies of one domain: looked up again and again, and what is wrong with them.

The TXT records are looked up each time, and those of TLSA where DNSSEC authenticates the domain, else hourly; the
policy is fetched hourly, and at once when the id of its record changes. What cannot be looked up or fetched keeps what
was known before, as senders do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

from aiodns.error import DNSError

from exporter.domains import dane, mta_sts, tls_rpt, txt
from exporter.domains.dane import DaneFacts
from exporter.model.address import is_address_literal
from exporter.model.domain import Change, Exchange, Finding, Mode, Policy
from exporter.model.outcome import Phase
from exporter.model.reason import Blame, Reason
from exporter.model.settings import Endpoint
from exporter.probing.classify import classify, describe
from exporter.probing.resolve import Resolver

FETCH_INTERVAL = 3600.0
"""Seconds between two fetches of a policy whose id stays the same."""

RETRY_INTERVAL = 300.0
"""Seconds after which a fetch that failed is tried again (RFC 8461 §3.3)."""

CHANGED_FOR = 3600.0
"""Seconds for which a change is told."""


MAX_SHOWN = 8
"""Patterns of a policy, or TLSA records of an exchange, that are shown: a policy of 64 KiB has thousands."""


@dataclass(slots=True)
class MtaSts:
    """The MTA-STS policy of a domain, as a sender knows it. Times are Unix seconds."""

    policy_id: str | None = None
    policy: Policy | None = None
    fetched_at: float = 0.0
    tried_at: float = 0.0
    change: Change | None = None
    """When the policy changed last."""
    is_looked_up: bool = False
    """Whether this process has looked up the record."""
    record_failure: Finding | None = None
    fetch_failure: Finding | None = None

    def in_force(self, now: float) -> Policy | None:
        """The policy that senders go by; None where there is none, or it has expired (RFC 8461 §3.3)."""
        return self.policy if self.policy and now - self.fetched_at <= self.policy.max_age else None

    def restore(self, past: MtaSts, now: float) -> None:
        """Go on with what an earlier process knew, unless this one has fetched the policy already.

        RFC 8461 §3.3: a sender keeps a policy for its `max_age`, whether it can be fetched again or not.
        """
        if self.policy is None:
            self.policy, self.fetched_at = past.policy, past.fetched_at
            self.policy_id = self.policy_id or (None if self.is_looked_up else past.policy_id)
            self.change = past.change
        elif past.policy and past.policy != self.policy:
            self.change = Change(now, _difference(past.policy, self.policy))
        else:
            self.change = self.change or past.change

    async def renew(self, resolver: Resolver, endpoint: Endpoint, now: float) -> None:
        """Look up the record, and fetch the policy where that is due."""
        domain, seconds = endpoint.domain or "", endpoint.timeout
        before = self.policy_id
        try:
            async with asyncio.timeout(seconds):
                self.policy_id = await mta_sts.look_up_id(resolver, domain)
            self.record_failure, self.is_looked_up = None, True
        except (DNSError, TimeoutError) as error:
            self.record_failure = lookup_failure(error, f"_mta-sts.{domain}", endpoint)
            return
        except txt.Ambiguous as error:
            self.policy_id, self.record_failure = None, Finding(Reason.MTA_STS_TXT_AMBIGUOUS, str(error))
        except mta_sts.Invalid as error:
            self.policy_id, self.record_failure = None, Finding(Reason.MTA_STS_POLICY_INVALID, str(error))
        if self.policy_id is None:
            self.fetch_failure = None
            if self.in_force(now) is None:
                self.policy = None  # it is over, and the domain announces no other
            return
        is_new = self.policy_id != before
        # A sender with mail for the domain fetches a policy that is over, too: max_age may be less than an hour.
        wait = RETRY_INTERVAL if self.fetch_failure else FETCH_INTERVAL if self.in_force(now) else 0.0
        if is_new or now - self.tried_at >= wait:
            await self._fetch(resolver, endpoint, domain, seconds, now)

    async def _fetch(self, resolver: Resolver, endpoint: Endpoint, domain: str, seconds: float, now: float) -> None:
        self.tried_at = now
        try:
            policy = await mta_sts.fetch(resolver, domain, endpoint.tls, seconds)
        except DNSError as error:
            self.fetch_failure = lookup_failure(error, mta_sts.host_of(domain), endpoint)
            return
        except mta_sts.Unreachable as error:
            reason = Reason.MTA_STS_POLICY_UNREACHABLE
            self.fetch_failure = Finding(reason, str(error), is_certain=error.is_certain)
            return
        except mta_sts.Invalid as error:
            self.fetch_failure = Finding(Reason.MTA_STS_POLICY_INVALID, str(error))
            return
        if self.policy and policy != self.policy:
            self.change = Change(now, _difference(self.policy, policy))
        self.policy, self.fetched_at, self.fetch_failure = policy, now, None

    def findings(self, endpoint: Endpoint, exchanges: Sequence[Exchange], now: float) -> Iterator[Finding]:
        """Yield what is wrong."""
        policy = self.in_force(now)
        yield from filter(None, (self.record_failure, self.fetch_failure))
        # RFC 8461 §8.3: a policy of mode none is taken back by removing its record.
        is_wanted = endpoint.expect_mta_sts or (policy is not None and policy.mode is not Mode.NONE)
        if self.policy_id is None and self.record_failure is None and is_wanted:
            yield Finding(Reason.MTA_STS_TXT_MISSING, f"_mta-sts.{endpoint.domain} has no TXT record of a policy")
        if self.policy and policy is None and (failure := self.record_failure or self.fetch_failure):
            age = f"its max_age of {self.policy.max_age:.0f} s is over"
            detail = f"the policy could not be fetched again, and {age}"
            is_certain = failure.blame is not Blame.UNKNOWN
            yield Finding(Reason.MTA_STS_POLICY_EXPIRED, detail, is_certain=is_certain)
        if self.change and now - self.change.at < CHANGED_FOR:
            yield Finding(Reason.MTA_STS_POLICY_CHANGED, self.change.text)
        if policy is None or policy.mode is Mode.NONE:
            return
        if policy.mode is Mode.TESTING:
            yield Finding(Reason.MTA_STS_TESTING, "mode: testing")
        for exchange in exchanges:
            if not policy.covers(exchange.host):
                detail = f"mode {policy.mode}; mx: {_shown(policy.patterns)}"
                yield Finding(Reason.MTA_STS_MX_MISMATCH, detail, exchange.host)


@dataclass(slots=True)
class Policies:
    """All policies of one domain."""

    mta_sts: MtaSts = field(default_factory=MtaSts)
    tls_rpt: bool | None = None
    """Whether the domain asks for reports; None while that is not known."""
    tls_rpt_at: float = 0.0
    tls_rpt_failure: Finding | None = None
    dane: dict[str, DaneFacts] = field(default_factory=dict)
    """By exchange; empty where no resolver is believed."""
    dane_at: float = 0.0
    """When the TLSA records of all exchanges, and whether these are aliases, were last looked up as they are hourly."""
    tlsa_change: Change | None = None
    """When the TLSA records of an exchange changed last."""
    mx_authenticated: bool | None = None
    """Whether DNSSEC authenticates the MX records; None where no resolver is believed, or no look-up has succeeded."""

    def restore(self, past: Policies, now: float) -> None:
        """Go on with what an earlier process knew."""
        self.mta_sts.restore(past.mta_sts, now)
        self.tlsa_change = self.tlsa_change or past.tlsa_change
        if self.mx_authenticated is None:
            self.mx_authenticated = past.mx_authenticated
        for host, before in past.dane.items():
            if not (known := self.dane.get(host, DaneFacts())).is_known:
                self.dane[host] = replace(before, failure=known.failure)
            else:
                self._compare(host, before, known, now)

    async def renew(self, resolver: Resolver, endpoint: Endpoint, exchanges: Sequence[Exchange], now: float) -> None:
        """Look up everything that is due, each within the endpoint's timeout; what fails keeps what was known."""
        await asyncio.gather(
            self.mta_sts.renew(resolver, endpoint, now),
            self._renew_tls_rpt(resolver, endpoint, now),
            self._renew_dane(resolver, endpoint, exchanges, now),
        )

    async def _renew_tls_rpt(self, resolver: Resolver, endpoint: Endpoint, now: float) -> None:
        if self.tls_rpt is not None and now - self.tls_rpt_at < FETCH_INTERVAL:
            return
        domain = endpoint.domain or ""
        try:
            async with asyncio.timeout(endpoint.timeout):
                self.tls_rpt = await tls_rpt.is_announced(resolver, domain)
            self.tls_rpt_at, self.tls_rpt_failure = now, None
        except (DNSError, TimeoutError) as error:
            self.tls_rpt_failure = lookup_failure(error, tls_rpt.name_of(domain), endpoint)

    async def _renew_dane(
        self, resolver: Resolver, endpoint: Endpoint, exchanges: Sequence[Exchange], now: float
    ) -> None:
        from exporter.domains import dnssec  # noqa: PLC0415 (dnspython takes 3 MB, which only a domain needs)

        servers = dnssec.believed(resolver.nameservers, endpoint.trusted_resolvers)
        if not servers:
            self.dane, self.mx_authenticated = {}, None
            return
        await self._authenticate(servers, endpoint)
        # An address in place of a name has no records; the probe says what is wrong.
        hosts = [exchange.host for exchange in exchanges if not is_address_literal(exchange.host)]
        # RFC 7672 §2.2.1: without authenticated MX records nobody goes by those of TLSA. Most domains have neither, and
        # to ask for five exchanges costs half a probe. No exchange may be an alias: whether one is, is asked hourly.
        is_hour_over = now - self.dane_at >= FETCH_INTERVAL
        is_due = self.mx_authenticated is not False or is_hour_over
        self.dane = {host: self.dane.get(host, DaneFacts()) for host in hosts}
        asked = {host: facts for host, facts in self.dane.items() if is_due or facts.failure or not facts.is_known}
        port, seconds = endpoint.port, endpoint.timeout
        found = await asyncio.gather(
            *(
                dane.look_up(
                    servers, host, port, seconds, may_be_alias=is_hour_over or facts.is_alias or not facts.is_known
                )
                for host, facts in asked.items()
            )
        )
        self.dane_at = now if is_hour_over else self.dane_at
        for host, one in zip(asked, found, strict=True):
            before = self.dane[host]
            # What cannot be looked up now is as it was: a sender waits, too.
            self.dane[host] = one if one.is_known else replace(before, failure=one.failure)
            self._compare(host, before, self.dane[host], now)

    async def _authenticate(self, servers: Sequence[tuple[str, int]], endpoint: Endpoint) -> None:
        """Look up whether the MX records are authenticated; that it fails is told by the look-up of the exchanges."""
        from exporter.domains import dnssec  # noqa: PLC0415

        with suppress(dnssec.LookupFailed, TimeoutError):
            async with asyncio.timeout(endpoint.timeout):
                answer = await dnssec.ask(servers, endpoint.domain or "", "MX", reads_records=False)
                self.mx_authenticated = answer.authenticated

    def _compare(self, host: str, before: DaneFacts, after: DaneFacts, now: float) -> None:
        """Keep that the TLSA records of an exchange have changed, if they have."""
        if before.is_known and not before.is_as(after):
            text = f"{host}: {_records(before)} before; {_records(after)} now"
            self.tlsa_change = Change(now, text)

    def tlsa_of(self, host: str) -> DaneFacts | None:
        """Return the TLSA records of an exchange, usable or not; None where DANE does not apply to it.

        RFC 7672 §2.2.1: the MX records must be authenticated, too.
        """
        facts = self.dane.get(host)
        return facts if facts and facts.exist and facts.authenticated and self.mx_authenticated else None

    def findings(self, endpoint: Endpoint, exchanges: Sequence[Exchange], now: float) -> Iterator[Finding]:
        """Yield what is wrong."""
        yield from self.mta_sts.findings(endpoint, exchanges, now)
        if self.tls_rpt_failure:
            yield self.tls_rpt_failure
        for host, facts in self.dane.items():
            if facts.failure:
                yield facts.failure
            if facts.exist and not facts.authenticated:
                yield Finding(Reason.DANE_UNAUTHENTICATED, "the TLSA records are not authenticated by DNSSEC", host)
            elif facts.exist and self.mx_authenticated is False:
                yield Finding(Reason.DANE_UNAUTHENTICATED, "the MX records are not authenticated by DNSSEC", host)


def lookup_failure(error: Exception, name: str, endpoint: Endpoint) -> Finding:
    """Return what is wrong where a look-up failed."""
    said = "no answer in time" if isinstance(error, TimeoutError) else describe(error)
    return Finding(classify(error, Phase.RESOLVE, endpoint.protocol), f"the look-up of {name}: {said}")


def _records(facts: DaneFacts) -> str:
    unreadable = [f"{facts.unreadable} that make no sense"] if facts.unreadable else []
    return _shown(sorted(map(str, facts.records)) + unreadable)


def _shown(texts: Sequence[str]) -> str:
    return ", ".join([*texts[:MAX_SHOWN], *(["…"] if len(texts) > MAX_SHOWN else [])]) or "none"


def _difference(before: Policy, after: Policy) -> str:
    """Return what a policy says now, and what it said before."""
    changed = [
        f"{name} was {old} and is {new}"
        for name, old, new in (
            ("mode", before.mode, after.mode),
            ("mx", _shown(before.patterns), _shown(after.patterns)),
            ("max_age", f"{before.max_age:.0f}", f"{after.max_age:.0f}"),
        )
        if old != new
    ]
    return "; ".join(changed)
