"""Links of the dashboard: to the documentation, and to the exporter's own pages."""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models import dashboard as model

DOCS = "https://gmail-exporter.example"
"""Where `docs/` is published, a placeholder as in the alerts. In the dashboard it is the hidden variable `docs`."""

# An exporter that is scraped over TLS has its pages over TLS, too: `scheme` is a hidden variable (`var-scheme=https`).
_EXPORTER = "${scheme}://${__data.fields.instance}"


def link(title: str, url: str) -> build.DashboardLink:
    """A link that opens beside the dashboard."""
    return build.DashboardLink(title).type(model.DashboardLinkType.LINK).url(url).target_blank(True)


def of_endpoint() -> list[build.DashboardLink]:
    """From a table's row to the exporter's page of its endpoint, and to this dashboard with that endpoint alone."""
    alone = (
        "/d/gmail-exporter?var-endpoint=${__data.fields.endpoint}&var-instance=${__data.fields.instance}"
        "&var-datasource=${datasource}&${__url_time_range}"
    )
    return [
        link("History, certificate and last dialogue", _EXPORTER + "/endpoints/${__data.fields.endpoint}"),
        link("This page, for this endpoint alone", alone).target_blank(False),
    ]


def of_series() -> list[build.DashboardLink]:
    """From a line or a band to the exporter's page of its endpoint."""
    page = "${scheme}://${__field.labels.instance}/endpoints/${__field.labels.endpoint}"
    return [link("History, certificate and last dialogue", page)]


def status_page() -> build.DashboardLink:
    """From a table's row to the status page of its exporter."""
    return link("The exporter's status page", f"{_EXPORTER}/")


def remedy() -> build.DashboardLink:
    """From a reason to what it means and what to do."""
    return link("What it means, and the remedy", "${docs}/reasons.md#${__value.raw}")


def runbook() -> build.DashboardLink:
    """From an alert's name to its runbook."""
    return link("Runbook", "${docs}/runbooks/${__value.raw}.md")


def dashboard_links() -> list[Builder[model.DashboardLink]]:
    """At the top of the dashboard."""
    return [
        link("Runbooks", "${docs}/runbooks").icon("doc").tooltip("What to do when an alert fires"),
        link("Reasons and remedies", "${docs}/reasons.md").icon("question").tooltip("What a failure means"),
        link("This dashboard", "${docs}/dashboard.md").icon("info").tooltip("Every panel's question"),
        link("Status page of ${exporter}", "${scheme}://${exporter}/")
        .icon("external link")
        .tooltip("Of the first exporter that is chosen; each one is linked from the tables below"),
    ]
