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
from exporter.exposition.domains import domain_samples
from exporter.exposition.gmail import ALL_FAMILIES, FAMILIES, account_samples, base_labels, samples
from exporter.exposition.text import Format, Lines, Samples, labels_text, render
from exporter.model.outcome import TargetKey
from exporter.monitor.delivery_series import DeliverySeries
from exporter.monitor.instruments import ExporterMetrics
from exporter.monitor.mail_domains import MailDomain, MailDomains
from exporter.monitor.store import Series, Store

TOGETHER = 16
"""Targets whose lines are rendered one after the other: each by itself, after other work, takes more than twice the
CPU, for neither code nor data are in the processor's caches then. Together they take half a millisecond."""


@dataclass(slots=True)
class _Rendered:
    """What the lines of a target were rendered from."""

    series: Series
    base: str
    """The text of the labels that all of them have."""
    place: int
    """Of its lines in each column."""
    version: int = -1


@dataclass(slots=True)
class Exposition:
    """What `/metrics` answers."""

    store: Store
    exporter: ExporterMetrics
    accesses: Callable[[], Iterable[Access]] = tuple
    evidence: Callable[[], Iterable[Samples]] = tuple
    """Returns the samples of what is looked at besides the endpoints."""
    domains: MailDomains | None = None
    deliveries: Iterable[DeliverySeries] = ()
    _columns: dict[str, list[bytes]] = field(default_factory=lambda: {family.name: [] for family in FAMILIES})
    """For each family the lines of each target, which has the same place in all; empty where it has none."""
    _free: list[int] = field(default_factory=list)
    """Places of targets that are gone."""
    _rendered: dict[TargetKey, _Rendered] = field(default_factory=dict)
    _probed: dict[TargetKey, Series] = field(default_factory=dict)
    """The targets that `refresh_soon` was called for."""
    _of_domains: dict[str, tuple[MailDomain, tuple[object, ...], Lines]] = field(default_factory=dict)
    """The lines of each domain, and what they were rendered from."""

    def pieces(self, fmt: Format) -> list[bytes]:
        """Return the body in pieces, as they are cached: with a thousand endpoints it has 5 MB."""
        self._catch_up()
        others = [
            render(labels_text(account=access.account.name), account_samples(access)) for access in self.accesses()
        ]
        others += self._domain_lines()
        others += [
            render(labels_text(**delivery_labels(series)), delivery_samples(series)) for series in self.deliveries
        ]
        pieces: list[bytes] = []
        if evidence := list(self.evidence()):
            others.append(render("", evidence))
        for family in ALL_FAMILIES:
            name = family.name
            lines = [*filter(None, self._columns.get(name, ())), *(other[name] for other in others if name in other)]
            if lines:
                pieces += [family.head(fmt), *lines]
        # At the end, for in OpenMetrics it has the EOF mark.
        pieces.append(fmt.encode(self.exporter.registry))
        return pieces

    def refresh(self, series: Series) -> None:
        """Render the lines of a target now, rather than at the next scrape, which would have to render all at once."""
        key = series.target.key
        rendered = self._rendered.get(key)
        if rendered is None or rendered.series is not series:
            place = self._take_place() if rendered is None else rendered.place
            rendered = self._rendered[key] = _Rendered(series, labels_text(**base_labels(series)), place)
        lines = render(rendered.base, samples(series))
        for name, column in self._columns.items():
            column[rendered.place] = lines.get(name, b"")
        rendered.version = series.version

    def refresh_soon(self, series: Series) -> None:
        """Render the lines of a target that was probed: with those of others, or at the next scrape."""
        self._probed[series.target.key] = series
        if len(self._probed) >= TOGETHER:
            for probed in self._probed.values():
                self.refresh(probed)
            self._probed.clear()

    def stale(self) -> list[Series]:
        """Return the targets whose lines are still to be rendered, or older than their last Outcome."""
        return [series for series in self.store if not self._is_fresh(series)]

    def _is_fresh(self, series: Series) -> bool:
        rendered = self._rendered.get(series.target.key)
        return rendered is not None and rendered.series is series and rendered.version == series.version

    def _take_place(self) -> int:
        if self._free:
            return self._free.pop()
        for column in self._columns.values():
            column.append(b"")
        return len(column) - 1

    def _domain_lines(self) -> list[Lines]:
        """Return the lines of every domain, rendered again where something has changed."""
        before, self._of_domains = self._of_domains, {}
        for domain in self.domains or ():
            name = domain.endpoint.name
            is_up = self.domains.is_up(domain) if self.domains else None
            values = domain.version, is_up
            known = before.get(name)
            if known is None or known[0] is not domain or known[1] != values:
                base = labels_text(endpoint=name, domain=domain.name)
                known = domain, values, render(base, domain_samples(domain, is_up=is_up))
            self._of_domains[name] = known
        return [lines for _, _, lines in self._of_domains.values()]

    def _catch_up(self) -> None:
        """Render what is stale, and drop the targets that are not configured any more."""
        for series in self.stale():
            self.refresh(series)
        self._probed.clear()
        if len(self._rendered) > len(self.store):
            for key in self._rendered.keys() - {series.target.key for series in self.store}:
                place = self._rendered.pop(key).place
                for column in self._columns.values():
                    column[place] = b""
                self._free.append(place)
