"""A dashboard's variables in a query, replaced as Grafana replaces them before it queries Prometheus."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

ALL = "$__all"
"""The value of a variable with everything chosen."""

_REFERENCE = re.compile(r"\$\{(\w+)(?::(\w+))?\}|\$(\w+)")
_SPECIAL = re.compile(r"[$^*{}\[\]'+?.()|]")


@dataclass(frozen=True)
class View:
    """The state of the page: the time range and its step in seconds, the values chosen, and the values offered.

    `scrape_interval` is the data source's `timeInterval`, in seconds.
    """

    range: float
    interval: float
    scrape_interval: float = 15.0
    chosen: Mapping[str, str | Sequence[str]] = field(default_factory=dict)
    all_values: Mapping[str, str] = field(default_factory=dict)
    """The variables that have an expression for "All"."""
    options: Mapping[str, Sequence[str]] = field(default_factory=dict)


def seconds(duration: str) -> float:
    """Return the seconds of a duration as Grafana writes it: a number and a unit."""
    number, unit = re.fullmatch(r"(\d+)(ms|[smhd])", duration).groups()  # type: ignore[union-attr]  # None is a test's error
    return float(number) * {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}[unit]


def substitute(text: str, view: View, min_step: str | None = None) -> str:
    """Return the query that is sent to Prometheus. `min_step` is the target's own smallest step.

    `$__rate_interval` is the greater of the step plus one scrape interval, and four scrape intervals; the target's
    smallest step, if it has one, replaces the scrape interval. An unknown variable is not replaced, as in Grafana:
    Prometheus refuses it.
    """
    least = seconds(min_step) if min_step else view.scrape_interval
    interval = max(view.interval, least)
    built_in = {
        "__interval": f"{interval:g}s",
        "__interval_ms": f"{interval * 1000:g}",
        "__rate_interval": f"{max(interval + least, 4 * least):g}s",
        "__range": f"{view.range:g}s",
        "__range_s": f"{view.range:g}",
        "__range_ms": f"{view.range * 1000:g}",
    }

    def replace(match: re.Match[str]) -> str:
        name = match[1] or match[3]
        if name in built_in:
            return built_in[name]
        if name not in view.chosen:
            return match[0]
        return _chosen(name, view)

    return _REFERENCE.sub(replace, text)


def _chosen(name: str, view: View) -> str:
    """Return a variable's value as the Prometheus data source writes it into a regular expression."""
    value = view.chosen[name]
    if value == ALL:
        if name in view.all_values:
            return view.all_values[name]  # not escaped: an expression of the dashboard's author
        value = view.options[name]
    if isinstance(value, str):
        return _escape(value)
    return _escape(value[0]) if len(value) == 1 else f"({'|'.join(_escape(each) for each in value)})"


def _escape(value: str) -> str:
    # Each backslash twice: once for the regular expression, once for PromQL's string around it.
    return _SPECIAL.sub(lambda special: rf"\\{special[0]}", value.replace("\\", r"\\\\"))
