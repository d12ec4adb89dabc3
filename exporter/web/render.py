"""The templates, and how numbers and times are written in them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from exporter import __version__
from exporter.config.duration import format_duration
from exporter.model.outcome import Outcome, Phase
from exporter.views.words import span
from exporter.web import assets


def render(template: str, **values: Any) -> str:
    """Return a page, or a part of one. Every value is escaped: what a server says is hostile input."""
    return environment().get_template(template).render(values)


def prepare() -> None:
    """Compile every template now: at the first request it would hold up the probes for 50 ms."""
    for name in environment().list_templates():
        environment().get_template(name)


@cache
def environment() -> Environment:
    """Return the templates. A name that none of them knows is an error, not an empty place."""
    made = Environment(
        loader=PackageLoader("exporter.web"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.filters |= {
        "iso": iso,
        "utc": utc,
        "short": short,
        "clock": clock,
        "ms": milliseconds,
        "duration": format_duration,
        "span": span,
        "packed": packed,
    }
    defaults: Mapping[str, Any] = {"version": __version__, "asset": assets.address, "icon": "up", "every": None}
    made.globals |= defaults
    return made


def _at(unix: float) -> datetime:
    return datetime.fromtimestamp(round(unix), UTC)


def iso(unix: float) -> str:
    """Return a time as HTML and JSON have it."""
    return f"{_at(unix):%Y-%m-%dT%H:%M:%SZ}"


def utc(unix: float) -> str:
    """Return a time for people."""
    return f"{_at(unix):%Y-%m-%d %H:%M:%S} UTC"


def short(unix: float) -> str:
    """Return a time for people who know the year, in UTC."""
    return f"{_at(unix):%m-%d %H:%M}"


def clock(unix: float) -> str:
    """Return the time of the day, in UTC."""
    return f"{_at(unix):%H:%M}"


def milliseconds(seconds: float) -> str:
    """Return a time that something took, to two or three digits."""
    ms = seconds * 1000
    if ms >= 10_000:
        return f"{seconds:.1f} s"
    return f"{ms:,.0f} ms" if ms >= 10 else f"{ms:.1f} ms"


def packed(outcome: Outcome) -> str:
    """Return the milliseconds of every phase, in their order, for a script to draw."""
    return ",".join(f"{1000 * outcome.phases[phase]:.3g}" if phase in outcome.phases else "" for phase in Phase)
