"""The result of a measurement: figures with a limit, and tables with the details."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from tests.servers.authority import Authority, Certificate


@dataclass(frozen=True)
class Lab:
    """The environment of the measurements. With `quick` they are short, and the figures mean little."""

    directory: Path
    authority: Authority
    quick: bool = False
    blackbox: str = "prometheus-blackbox-exporter"
    """The program of blackbox_exporter."""
    blackbox_version: str = ""

    @property
    def certificate(self) -> Certificate:
        """The certificate of the servers."""
        return self.authority.issue()

    def seconds(self, usual: float) -> float:
        """Return for how many seconds to measure."""
        return max(2.0, usual / 4) if self.quick else usual

    def turns(self, usual: int) -> int:
        """Return how often to measure."""
        return 2 if self.quick else usual


class Figure(NamedTuple):
    """A figure with a limit, and whether the limit is met."""

    name: str
    value: float
    unit: str
    limit: str
    met: bool

    def row(self) -> list[str]:
        """Return it as a row of a table."""
        return [self.name, self.limit, f"{self.value:.3g}{' ' if self.unit else ''}{self.unit}", _MET[self.met]]


_MET = {True: "met", False: "**not met**"}


class Table(NamedTuple):
    """Rows of text below a heading."""

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""


@dataclass
class Result:
    """The result of one measurement; `data` is for programs."""

    name: str
    figures: list[Figure] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    data: dict[str, Any] = field(default_factory=dict)

    def limit(self, name: str, value: float, unit: str, most: float) -> None:
        """Add a figure and its upper limit."""
        shown = f"≤ {most:g}{' ' if unit else ''}{unit}"
        self.figures.append(Figure(name, value, unit, shown, value <= most))

    def at_least(self, name: str, value: float, unit: str, least: float) -> None:
        """Add a figure and its lower limit."""
        shown = f"≥ {least:g}{' ' if unit else ''}{unit}"
        self.figures.append(Figure(name, value, unit, shown, value >= least))

    def as_json(self) -> dict[str, Any]:
        """Return all of it for programs."""
        return {"figures": [figure._asdict() for figure in self.figures], "data": self.data}


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    return "\n".join(f"| {' | '.join(row)} |" for row in [head, ["---"] * len(head), *rows])


def milliseconds(seconds: float) -> str:
    """Return seconds as a text in milliseconds."""
    return f"{seconds * 1e3:.3f}"


def quantile(values: Sequence[float], share: float) -> float:
    """Return the value below which this share of the values lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
