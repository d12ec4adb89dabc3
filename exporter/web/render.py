"""The templates, with the filters that they use."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from exporter import __version__
from exporter.config.duration import format_duration
from exporter.host.reserve import RESERVE
from exporter.model.reason import fill
from exporter.views import chart, times
from exporter.web import assets

if TYPE_CHECKING:
    from jinja2 import Environment

FILES = 4
"""Files that are open at once while the templates are read."""

CHECK = ("gmail-exporter", "check")
"""The command that checks an endpoint or a delivery now, unless it needs flags."""


def render(template: str, **values: Any) -> str:
    """Return a page, or a part of one. Every value is escaped, for a server's text is hostile input."""
    return environment().get_template(template).render(values)


async def prepare() -> None:
    """Compile the templates, in a thread: in the event loop, the first page would hold up the probes for 0.1 s.

    The first page may be asked for where this process may open no more files: that is why it is asked for.
    """
    if environment.cache_info().currsize:
        return
    if RESERVE.is_needed():
        with RESERVE.lent(FILES):
            environment()  # at once, or a probe would take what was lent
    else:
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
