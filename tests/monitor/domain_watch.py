"""Mail domains watched as the daemon does, round by round: what they are in the DNS, and what is exposed of them."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from prometheus_client.parser import text_string_to_metric_families

from exporter.accounts.ledger import Ledger
from exporter.exposition.cache import Exposition
from exporter.exposition.text import Format
from exporter.model.settings import Endpoint
from exporter.monitor.checker import Checker
from exporter.monitor.instruments import ExporterMetrics
from exporter.monitor.mail_domains import MailDomain, MailDomains
from exporter.monitor.store import Store
from exporter.probing.resolve import Resolver

if TYPE_CHECKING:
    from tests.servers.authority import Certificate

Sample = tuple[str, Mapping[str, str], float]


@dataclass
class Watch:
    """What the daemon has of mail domains, without its schedule; `close` it at the end."""

    resolver: Resolver
    endpoints: list[Endpoint]
    store: Store = field(default_factory=Store)

    def __post_init__(self) -> None:
        self._ledger = Ledger()
        self.domains = MailDomains(self.resolver, self.store, self.arrange)
        self._checker = Checker(self.store, self.resolver, self._ledger, {})
        self._checker.policies = self.domains
        self._exposition = Exposition(self.store, ExporterMetrics(), domains=self.domains)
        self.arrange()

    def domain(self, name: str) -> MailDomain:
        """Return the domain of an endpoint."""
        found = self.domains.get(name)
        assert found is not None
        return found

    async def round(self, at_once: int = 100) -> None:
        """Look up every domain once, and then probe every exchange once, so many together: as in an interval."""
        self.resolver._born = -1e9  # c-ares has a cache, of a second
        free = asyncio.Semaphore(at_once)

        async def wait_for(work: Awaitable[object]) -> None:
            async with free:
                await work

        await asyncio.gather(*(wait_for(self.domains.look_up(domain.look_up)) for domain in list(self.domains)))
        self.arrange()
        await asyncio.gather(*(wait_for(self._checker.check(series.target)) for series in list(self.store)))

    @property
    def samples(self) -> list[Sample]:
        """What is exposed of the domains and their exchanges."""
        text = b"".join(self._exposition.pieces(Format.TEXT)).decode()
        return [
            (sample.name, sample.labels, sample.value)
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if "endpoint" in sample.labels
        ]

    def values(self, name: str, label: str, endpoint: str) -> dict[str, float]:
        """Return the samples of a name at an endpoint, by the value of a label."""
        return {
            labels.get(label, ""): value
            for sample, labels, value in self.samples
            if sample == name and labels["endpoint"] == endpoint
        }

    async def close(self) -> None:
        """Close what it has opened."""
        self.domains.close()
        await self._checker.close()
        self._ledger.close()
        await self.resolver.close()

    def arrange(self) -> None:
        """Watch exactly these endpoints, and the exchanges that are known now."""
        self.store.configure(self.domains.configure(self.endpoints))


def tlsa_of(certificate: Certificate) -> str:
    """Return the TLSA record of a certificate's key."""
    key = certificate.leaf.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return f"3 1 1 {hashlib.sha256(key).hexdigest()}"


def zone_of(domain: str, exchanges: Iterable[str], txt: Iterable[str], reports: Iterable[str]) -> str:
    """Return the records of a domain below a zone, or of it (@): MX, and what announces its policy and its reports."""
    below = "" if domain == "@" else f".{domain}"
    lines = [f"{domain} MX {exchange}" for exchange in exchanges]
    lines += [f'_mta-sts{below} TXT "{text}"' for text in txt]
    lines += [f'_smtp._tls{below} TXT "{text}"' for text in reports]
    return "\n".join(lines)
