"""What `/metrics` answers, from a cache of lines.

The lines of a target are rendered once per Outcome, each family by itself, and a scrape only joins them. To render
everything at each scrape would block the event loop, and with it the probes, for half a second at 1,000 endpoints.
prometheus_client renders the exporter's own metrics.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from exporter.accounts.access import Access
from exporter.exposition.deliveries import delivery_labels, delivery_samples
from exporter.exposition.gmail import ALL_FAMILIES, account_samples, base_labels, domain_samples, samples
from exporter.exposition.text import Format, Lines, Sample, render
from exporter.model.outcome import TargetKey
from exporter.monitor.delivery_series import DeliverySeries
from exporter.monitor.instruments import ExporterMetrics
from exporter.monitor.mail_domains import MailDomain, MailDomains
from exporter.monitor.store import Series, Store


@dataclass(slots=True)
class Exposition:
    """What `/metrics` answers."""

    store: Store
    exporter: ExporterMetrics
    accesses: Callable[[], Iterable[Access]] = tuple
    evidence: Callable[[], Iterable[Sample]] = tuple
    """Returns the samples of what is looked at besides the endpoints."""
    domains: MailDomains | None = None
    deliveries: Iterable[DeliverySeries] = ()
    _lines: dict[str, dict[TargetKey, bytes]] = field(
        default_factory=lambda: {family.metric.name: {} for family in ALL_FAMILIES}
    )
    """By family, then by target."""
    _rendered: dict[TargetKey, tuple[Series, int]] = field(default_factory=dict)
    """The series and its version from which the lines of a target were rendered."""
    _of_domains: dict[str, tuple[MailDomain, tuple[object, ...], Lines]] = field(default_factory=dict)
    """The lines of each domain, and what they were rendered from."""

    def pieces(self, fmt: Format) -> list[bytes]:
        """Return the body in pieces, as they are cached: with a thousand endpoints it has 5 MB."""
        self._catch_up()
        others = [render({"account": access.account.name}, account_samples(access)) for access in self.accesses()]
        others += self._domain_lines()
        others += [render(delivery_labels(series), delivery_samples(series)) for series in self.deliveries]
        pieces: list[bytes] = []
        if evidence := list(self.evidence()):
            others.append(render({}, evidence))
        for family in ALL_FAMILIES:
            name = family.metric.name
            lines = [*self._lines[name].values(), *(other[name] for other in others if name in other)]
            if lines:
                pieces += [family.head(fmt), *lines]
        # At the end, for in OpenMetrics it has the EOF mark.
        pieces.append(fmt.encode(self.exporter.registry))
        return pieces

    def refresh(self, series: Series) -> None:
        """Render the lines of a target now, rather than at the next scrape, which would have to render all at once."""
        key = series.target.key
        rendered = render(base_labels(series), samples(series))
        for name, of_family in self._lines.items():
            if text := rendered.get(name):
                of_family[key] = text
            else:
                of_family.pop(key, None)
        self._rendered[key] = series, series.version

    def _domain_lines(self) -> list[Lines]:
        """Return the lines of every domain, rendered again where something has changed."""
        before, self._of_domains = self._of_domains, {}
        for domain in self.domains or ():
            name = domain.endpoint.name
            is_up = self.domains.is_up(domain) if self.domains else None
            values = domain.version, is_up
            known = before.get(name)
            if known is None or known[0] is not domain or known[1] != values:
                base = {"endpoint": name, "domain": domain.name}
                known = domain, values, render(base, domain_samples(domain, is_up=is_up))
            self._of_domains[name] = known
        return [lines for _, _, lines in self._of_domains.values()]

    def _catch_up(self) -> None:
        """Render the targets that were probed since the last time, and drop those that are not configured any more."""
        for series in self.store:
            rendered_series, version = self._rendered.get(series.target.key, (None, 0))
            if rendered_series is not series or version != series.version:
                self.refresh(series)
        if len(self._rendered) > len(self.store):
            for key in self._rendered.keys() - {series.target.key for series in self.store}:
                del self._rendered[key]
                for of_family in self._lines.values():
                    of_family.pop(key, None)
