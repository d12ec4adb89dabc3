"""Every query of the dashboard and of the rules runs on a real Prometheus, and returns what the script says."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from grafana.dashboard import FILE, rows_and_panels
from tests.grafana.conftest import RULE_FILES
from tests.grafana.substitution import ALL, View, seconds, substitute
from tests.servers.life import END, INSTANCES, JOB, MOVED, START, Past

ROOT = Path(__file__).parents[2]
BOARD: dict[str, Any] = json.loads(FILE.read_text("utf-8"))
PANELS: dict[str, dict[str, Any]] = {
    f"{panel['title']} ({panel['id']})": panel for panel in rows_and_panels(BOARD) if panel["type"] != "row"
}

VARIABLES = {variable["name"]: variable for variable in BOARD["templating"]["list"]}
VIEW = View(
    range=END - START,
    interval=15.0,
    chosen=dict.fromkeys(("job", "instance", "tenant", "account", "protocol", "host", "endpoint"), ALL),
    all_values={name: variable["allValue"] for name, variable in VARIABLES.items() if "allValue" in variable},
    options={"job": [JOB]},
)

EMPTY: dict[str, str] = {}
"""Queries that rightly return nothing from the scripted life, by their name, and why."""

EMPTY_RULES: dict[str, str] = {
    **dict.fromkeys(
        (f"GmailDelivery{what}" for what in ("InSpam", "Leftover", "Slow")),
        "of the messages in that life, some are missing and some are not believed, and no more",
    ),
    "GmailDomainLookupFailing": "all look-ups of that life succeed",
    "GmailAddressDown": "no name of that life has an address that does not serve while another does",
    "GmailEndpointSlow": "compares with a week, or needs a median above 5 s",
    "GmailShardMissing": "neither exporter of that life is a shard",
    "target:gmail_login_consecutive_failures:lasting": "logins have to fail for 45 minutes",
    "target:gmail_login_held:elsewhere": "no endpoint is held for a refusal at another one",
    "target:gmail_probe_duration_seconds:p50_1w": "needs at least a day of history",
}
"""Rules that rightly return nothing, by the name of the record or the alert, and why."""


class PanelQuery(NamedTuple):
    """A query of a panel."""

    name: str
    expression: str
    step: str | None
    instant: bool
    panel: dict[str, Any]
    legend: str = ""


TARGETS = [
    PanelQuery(f"{name} {t['refId']}", t["expr"], t.get("interval"), t["instant"], panel, t.get("legendFormat", ""))
    for name, panel in PANELS.items()
    for t in panel["targets"]
]
RULES = [
    (rule.get("alert") or rule["record"], rule["expr"])
    for path in RULE_FILES
    for group in (yaml.safe_load(path.read_text("utf-8")) or {}).get("groups", ())
    for rule in group["rules"]
]


def query_of(title: str, ref: str = "A") -> PanelQuery:
    """The query of a panel, by its title."""
    (found,) = (each for each in TARGETS if each.panel["title"] == title and each.name.endswith(f" {ref}"))
    return found


def answer(past: Past, query: PanelQuery, view: View = VIEW) -> list[dict[str, Any]]:
    """Return what Grafana would get: the labels of each series, with its last value as `value`."""
    promql = substitute(query.expression, view, query.step)
    if query.instant:
        return [{**sample.labels, "value": sample.value} for sample in past.query(promql, at=END)]
    step = max(view.interval, seconds(query.step) if query.step else 0)
    series = past.query_range(promql, START, END, step)
    return [{**samples[-1].labels, "value": samples[-1].value} for samples in series]


def test_there_are_queries() -> None:
    """The tests below would pass with a dashboard without queries."""
    assert len(PANELS) > 40
    assert len(TARGETS) > 80
    assert set(EMPTY) <= {each.name for each in TARGETS}


@pytest.mark.parametrize("query", TARGETS, ids=[each.name for each in TARGETS])
def test_every_query_returns_data(past: Past, query: PanelQuery) -> None:
    """From the scripted quarter of an hour, with everything chosen; at least one value is a number."""
    found = answer(past, query)
    assert bool(found) != (query.name in EMPTY), found
    assert any(series["value"] == series["value"] for series in found) or query.name in EMPTY


@pytest.mark.parametrize("query", TARGETS, ids=[each.name for each in TARGETS])
def test_no_graph_draws_every_endpoint(past: Past, query: PanelQuery) -> None:
    """A graph draws single endpoints only for a few that it selects. Every label of a legend is on its series."""
    found = answer(past, query)
    if query.panel["type"] == "table":
        return
    by_endpoint = any("endpoint" in series for series in found)
    assert by_endpoint == ("topk(" in query.expression and "{{endpoint}}" in query.legend)
    for label in re.findall(r"\{\{(\w+)\}\}", query.legend):
        assert all(label in series for series in found), label


@pytest.mark.parametrize(
    "panel", [each for each in PANELS.values() if each["type"] == "table"], ids=lambda p: p["title"]
)
def test_every_column_has_data(past: Past, panel: dict[str, Any]) -> None:
    """Each label that a table shows is on a series; the first query has the rows of all others."""
    answers = [answer(past, each) for each in TARGETS if each.panel["id"] == panel["id"]]
    shown = [
        name for name in panel["transformations"][1]["options"]["include"]["names"] if not name.startswith("Value")
    ]
    labels = {label for found in answers for series in found for label in series}
    assert set(shown) <= labels
    common = {name for name in shown if all(name in series for found in answers for series in found)}
    rows = [{tuple(series[name] for name in sorted(common)) for series in found} for found in answers]
    assert all(row <= rows[0] for row in rows)


LABEL_VALUES = re.compile(r"label_values\((.+), (\w+)\)")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("job", {JOB}),
        ("instance", set(INSTANCES)),
        ("tenant", {"example"}),
        ("account", {"ops", "workspace"}),
        ("protocol", {"imap", "pop3", "smtp"}),
        ("endpoint", {"imap", "pop3", "smtps", "submission", "workspace", "second", "mx", "domain"}),
        (
            "host",
            {"imap.gmail.com", "pop.gmail.com", "smtp.gmail.com", "gmail-smtp-in.l.google.com"}
            | {"mx1.example.com", "mx2.example.com"},
        ),
        ("exporter", set(INSTANCES)),
    ],
)
def test_every_variable_offers_all_values(past: Past, name: str, expected: set[str]) -> None:
    """By the query that Grafana makes: the series in the range, and one of their labels."""
    match = LABEL_VALUES.fullmatch(VARIABLES[name]["query"]["query"])
    assert match
    series = past.get(
        "/api/v1/series", **{"match[]": substitute(match[1], VIEW), "start": repr(START), "end": repr(END)}
    )
    assert {each[match[2]] for each in series if each.get(match[2])} == expected


def test_every_variable_is_tested() -> None:
    """The test above has all variables that query Prometheus."""
    queries = {name for name, variable in VARIABLES.items() if variable["type"] == "query"}
    assert queries == {"job", "instance", "tenant", "account", "protocol", "host", "endpoint", "exporter"}


def test_endpoints_are_offered_by_account(past: Past) -> None:
    """The variables are chained: with an account, only its endpoints."""
    match = LABEL_VALUES.fullmatch(VARIABLES["endpoint"]["query"]["query"])
    assert match
    view = replace(VIEW, chosen={**VIEW.chosen, "account": "ops"})
    series = past.get(
        "/api/v1/series", **{"match[]": substitute(match[1], view), "start": repr(START), "end": repr(END)}
    )
    assert {each["endpoint"] for each in series} == {"imap", "pop3"}


@pytest.mark.parametrize("annotation", BOARD["annotations"]["list"], ids=lambda each: each["name"])
def test_every_annotation_marks_something(past: Past, annotation: dict[str, Any]) -> None:
    """And each label in its text is on at least one series."""
    found = past.query_range(
        substitute(annotation["target"]["expr"], VIEW), START, END, seconds(annotation["target"]["interval"])
    )
    assert found
    labels = {label for series in found for label in series[0].labels}
    assert set(re.findall(r"\{\{(\w+)\}\}", annotation["titleFormat"])) <= labels


def test_every_rule_returns_something(past: Past) -> None:
    """In the scripted life, on a real Prometheus, unless there is a reason."""
    found: dict[str, bool] = {}
    for name, expression in RULES:
        found[name] = bool(past.query_range(expression, START, END, 15.0)) or found.get(name, False)
    assert {name for name, finds in found.items() if not finds} == set(EMPTY_RULES) & set(found)


def values(past: Past, title: str, ref: str = "A", view: View = VIEW) -> dict[str, float]:
    """The values of a panel by what distinguishes its series: endpoint, IP family and instance."""
    return {
        " ".join(series[label] for label in ("endpoint", "ip_family", "instance") if label in series): series["value"]
        for series in answer(past, query_of(title, ref), view)
    }


def test_what_is_down(past: Past) -> None:
    """At the end: submission and an exchange from both, POP3 from London, one address family to the MX from each."""
    assert answer(past, query_of("Down")) == [{"value": 7}]
    blames = {series["blame"]: series["value"] for series in answer(past, query_of("Whose fault"))}
    assert blames == {"provider": 4, "account": 4, "token": 2, "client": 1, "unknown": 2}
    assert answer(past, query_of("Up")) == [{"value": 13}]
    states = values(past, "Every endpoint")
    assert states["submission any london:9993"] == 0
    assert states["imap any tokyo:9993"] == 1
    assert states["smtps any tokyo:9993"] == 2
    assert len(states) == 16 + 2  # the two exchanges of the domain have one name
    assert answer(past, query_of("Exporters silent")) == [{"value": 0}]
    assert answer(past, query_of("Probes stalled")) == [{"value": 1}]


def test_old_series_show_as_new_ones(past: Past) -> None:
    """Exporters older than 0.2.0 expose `google` for `provider`: the two are one on every panel and every mark."""
    assert past.query('gmail_failure_info{blame="google"}', at=END)
    assert past.query('gmail_failure_info{blame="provider"}', at=END)
    shown = [query for query in TARGETS if "gmail_failure_info" in query.expression]
    blames = [{series.get("blame") for series in answer(past, query)} for query in shown]
    assert sum("provider" in found for found in blames) == 6
    assert not any("google" in found for found in blames)
    # The failure that London saw before and after its update is that of one endpoint.
    endpoints = {
        (series["phase"], series["reason"], series["blame"]): series["value"]
        for series in answer(past, query_of("What failed in this range", "B"))
    }
    assert endpoints["capability", "timeout", "provider"] == 2


def test_no_party_is_at_fault_while_nothing_fails(past: Past) -> None:
    """The panel shows that, rather than no data, which would mean that nothing is monitored."""
    view = replace(VIEW, chosen={**VIEW.chosen, "endpoint": "smtps"})
    assert answer(past, query_of("Whose fault"), view) == [{"blame": "nobody", "value": 0}]
    nowhere = replace(VIEW, chosen={**VIEW.chosen, "endpoint": "no such endpoint"})
    for title in ("Down", "Whose fault", "Up", "Probes stalled"):
        assert answer(past, query_of(title), nowhere) == []


def test_the_filter_by_account(past: Past) -> None:
    """All includes endpoints without an account; one account shows only its own, in every panel about endpoints."""
    view = replace(VIEW, chosen={**VIEW.chosen, "account": "ops"})
    assert {each.split()[0] for each in values(past, "Every endpoint")} >= {"imap", "smtps", "mx"}
    assert {each.split()[0] for each in values(past, "Every endpoint", view=view)} == {"imap", "pop3"}
    for query in TARGETS:
        for series in answer(past, query, view):
            if not query.expression.startswith("2 * max by (alertname"):  # alerts have no account
                assert series.get("endpoint", "imap") in {"imap", "pop3"}, query.name
                assert series.get("account", "ops") == "ops", query.name


@pytest.mark.parametrize(
    ("name", "value", "endpoints"),
    [("tenant", "example", {"workspace", "domain"}), ("host", "smtp.gmail.com", {"smtps", "submission"})],
)
def test_the_filters_by_tenant_and_host(past: Past, name: str, value: str, endpoints: set[str]) -> None:
    """Each shows its own endpoints in every panel; an alert about a tenant's endpoint has the tenant."""
    view = replace(VIEW, chosen={**VIEW.chosen, name: value})
    assert {each.split()[0] for each in values(past, "Every endpoint", view=view)} == endpoints
    for query in TARGETS:
        if query.expression.startswith("2 * max by (alertname"):  # the alerts of that life have no tenant
            continue
        found = answer(past, query, view)
        assert {series["endpoint"] for series in found if "endpoint" in series} <= endpoints, query.name


