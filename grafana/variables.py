"""The dashboard's variables and annotations."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models import dashboard as model

from grafana.links import DOCS
from grafana.panels import DATASOURCE
from grafana.queries import ENDPOINT, EXPORTER, alerts, of_exporter, one_provider

_ALL = model.VariableOption(text="All", value="$__all", selected=True)
_BUILD = "gmail_exporter_build_info"
_OF = 'tenant=~"$tenant",account=~"$account"'


def variables() -> list[Builder[model.VariableModel]]:
    """In the order of the page; each limits the choices of those after it."""
    info = "gmail_endpoint_info"
    return [
        build.DatasourceVariable("datasource")
        .label("Prometheus")
        .description("The Prometheus that scrapes the exporters.")
        .type("prometheus"),
        # With `.*`, a query of `up` would return the targets of every job.
        _choice("job", "Job", "The scrape job of the exporters.", f"label_values({_BUILD}, job)"),
        _choice(
            "instance",
            "Exporter",
            "The exporter that probes: each one is a vantage point of its own.",
            f'label_values({_BUILD}{{job=~"$job"}}, instance)',
            every=".*",
        ),
        _choice(
            "tenant",
            "Tenant",
            "The endpoints with this `tenant` among their `labels`. All includes those without one.",
            f"label_values({info}{{{EXPORTER}}}, tenant)",
            every=".*",
        ),
        _choice(
            "account",
            "Account",
            "Endpoints that log in with this account. All includes those without an account.",
            f'label_values({info}{{{EXPORTER},tenant=~"$tenant"}}, account)',
            every=".*",
        ),
        _choice(
            "protocol",
            "Protocol",
            "IMAP and POP3 read mail, SMTP sends it.",
            f"label_values({info}{{{EXPORTER},{_OF}}}, protocol)",
            every=".*",
        ),
        _choice(
            "host",
            "Host",
            "The mail server's name.",
            f'label_values({info}{{{EXPORTER},{_OF},protocol=~"$protocol"}}, host)',
            every=".*",
        ),
        _choice(
            "endpoint",
            "Endpoint",
            "As named in the exporter's configuration.",
            f"label_values({info}{{{ENDPOINT.rpartition(',')[0]},{_OF}}}, endpoint)",
            every=".*",
        ),
        # For the link to a status page at the top, which can lead to one exporter only: the first one chosen.
        build.QueryVariable("exporter")
        .hide(model.VariableHide.HIDE_VARIABLE)
        .description("The exporter whose status page is linked at the top.")
        .datasource(DATASOURCE)
        .query(_query("exporter", f"label_values({of_exporter(_BUILD)}, instance)"))
        .refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(model.VariableSort.ALPHABETICAL_ASC),
        build.CustomVariable("scheme")
        .hide(model.VariableHide.HIDE_VARIABLE)
        .description("How to reach the exporter's pages: https if its web configuration has TLS.")
        .values("http,https")
        .current(model.VariableOption(text="http", value="http", selected=True)),
        build.ConstantVariable("docs").description("Where the runbooks and the reasons are published.").value(DOCS),
    ]


def _query(name: str, query: str) -> dict[str, object]:
    return {"query": query, "refId": f"variable-{name}"}


def _choice(name: str, label: str, text: str, query: str, every: str | None = None) -> build.QueryVariable:
    variable = (
        build.QueryVariable(name)
        .label(label)
        .description(text)
        .datasource(DATASOURCE)
        .query(_query(name, query))
        .refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(model.VariableSort.ALPHABETICAL_ASC)
        .multi(True)
        .include_all(True)
        .current(_ALL)
    )
    return variable if every is None else variable.all_value(every)


class Mark(NamedTuple):
    """An annotation on every graph: what it marks, its colour, and its texts, made from the labels found."""

    name: str
    expression: str
    colour: str
    title: str
    text: str
    tags: str = ""


MARKS = (
    Mark(
        "Alerts",
        one_provider(partial(alerts, "firing")),
        "red",
        "{{alertname}}",
        "{{endpoint}}, seen by {{instance}}",
        "severity,blame",
    ),
    Mark(
        "Reloads",
        f"changes({of_exporter('gmail_exporter_config_last_reload_success_timestamp_seconds')}[2m]) > 0",
        "blue",
        "Configuration loaded",
        "by {{instance}}: started, or reloaded",
    ),
)
"""Each can be switched off at the top of the page."""


def marks() -> list[Builder[model.AnnotationQuery]]:
    """The part of the annotations that the SDK's model supports."""
    return [
        build.AnnotationQuery().name(mark.name).datasource(DATASOURCE).enable(True).icon_color(mark.colour)
        for mark in MARKS
    ]


PROMETHEUS_MARKS = {
    mark.name: {
        "target": {"refId": "Anno", "expr": mark.expression, "interval": "60s"},
        "titleFormat": mark.title,
        "textFormat": mark.text,
        "tagKeys": mark.tags,
    }
    for mark in MARKS
}
"""The keys of an annotation that Grafana's Prometheus plugin reads, by the annotation's name."""
