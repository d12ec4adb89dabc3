"""Samples → lines of the text format, which are the same in OpenMetrics."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from functools import lru_cache

from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

Lines = Mapping[str, bytes]
"""The lines of one target or account, by the name of their family."""


def labels_text(**labels: str) -> str:
    """Return labels as in a line, without braces."""
    return ",".join(f'{name}="{_escape(value)}"' for name, value in labels.items())


class Family:
    """A metric family: its declaration, and the labels that it has beside the base labels."""

    def __init__(self, name: str, kind: str, text: str, *labels: str) -> None:
        self.name = name
        self.metric = Metric(name, text, kind)
        self.labels = labels
        self._suffix = "_total" if kind == "counter" else ""
        self._without_labels = self.form({})

    def sample(self, value: float, /, **labels: str) -> Samples:
        """Return one sample, with these labels beside the base labels."""
        return _form(self, *labels.items()) if labels else self._without_labels, (value,)

    def form(self, *labels: Mapping[str, str]) -> Form:
        """Return the form of samples with these labels."""
        return Form(self, *((self._suffix, of_one) for of_one in labels))

    def histogram(self, bounds: Sequence[float]) -> Form:
        """Return the form of a histogram: its buckets up to these bounds and without one, their count, their sum."""
        texts = [str(floatToGoString(bound)) for bound in (*bounds, math.inf)]  # type: ignore[no-untyped-call]
        return Form(self, *(("_bucket", {"le": text}) for text in texts), ("_count", {}), ("_sum", {}))

    def head(self, fmt: Format) -> bytes:
        """Return its HELP and TYPE lines."""
        name, kind = self.metric.name, self.metric.type
        if fmt is Format.TEXT:
            name += self._suffix
        return f"# HELP {name} {self.metric.documentation}\n# TYPE {name} {kind}\n".encode()


class Form:
    """The text of samples of one family but for their base labels and their values, which most targets have in common.

    Attributes:
        rows: Of each sample the suffix of its name, and its labels beside the base labels.
    """

    __slots__ = ("family", "rows", "template")

    def __init__(self, family: Family, *rows: tuple[str, Mapping[str, str]]) -> None:
        self.family = family
        self.rows = rows
        self.template = "".join(
            f"{family.name}{suffix}{_BASE}{',' if labels else ''}{labels_text(**labels)}}} ".replace("%", "%%") + "%s\n"
            for suffix, labels in rows
        )


@lru_cache(maxsize=1024)
def _form(family: Family, *labels: tuple[str, str]) -> Form:
    return family.form(dict(labels))


Samples = tuple[Form, Sequence[float]]
"""Samples of one family: their form, and a value for each of its rows."""

_BASE = "{\n"
"""In a form, where the base labels are. It is in no label, for a line feed is escaped there."""


def render(base: str, samples: Iterable[Samples]) -> Lines:
    """Return samples as lines, the same in text 0.0.4 and OpenMetrics 1.0; `base` is the text of their base labels."""
    begin = f"{{{base}"
    lines: dict[str, bytes] = {}
    for form, values in samples:
        text = form.template % tuple(
            [repr(value) if value.__class__ is float and 0.0 <= value < 1e6 else _number(value) for value in values]
        )
        text = text.replace(_BASE, begin) if base else text.replace(f"{_BASE}}}", "").replace(f"{_BASE},", "{")
        name = form.family.name
        lines[name] = lines[name] + text.encode() if name in lines else text.encode()
    return lines


@lru_cache(maxsize=4096)
def _number(value: float) -> str:
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
