"""What a measurement found: figures that are promised, and tables that show how they came about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from tests.servers.authority import Authority, Certificate


@dataclass(frozen=True)
class Lab:
    """Where measurements are made. `quick` is for trying out: the figures are worth little."""

    directory: Path
    authority: Authority
    quick: bool = False

    @property
    def certificate(self) -> Certificate:
        """What the servers present."""
        return self.authority.issue()

    def seconds(self, usual: float) -> float:
        """How long to measure."""
        return max(2.0, usual / 4) if self.quick else usual

    def turns(self, usual: int) -> int:
        """How often to measure."""
        return 2 if self.quick else usual


class Figure(NamedTuple):
    """A number that is promised, and whether it is met."""

    name: str
    value: float
    unit: str
    promise: str
    met: bool

    def row(self) -> list[str]:
        """As a row of a table."""
        return [self.name, self.promise, f"{self.value:.3g}{' ' if self.unit else ''}{self.unit}", _MET[self.met]]


_MET = {True: "met", False: "**not met**"}


class Table(NamedTuple):
    """Rows of text below a head."""

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""


@dataclass
class Result:
    """Of one measurement; `data` is for programs."""

    name: str
    figures: list[Figure] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    data: dict[str, Any] = field(default_factory=dict)

    def promise(self, name: str, value: float, unit: str, most: float) -> None:
        """Note a figure that is to be at most so much."""
        shown = f"≤ {most:g}{' ' if unit else ''}{unit}"
        self.figures.append(Figure(name, value, unit, shown, value <= most))

    def as_json(self) -> dict[str, Any]:
        """Everything, for programs."""
        return {"figures": [figure._asdict() for figure in self.figures], "data": self.data}


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    return "\n".join(f"| {' | '.join(row)} |" for row in [head, ["---"] * len(head), *rows])


def milliseconds(seconds: float) -> str:
    """Seconds, shown as milliseconds."""
    return f"{seconds * 1e3:.3f}"


def quantile(values: Sequence[float], share: float) -> float:
    """The value below which that share of the values lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