def test_mail_domains(past: Past) -> None:
    """One exchange of two is down, which the policy does not name; the records were changed nine minutes ago."""
    (london, tokyo) = sorted(answer(past, query_of("Domains")), key=lambda series: str(series["instance"]))
    assert (london["domain"], london["value"], tokyo["value"]) == ("example.com", 1, 1)
    values_of = {ref: {series["value"] for series in answer(past, query_of("Domains", ref))} for ref in "BCDFG"}
    assert values_of == {"B": {2}, "C": {1}, "D": {1}, "F": {86400 - (END - START)}, "G": {0}}
    exchanges = {series["host"]: series["value"] for series in answer(past, query_of("Exchanges", "B"))}
    assert exchanges == {"mx1.example.com": 1, "mx2.example.com": 0}
    (failing, _) = answer(past, query_of("Exchanges", "C"))
    assert (failing["host"], failing["reason"], failing["blame"]) == ("mx2.example.com", "server_busy", "provider")
    wrong = {
        (series["reason"], series.get("host", "")) for series in answer(past, query_of("What is wrong with a domain"))
    }
    assert wrong == {("mta_sts_testing", ""), ("mta_sts_mx_mismatch", "mx2.example.com")}
    assert {series["value"] for series in answer(past, query_of("Changes"))} == {END - START - 60 * MOVED}
    view = replace(VIEW, chosen={**VIEW.chosen, "host": "mx2.example.com"})
    assert {series["host"] for series in answer(past, query_of("Exchanges"), view)} == {
        "mx1.example.com",
        "mx2.example.com",
    }
    tables = (
        "Domains",
        "Exchanges",
        "What is wrong with a domain",
        "Changes",
        "Exchanges that are up",
        "Faults of domains",
    )
    for name, value, is_shown in (
        ("tenant", "nobody", False),
        ("tenant", "example", True),
        ("protocol", "imap", False),
        ("protocol", "smtp", True),
    ):
        view = replace(VIEW, chosen={**VIEW.chosen, name: value})
        assert [bool(answer(past, query_of(table), view)) for table in tables] == [is_shown] * len(tables), value


