"""Writes grafana/gmail-exporter.json, the dashboard; with --check, fails where it is not current."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models.common import TimeZoneBrowser

from grafana.links import dashboard_links
from grafana.rows import availability, certificates, deliveries, domains, exporters, failures, logins, now, speed
from grafana.variables import PROMETHEUS_MARKS, marks, variables

FILE = Path(__file__).parent / "gmail-exporter.json"

UID = "gmail-exporter"
"""In the dashboard's address, and so in the alerts' `dashboard_url`."""

ROWS = (now, speed, availability, failures, certificates, logins, exporters, deliveries, domains)
"""From top to bottom."""

EXPANDED = 2
"""Rows that are open at first. What is in a collapsed row is queried once somebody opens it."""

SCHEMA = 41
"""Of Grafana 12.0. A newer Grafana has nothing to migrate; an older one may refuse a schema newer than its own."""

DESCRIPTION = (
    "Is Gmail reachable over IMAP, POP3 and SMTP, how fast is it, and when it fails: why, and whose fault is it? "
    "Read from top to bottom."
)


def dashboard() -> model.Dashboard:
    """Build it. A panel's id is its row's number and its number in the row: links to it stay valid when others come."""
    builder = (
        build.Dashboard("Gmail")
        .uid(UID)
        .description(DESCRIPTION)
        .tags(["gmail", "mail", "prometheus"])
        .timezone(TimeZoneBrowser)
        .tooltip(model.DashboardCursorSync.CROSSHAIR)
        .editable()
        .time("now-3h", "now")
        .refresh("1m")
        .variables(variables())
        .annotations(marks())
        .links(dashboard_links())
    )
    for number, row in enumerate(ROWS, start=1):
        head = build.Row(row.TITLE).id(100 * number)
        panels = [panel.id(100 * number + index) for index, panel in enumerate(row.panels(), start=1)]
        if number <= EXPANDED:
            builder = builder.with_row(head)
            for panel in panels:
                builder = builder.with_panel(panel)
        else:
            for panel in panels:
                head = head.with_panel(panel)
            builder = builder.with_row(head)
    built = builder.build()
    built.schema_version = SCHEMA
    return built


def as_dict() -> dict[str, Any]:
    """The dashboard as a current Grafana reads it."""
    return without_relics(json.loads(json.dumps(dashboard(), cls=JSONEncoder)))


def rows_and_panels(board: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield them from top to bottom, as if every row were open."""
    for panel in board["panels"]:
        yield panel
        yield from panel.get("panels", ())


def without_relics(board: dict[str, Any]) -> dict[str, Any]:
    """Return it without keys that the SDK's model of Grafana 10 always writes and Grafana 13 has moved or dropped."""
    del board["style"]
    for variable in board["templating"]["list"]:
        for key in ("id", "auto", "auto_min", "auto_count"):
            del variable[key]
    for annotation in board["annotations"]["list"]:
        annotation.update(PROMETHEUS_MARKS[annotation["name"]])
    for panel in rows_and_panels(board):
        panel.pop("transparent", None)
        panel.pop("repeatDirection", None)
        if panel["type"] == "table":
            del panel["options"]["footer"]
        if panel["type"] == "heatmap":
            del panel["options"]["tooltip"]  # another form since; the default shows one in both
    return board


def text() -> str:
    """The file's content: indented and in a fixed order, so that a change of the dashboard gives a readable diff."""
    return json.dumps(as_dict(), indent=2, ensure_ascii=False) + "\n"


def main() -> int:
    """Write the file; with --check, only return whether it is out of date."""
    current = FILE.is_file() and FILE.read_text(encoding="utf-8") == text()
    if "--check" in sys.argv:
        if not current:
            sys.stderr.write(f"not current: grafana/{FILE.name}; run `make dashboard`\n")
        return not current
    FILE.write_text(text(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
