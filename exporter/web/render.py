"""The templates, with the filters that they use."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from exporter import __version__
from exporter.config.duration import format_duration
from exporter.model.reason import fill
from exporter.views import chart, times
from exporter.web import assets

if TYPE_CHECKING:
    from jinja2 import Environment


def render(template: str, **values: Any) -> str:
    """Return a page, or a part of one. Every value is escaped, for a server's text is hostile input."""
    return environment().get_template(template).render(values)


async def prepare() -> None:
    """Compile the templates, in a thread: in the event loop, the first page would hold up the probes for 0.1 s."""
    if not environment.cache_info().currsize:
        await asyncio.to_thread(environment)


@cache
def environment() -> Environment:
    """Return the environment of the templates, all of them compiled. An undefined name is an error."""
    from jinja2 import Environment, PackageLoader, StrictUndefined  # noqa: PLC0415 (neither probe nor scrape needs it)

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
        "filled": fill,
        "capitalized": lambda text: text[:1].upper() + text[1:],
    }
    defaults: Mapping[str, Any] = {"version": __version__, "asset": assets.address, "icon": "up", "every": None}
    made.globals |= defaults
    for name in made.list_templates():
        made.get_template(name)
    return made