def test_how_available_it_was(past: Past) -> None:
    """IMAP was down for two minutes of fifteen in London, which spends the budget many times over."""
    view = replace(VIEW, chosen={**VIEW.chosen, "endpoint": "imap", "instance": INSTANCES[0]})
    (availability,) = answer(past, query_of("Availability in this range"), view)
    assert availability["value"] == pytest.approx(13 / 15, abs=0.01)
    (left,) = answer(past, query_of("Budget left in this range"), view)
    assert left["value"] == pytest.approx(1 - (2 / 15) / 0.001, rel=0.05)
    assert values(past, "Least available", "B", view)["imap any london:9993"] == pytest.approx(120, abs=16)
    worst = values(past, "Least available")
    assert min(worst, key=lambda name: worst[name]) == "mx ipv6 tokyo:9993"


def test_when_it_was_down(past: Past) -> None:
    """The timeline shows the outage in the minutes of the outage, the failing login after it, and Tokyo's silence."""
    query = query_of("When was each endpoint down")
    promql = substitute(query.expression, VIEW, query.step)
    series = {
        (samples[0].labels["endpoint"], samples[0].labels["instance"]): {
            round((sample.timestamp - START) / 60): sample.value for sample in samples
        }
        for samples in past.query_range(promql, START, END, 60)
    }
    london, tokyo = (series["imap", instance] for instance in INSTANCES)
    assert [london[minute] for minute in (1, 2, 4, 8, 12, 15)] == [2, 2, 0, 2, 1, 1]
    assert tokyo[6] == 0
    assert 7 not in tokyo


