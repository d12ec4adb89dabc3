"""Samples → what `/metrics` answers.

The lines of a target are rendered once per outcome, for each family by itself, and a scrape only joins them: with a
thousand endpoints, rendering everything anew with prometheus_client would hold up the event loop, and with it the
probes, for half a second. prometheus_client negotiates the format and renders the exporter's own metrics.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from exporter.accounts.access import Access
from exporter.exposition.gmail import ACCOUNT_FAMILIES, FAMILIES, Sample, account_samples, base_labels, samples
from exporter.exposition.qvalues import weights
from exporter.monitor.instruments import ExporterMetrics
from exporter.monitor.store import Key, Series, Store

Piece = Mapping[str, bytes]
"""The lines of one target or account by the name of their family. They are the same in both formats."""


def render(series: Series) -> Piece:
    """Render the samples of a target, as text 0.0.4 and OpenMetrics 1.0 both want them."""
    return _render(base_labels(series), samples(series))


def _render(base: Mapping[str, str], of_one: Iterable[Sample]) -> Piece:
    prefix = _label_text(tuple(base.items()))
    lines: dict[str, str] = {}
    for family, suffix, labels, value in of_one:
        name = family.metric.name
        text = f"{prefix},{_label_text(tuple(labels.items()))}" if labels else prefix
        number = _whole(value) if isinstance(value, int) else floatToGoString(value)  # type: ignore[no-untyped-call]
        lines[name] = f"{lines.get(name, '')}{name}{suffix}{{{text}}} {number}\n"
    return {name: text.encode() for name, text in lines.items()}


@lru_cache(maxsize=4096)
def _label_text(labels: tuple[tuple[str, str], ...]) -> str:
    return ",".join(f'{name}="{_escape(value)}"' for name, value in labels)


@lru_cache(maxsize=4096)
def _whole(value: int) -> str:
    return str(floatToGoString(value))  # type: ignore[no-untyped-call]


def _escape(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


@dataclass(slots=True)
class Exposition:
    """What `/metrics` answers."""

    store: Store
    exporter: ExporterMetrics
    accesses: Callable[[], Iterable[Access]] = tuple
    _lines: dict[str, dict[Key, bytes]] = field(
        default_factory=lambda: {family.metric.name: {} for family in (*FAMILIES, *ACCOUNT_FAMILIES)}
    )
    """By family, then by target."""
    _rendered: dict[Key, tuple[Series, int]] = field(default_factory=dict)
    """What the lines were rendered from: a series, and its version."""

    def render(self, accept: str) -> tuple[bytes, str]:
        """Return the body and its content type, in the format that the Accept header asks for."""
        pieces, content_type = self.pieces(accept)
        return b"".join(pieces), content_type

    def pieces(self, accept: str) -> tuple[list[bytes], str]:
        """Return the body in the pieces that are kept anyway: of a thousand endpoints it has 5 MB."""
        asked_for = Format.of(accept)
        self._catch_up()
        accounts = [_render({"account": access.account.name}, account_samples(access)) for access in self.accesses()]
        chunks: list[bytes] = []
        for family in (*FAMILIES, *ACCOUNT_FAMILIES):
            metric = family.metric
            lines = [*self._lines[metric.name].values(), *(one[metric.name] for one in accounts if metric.name in one)]
            if lines:
                name = metric.name if asked_for.is_openmetrics or metric.type != "counter" else f"{metric.name}_total"
                chunks.append(f"# HELP {name} {metric.documentation}\n# TYPE {name} {metric.type}\n".encode())
                chunks += lines
        # Last, for in OpenMetrics it ends with the EOF mark.
        chunks.append(asked_for.encode(self.exporter.registry))
        return chunks, asked_for.content_type

    def refresh(self, series: Series) -> None:
        """Render the lines of a target now, rather than at the next scrape, which would have to render all at once."""
        key = series.target.key
        piece = render(series)
        for name, of_family in self._lines.items():
            if text := piece.get(name):
                of_family[key] = text
            else:
                of_family.pop(key, None)
        self._rendered[key] = series, series.version

    def _catch_up(self) -> None:
        """Render what was added since, and forget what is not configured any more."""
        for series in self.store:
            was, version = self._rendered.get(series.target.key, (None, 0))
            if was is not series or version != series.version:
                self.refresh(series)
        if len(self._rendered) > len(self.store):
            for key in self._rendered.keys() - {series.target.key for series in self.store}:
                del self._rendered[key]
                for of_family in self._lines.values():
                    of_family.pop(key, None)


class Format(NamedTuple):
    """How an exposition is written: text 0.0.4 or OpenMetrics 1.0."""

    is_openmetrics: bool
    encode: Callable[[Collector], bytes]
    content_type: str

    @classmethod
    def of(cls, accept: str) -> Format:
        """Return what an Accept header asks for."""
        openmetrics = _prefers_openmetrics(accept)
        # Asked in our own words: of two versions of each format, the library would take whatever the client names.
        encode, content_type = choose_encoder("application/openmetrics-text; version=1.0.0" if openmetrics else "")
        return cls(openmetrics, encode, content_type)


def _prefers_openmetrics(accept: str) -> bool:
    """Whether an Accept header names OpenMetrics, and wants text no more than that (RFC 9110 §12.5.1)."""
    wanted = weights(accept)
    openmetrics = wanted.get("application/openmetrics-text", 0)
    text = next((wanted[name] for name in ("text/plain", "text/*", "*/*") if name in wanted), 0)
    return openmetrics > 0 and openmetrics >= text
