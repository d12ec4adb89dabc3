"""The templates, with the filters that they use."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from exporter import __version__
from exporter.config.duration import format_duration
from exporter.views import chart, times
from exporter.web import assets


def render(template: str, **values: Any) -> str:
    """Return a page, or a part of one. Every value is escaped, for a server's text is hostile input."""
    return environment().get_template(template).render(values)


def prepare() -> None:
    """Compile every template now: at the first request it would hold up the probes for 50 ms."""
    for name in environment().list_templates():
        environment().get_template(name)


@cache
def environment() -> Environment:
    """Return the environment of the templates. An undefined name is an error."""
    made = Environment(
        loader=PackageLoader("exporter.web"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.filters |= {
        "iso": times.iso,
        "utc": times.utc,
        "short": times.short,
        "clock": times.clock,
        "ms": times.milliseconds,
        "duration": format_duration,
        "span": times.span,
        "packed": chart.packed,
    }
    defaults: Mapping[str, Any] = {"version": __version__, "asset": assets.address, "icon": "up", "every": None}
    made.globals |= defaults
    return made