def test_network_and_server_are_separate(past: Past) -> None:
    """While answers were slow, the server's share grew, and the network's did not."""
    shares = {}
    for ref, name in zip("ABCD", ("resolve", "network", "tls", "server"), strict=True):
        query = query_of("Network or server", ref)
        promql = substitute(query.expression, VIEW, query.step)
        (samples,) = past.query_range(promql, START, END, 60)
        minutes = {round((sample.timestamp - START) / 60): sample.value for sample in samples}
        shares[name] = minutes[8] / minutes[2]
    assert shares["server"] > 4
    assert max(shares["resolve"], shares["network"], shares["tls"]) < 1.7


def test_what_failed(past: Past) -> None:
    """The table of failures adds up the time: IMAP was refused for two minutes, seen by two."""
    rows = {
        (series["phase"], series["reason"], series["blame"]): series["value"]
        for series in answer(past, query_of("What failed in this range"))
    }
    assert rows["connect", "refused", "unknown"] == pytest.approx(240, abs=31)
    assert rows["capability", "timeout", "provider"] == pytest.approx(240, abs=31)


def test_logins(past: Past) -> None:
    """The refused account is held, the others are not, and the table says why."""
    held = values(past, "Logins")
    assert held["imap any london:9993"] == 1
    assert held["workspace any london:9993"] == 0
    reasons = {series["endpoint"]: series["denial"] for series in answer(past, query_of("Logins", "I"))}
    assert reasons["imap"] == "hold"
    assert values(past, "Logins", "F")["imap any london:9993"] == 1
    tokens = answer(past, query_of("Tokens", "E"))
    assert {series["reason"] for series in tokens} == {"oauth_grant_revoked"}
