"""The policies of a domain, on a clock of its own, with the records and the policy host that a test changes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from exporter.domains.policies import Policies
from exporter.model.domain import Exchange, Finding
from exporter.model.settings import Endpoint, Protocol, Security, Tls
from exporter.probing.resolve import Resolver
from tests.servers.bind import Bind
from tests.servers.policy_host import PolicyHost
from tests.waiting import PATIENCE

if TYPE_CHECKING:
    from tests.servers.authority import Authority

ZONE = """
@ MX 10 mx1
@ MX 20 mx2
mx1 A 127.0.0.1
mx2 A 127.0.0.1
mta-sts A 127.0.0.1
_mta-sts TXT "v=STSv1; id=1;"
_smtp._tls TXT "v=TLSRPTv1; rua=mailto:reports@example.com"
"""
DIGEST = hashlib.sha256(b"a key").hexdigest()
EXCHANGES = (Exchange(10, "mx1.example.com"), Exchange(20, "mx2.example.com"))


@dataclass
class Bench:
    """The policies of example.com, on a clock of its own."""

    bind: Bind
    address: str
    authority: Authority
    host: PolicyHost
    policies: Policies = field(default_factory=Policies)
    now: float = 1_800_000_000.0
    expect_mta_sts: bool = False
    domain: str = "example.com"
    timeout: float = PATIENCE
    trusted: tuple[str, ...] = ()

    @property
    def endpoint(self) -> Endpoint:
        return Endpoint(
            name="mx",
            protocol=Protocol.SMTP,
            domain=self.domain,
            port=25,
            security=Security.STARTTLS,
            tls=Tls(ca_file=self.authority.ca_file),
            expect_mta_sts=self.expect_mta_sts,
            timeout=self.timeout,
            trusted_resolvers=self.trusted,
        )

    @property
    def exchanges(self) -> tuple[Exchange, ...]:
        return tuple(Exchange(one.preference, one.host.replace("example.com", self.domain)) for one in EXCHANGES)

    async def renew(self, seconds: float = 0.0) -> list[Finding]:
        """Look everything up, so many seconds later."""
        self.now += seconds
        resolver = Resolver([self.address])
        try:
            await self.policies.renew(resolver, self.endpoint, self.exchanges, self.now)
        finally:
            await resolver.close()
        return self.findings

    @property
    def findings(self) -> list[Finding]:
        return list(self.policies.findings(self.endpoint, self.exchanges, self.now))


def txt(*records: str) -> Callable[[Bench], None]:
    """Make these the records of the policy."""
    return lambda bench: bench.bind.put("_mta-sts.example.com", "TXT", *(f'"{record}"' for record in records))
