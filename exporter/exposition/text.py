"""Samples → lines of the text format, which are the same in OpenMetrics."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import Enum
from functools import cached_property, lru_cache
from typing import NamedTuple

from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

Lines = Mapping[str, bytes]
"""The lines of one target or account, by the name of their family."""


class Family(NamedTuple):
    """A metric family: its declaration, and the labels that it has beside the base labels."""

    metric: Metric
    labels: tuple[str, ...]
    name: str

    @classmethod
    def of(cls, name: str, kind: str, text: str, *labels: str) -> Family:
        """Declare a metric family."""
        return cls(Metric(name, text, kind), labels, name)

    def head(self, fmt: Format) -> bytes:
        """Return its HELP and TYPE lines."""
        name, kind = self.metric.name, self.metric.type
        if kind == "counter" and fmt is Format.TEXT:
            name += "_total"
        return f"# HELP {name} {self.metric.documentation}\n# TYPE {name} {kind}\n".encode()


class Labels(dict[str, str]):
    """Labels, and their text: most samples share the same few, and the text is made once."""

    @cached_property
    def text(self) -> str:
        """As in a line, without braces."""
        return ",".join(f'{name}="{_escape(value)}"' for name, value in self.items())


class Sample(NamedTuple):
    """One sample: its family, the suffix of its name, its labels beside the base labels, its value."""

    family: Family
    suffix: str
    labels: Labels
    value: float


def render(base: Labels, samples: Iterable[Sample]) -> Lines:
    """Return samples as lines, the same in text 0.0.4 and OpenMetrics 1.0; `base` are the labels of all of them."""
    shared = base.text
    separator = "," if shared else ""
    lines: dict[str, list[str]] = {}
    for family, suffix, labels, value in samples:
        name = family.name
        own = labels.text
        text = f"{{{shared}{separator}{own}}}" if own else f"{{{shared}}}" if shared else ""
        line = f"{name}{suffix}{text} {_integer(value) if isinstance(value, int) else _number(value)}\n"
        if name in lines:
            lines[name].append(line)
        else:
            lines[name] = [line]
    return {name: "".join(of_family).encode() for name, of_family in lines.items()}


def _number(value: float) -> str:
    # Go's text has an exponent from a million on; below that it is Python's.
    return repr(value) if 0.0 <= value < 1e6 else str(floatToGoString(value))  # type: ignore[no-untyped-call]


@lru_cache(maxsize=4096)
def _integer(value: int) -> str:
    return str(floatToGoString(value))  # type: ignore[no-untyped-call]


def _escape(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


class Format(Enum):
    """The format of an exposition: text 0.0.4, or OpenMetrics 1.0."""

    TEXT = ""
    OPENMETRICS = "application/openmetrics-text; version=1.0.0"

    @property
    def content_type(self) -> str:
        """The content type, its charset included."""
        return choose_encoder(self.value)[1]

    def encode(self, collector: Collector) -> bytes:
        """Return the exposition of prometheus_client's metrics, with the EOF mark where the format has one."""
        return choose_encoder(self.value)[0](collector)
