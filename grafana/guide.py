"""docs/dashboard.md: the dashboard's layout as text, and the question of every panel."""

from __future__ import annotations

import textwrap
from itertools import groupby
from typing import Any

from grafana.dashboard import EXPANDED, as_dict, rows_and_panels
from grafana.links import DOCS

COLUMN = 4
"""Characters for each of the grid's 24 columns."""

INTRODUCTION = f"""The first {EXPANDED} rows are open, and only those are queried, once a minute. A click opens another.

## Installing it

With Grafana in a container, mount these two; the dashboard is then in the folder Mail:

| file or directory | where Grafana's image expects it |
| --- | --- |
| `grafana/provisioning/` | `/etc/grafana/provisioning` |
| `grafana/gmail-exporter.json` | `/var/lib/grafana/dashboards/gmail-exporter.json` |

The data source in `grafana/provisioning/datasources/` is Prometheus at `http://prometheus:9090`, scraping every 15 s.
In a Grafana of your own, import the JSON (Dashboards → New → Import), and choose the data source on the page. It needs
Grafana 10 and Prometheus 2.37, or newer, and exporters that are scraped at least once a minute.

One panel, the budget of 30 days, needs the recording rules in `deploy/prometheus/gmail-recording.yml`; all others query
the exporter's own metrics.

The links to runbooks and remedies start with a placeholder. Put in the address where you publish this directory:

    sed -i 's|{DOCS}|https://wiki.acme.example/gmail|' grafana/gmail-exporter.json

Links to an exporter's own pages use the instance as Prometheus knows it, and HTTP. If the exporter serves its pages
over TLS, add `var-scheme=https` to the dashboard's address.

To change a panel, change `grafana/rows/` and run `make dashboard docs`.
"""


def guide() -> str:
    """The text of docs/dashboard.md after its title and notice."""
    board = as_dict()
    return "\n".join([INTRODUCTION, _variables(board), *_rows(board)])


def _variables(board: dict[str, Any]) -> str:
    lines = ["## Variables", "", "| variable | chooses |", "| --- | --- |"]
    shown = (variable for variable in board["templating"]["list"] if variable["hide"] == 0)
    lines += [f"| {variable['label']} | {variable['description']} |" for variable in shown]
    names = " and ".join(f"*{each['name']}*" for each in board["annotations"]["list"])
    marks = f"Marks on every graph, which can be switched off at the top: {names}."
    return "\n".join([*lines, "", marks, ""])


def _rows(board: dict[str, Any]) -> list[str]:
    found: list[tuple[str, list[dict[str, Any]]]] = []
    for panel in rows_and_panels(board):
        if panel["type"] == "row":
            found.append((panel["title"], []))
        else:
            found[-1][1].append(panel)
    return [f"## {title}\n\n{_layout(panels)}\n\n{_questions(panels)}\n" for title, panels in found]


def _layout(panels: list[dict[str, Any]]) -> str:
    """The panels as boxes in their places."""
    lines: list[str] = []
    for _, band in groupby(panels, key=lambda panel: panel["gridPos"]["y"]):
        inner = [(panel["title"], panel["gridPos"]["w"] * COLUMN - 3) for panel in band]
        titles = [textwrap.wrap(title, width - 1) for title, width in inner]
        edge = "+".join("-" * (width + 2) for _, width in inner)
        if lines:
            lines.pop()  # the lower edge of the band above is the upper edge of this one
        lines.append(f"+{edge}+")
        for number in range(max(len(title) for title in titles)):
            cells = (
                (title[number] if number < len(title) else "").ljust(width)
                for title, (_, width) in zip(titles, inner, strict=True)
            )
            lines.append(f"| {' | '.join(cells)} |")
        lines.append(f"+{edge}+")
    return "\n".join(["```text", *lines, "```"])


def _questions(panels: list[dict[str, Any]]) -> str:
    entries = []
    for panel in panels:
        question, reading, action = panel["description"].split("\n\n")
        entries.append(f"### {panel['title']}\n\n{question} {reading}\n\n{action}")
    return "\n\n".join(entries)
