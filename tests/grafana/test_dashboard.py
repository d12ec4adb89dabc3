"""The dashboard's JSON is current, complete, valid by Grafana's schema, and has no gaps or overlaps."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml
from grafana_foundation_sdk.cog import plugins
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models import units
from prometheus_client.metrics_core import Metric

from exporter.exposition.gmail import ALL_FAMILIES
from exporter.model.outcome import Phase
from exporter.model.reason import Blame
from exporter.monitor.instruments import ExporterMetrics
from grafana import dashboard as built
from grafana.links import DOCS
from tests.grafana.conftest import RULE_FILES

ROOT = Path(__file__).parents[2]
BOARD: dict[str, Any] = json.loads(built.FILE.read_text("utf-8"))
EVERYTHING = list(built.rows_and_panels(BOARD))
PANELS: list[dict[str, Any]] = [panel for panel in EVERYTHING if panel["type"] != "row"]
TARGETS = [(panel, target) for panel in PANELS for target in panel["targets"]]

RETIRED = {"graph", "singlestat", "table-old", "grafana-worldmap-panel", "grafana-piechart-panel", "heatmap-old"}
"""Panels of AngularJS, which Grafana 12 does not support."""

BY_NAME = re.compile(r"\b(?:gmail|process|scrape|up)(?:_\w+)?\b(?=[{\[])")


def _exposed(metric: Metric) -> str:
    return f"{metric.name}_total" if metric.type == "counter" else metric.name


NOT_SHOWN = {
    "gmail_control_up": "the verdict rests on it and names it; a control alone means nothing",
    "gmail_provider_incident_info": "the alert has the provider's own words and a link",
    "gmail_provider_status_last_success_timestamp_seconds": "an incident is not told while the status cannot be read",
    "gmail_tls_public_root": "0 raises an alert, and the table of certificates shows the issuer",
    "gmail_verdict_ground_info": "the page of the endpoint has it in words, and the alerts",
    "gmail_addresses_passed_over": "the page names them, and GmailAddressDown",
    "gmail_path_hops": "of a failing endpoint; its page shows the path itself, hop by hop",
    "gmail_path_last_answer_hop": "as gmail_path_hops",
    "gmail_delivery_timeout_seconds": "as configured; an alert goes by it",
    "gmail_exporter_shard_info": "an alert reports a missing shard; each running shard is an instance",
    "gmail_exporter_web_info": "links of alerts lead there; the panels link to each instance",
    "gmail_exporter_shards": "as gmail_exporter_shard_info",
    "process_virtual_memory_bytes": "means nothing for a program that maps files; resident memory is shown",
}


def of(panel: dict[str, Any]) -> str:
    """Return a panel's title, the name of its test."""
    title: str = panel["title"]
    return title


def exposed() -> set[str]:
    """Return every name that the exporter exposes, histograms by their base name."""
    families = [family.metric for family in ALL_FAMILIES]
    own = list(ExporterMetrics().registry.collect())
    return set(map(_exposed, (*families, *own)))


def test_the_file_is_current(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """It is what the code builds. The check, which `make check` runs too, reports a file that is not current."""
    monkeypatch.setattr("sys.argv", ["dashboard", "--check"])
    assert built.main() == 0
    monkeypatch.setattr(built, "UID", "another")
    assert built.main() == 1
    assert "make dashboard" in capsys.readouterr().err


def test_writing_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without --check the file is written."""
    monkeypatch.setattr("sys.argv", ["dashboard"])
    monkeypatch.setattr(built, "FILE", tmp_path / "new.json")
    assert built.main() == 0
    assert json.loads((tmp_path / "new.json").read_text("utf-8")) == BOARD


def test_grafanas_models_parse_it_completely() -> None:
    """The Foundation SDK's model of Grafana's schema parses and writes it without a change: no key is unknown."""
    plugins.register_default_plugins()
    again = json.loads(json.dumps(model.Dashboard.from_json(BOARD), cls=JSONEncoder))
    assert built.without_relics(again) == BOARD


def test_identity() -> None:
    """The address that alerts link to, the title, and a schema that Grafana need not migrate."""
    assert (BOARD["uid"], BOARD["title"]) == ("gmail-exporter", "Gmail")
    assert BOARD["schemaVersion"] == 41
    assert "style" not in BOARD  # retired
    assert "id" not in BOARD  # of one Grafana's database
    assert "__inputs" not in BOARD  # a dialog asks a person for these; provisioning cannot
    assert BOARD["refresh"] == "1m"


def test_nothing_is_retired() -> None:
    """It has no panel and no field that a current Grafana would have to migrate or does not support."""
    assert not {panel["type"] for panel in EVERYTHING} & RETIRED
    text = built.FILE.read_text("utf-8")
    for key in ('"displayMode": "hidden"', '"custom.displayMode"', '"time_options"', '"seriesOverrides"', '"yaxes"'):
        assert key not in text
    assert '"hideFrom"' not in text  # what schema 42 changed
    for name in ("nullPointMode", "$__name", "[[", "$interval"):
        assert name not in text


def test_ids() -> None:
    """Each panel has its own id and title: links use the id."""
    ids = [panel["id"] for panel in EVERYTHING]
    assert len(set(ids)) == len(ids)
    assert all(isinstance(each, int) and each > 0 for each in ids)
    titles = [panel["title"] for panel in EVERYTHING]
    assert len(set(titles)) == len(titles)


def test_layout() -> None:
    """No cell of the grid is used twice, and none is empty: otherwise Grafana would move panels."""
    taken: dict[tuple[int, int], str] = {}
    for panel in EVERYTHING:
        position = panel["gridPos"]
        for x in range(position["x"], position["x"] + position["w"]):
            for y in range(position["y"], position["y"] + position["h"]):
                assert (x, y) not in taken, f"{panel['title']} over {taken[x, y]}"
                taken[x, y] = panel["title"]
    assert {x for x, _ in taken} == set(range(24))
    assert len(taken) == 24 * (1 + max(y for _, y in taken))


def test_rows_are_in_reading_order() -> None:
    """Each row comes before its panels, which are in it where it is collapsed."""
    rows = [panel for panel in BOARD["panels"] if panel["type"] == "row"]
    assert [row["title"] for row in rows] == [row.TITLE for row in built.ROWS]
    assert [row["collapsed"] for row in rows] == [bool(row["panels"]) for row in rows]
    tops = [(panel["gridPos"]["y"], panel["gridPos"]["x"]) for panel in EVERYTHING]
    assert all(first < second for first, second in pairwise(tops))


def test_a_refresh_queries_the_first_two_rows_alone() -> None:
    """A third of all queries: Grafana does not query the panels of a collapsed row."""
    assert [row["collapsed"] for row in BOARD["panels"] if row["type"] == "row"] == [False] * 2 + [True] * 7
    refreshed = sum(len(panel["targets"]) for panel in BOARD["panels"] if panel["type"] != "row")
    assert refreshed <= 35 < len(TARGETS) / 2


@pytest.mark.parametrize("panel", PANELS, ids=of)
def test_every_panel_is_complete(panel: dict[str, Any]) -> None:
    """It has a question, how to read the answer, what to do, a data source, a unit, thresholds, and queries."""
    question, reading, action = panel["description"].split("\n\n")
    assert re.fullmatch(r"\*\*[A-Z].+\?\*\*", question)
    assert re.fullmatch(r"[A-Z“].+\.", reading)
    assert re.fullmatch(r"\*\*What to do:\*\* [A-Z].+\.", action)
    assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
    defaults = panel["fieldConfig"]["defaults"]
    known = {value for name, value in vars(units).items() if isinstance(value, str) and not name.startswith("_")}
    assert defaults["unit"] in known or defaults["unit"].startswith("suffix:")
    assert defaults["thresholds"]["steps"][0]["value"] is None
    values = [step["value"] for step in defaults["thresholds"]["steps"][1:]]
    assert values == sorted(values)
    assert defaults["noValue"]
    assert panel["targets"]
    assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])


@pytest.mark.parametrize(("panel", "target"), [pytest.param(p, t, id=f"{p['title']} {t['refId']}") for p, t in TARGETS])
def test_every_target_is_complete(panel: dict[str, Any], target: dict[str, Any]) -> None:
    """It queries the chosen data source, in the form that its panel draws, and only for the values chosen."""
    assert target["datasource"] == panel["datasource"]
    assert target["instant"] != target["range"]
    form = {"table": "table", "heatmap": "heatmap"}.get(panel["type"], "time_series")
    assert target["format"] == form
    assert target["instant"] == (panel["type"] in {"table", "stat", "bargauge"})
    for selector in re.findall(r"(?<![\w:])\w+\{([^}]*)\}", target["expr"]):
        assert "$job" in selector
        assert "$instance" in selector


@pytest.mark.parametrize("panel", [panel for panel in PANELS if panel["type"] == "table"], ids=of)
def test_every_column_has_a_heading(panel: dict[str, Any]) -> None:
    """A table names the columns it shows and sorts by one of them; every value has a unit and thresholds."""
    merge, keep, organize = panel["transformations"]
    assert [merge["id"], keep["id"], organize["id"]] == ["merge", "filterFieldsByName", "organize"]
    renamed = organize["options"]["renameByName"]
    assert set(organize["options"]["indexByName"]) == set(keep["options"]["include"]["names"]) == set(renamed)
    heads = {override["matcher"]["options"]: override["properties"] for override in panel["fieldConfig"]["overrides"]}
    assert set(heads) == set(renamed.values())
    assert all(head for head in heads)
    assert [sort["displayName"] in heads for sort in panel["options"]["sortBy"]] == [True]
    for name, head in renamed.items():
        if name.startswith("Value"):
            properties = {each["id"]: each["value"] for each in heads[head]}
            assert properties["unit"]
            assert properties["thresholds"]["steps"]


def test_one_colour_has_one_meaning() -> None:
    """Each party and each phase has the same colour on every panel."""
    seen: dict[str, set[str]] = {}
    for panel in PANELS:
        for override in panel["fieldConfig"]["overrides"]:
            for each in override["properties"]:
                if each["id"] == "color":
                    seen.setdefault(override["matcher"]["options"], set()).add(each["value"]["fixedColor"])
    assert {*Blame, *Phase} <= set(seen)
    assert all(len(colours) == 1 for colours in seen.values()), seen
    assert len({next(iter(seen[blame])) for blame in Blame}) == len(Blame)
    assert len({next(iter(seen[phase])) for phase in Phase}) == len(Phase)


def test_colours_come_with_words() -> None:
    """If a number stands for a state, each value has a text; not everyone can tell colours apart."""
    mapped = [
        (panel["title"], mapping)
        for panel in PANELS
        for mappings in (
            panel["fieldConfig"]["defaults"].get("mappings", []),
            *(
                each["value"]
                for override in panel["fieldConfig"]["overrides"]
                for each in override["properties"]
                if each["id"] == "mappings"
            ),
        )
        for mapping in mappings
    ]
    assert len(mapped) > 15
    for title, mapping in mapped:
        for result in mapping["options"].values():
            assert result["text"], title
            assert result["color"], title


def test_every_metric_in_a_query_exists() -> None:
    """Or it is Prometheus' own."""
    own = {"up", "scrape_duration_seconds", "scrape_samples_scraped"}
    for _, target in TARGETS:
        for name in BY_NAME.findall(target["expr"]):
            assert name in own or re.sub(r"_(bucket|sum|count)$", "", name) in exposed() | {name} & exposed(), name


def test_every_metric_is_shown() -> None:
    """Every metric of the exporter is on a panel, or there is a reason."""
    shown = {
        re.sub(r"_(bucket|sum|count)$", "", name) for _, target in TARGETS for name in BY_NAME.findall(target["expr"])
    }
    assert exposed() - shown == set(NOT_SHOWN)


def test_variables() -> None:
    """Each one comes after those that it uses; All is chosen, and is a short expression wherever possible."""
    variables = {variable["name"]: variable for variable in BOARD["templating"]["list"]}
    chosen = ["job", "instance", "tenant", "account", "protocol", "host", "endpoint"]
    assert list(variables) == ["datasource", *chosen, "exporter", "scheme", "docs"]
    expected = list(variables)
    for position, (name, variable) in enumerate(variables.items()):
        query = variable["query"]["query"] if isinstance(variable["query"], dict) else ""
        used = set(re.findall(r"\$(\w+)", query))
        assert used <= set(expected[:position]), name
        assert variable["description"]
        if variable["type"] == "query":
            assert variable["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
    for name in chosen[1:]:
        assert variables[name]["allValue"] == ".*"
        assert variables[name]["current"]["value"] == "$__all"
        assert variables[name]["multi"]
        assert variables[name]["includeAll"]
    # With `.*` for the job, the exporters that do not answer would be those of every job.
    assert "allValue" not in variables["job"]


def test_every_join_names_the_host() -> None:
    """An endpoint can have several hosts: `endpoint` alone does not tell them apart."""
    joins = [set(names.split(", ")) for names in re.findall(r"\bon \(([^)]*)\)", built.FILE.read_text("utf-8"))]
    assert any("endpoint" in names for names in joins)
    # A metric of a domain itself has the domain for that, and the exchange that it concerns.
    assert all(names >= {"host", "port"} or "domain" in names for names in joins if "endpoint" in names)


def test_links_have_a_target() -> None:
    """Every linked page of the documentation exists; docs/reasons.md has a heading for each reason."""
    text = built.FILE.read_text("utf-8")
    pages = set(re.findall(r"\$\{docs\}/([\w.-]+)", text)) - {"runbooks"}
    assert {"reasons.md", "dashboard.md"} <= pages
    assert not [page for page in pages if not (ROOT / "docs" / page).is_file()]
    assert "${docs}/runbooks/${__value.raw}.md" in text
    assert "### refused\n" in (ROOT / "docs/reasons.md").read_text("utf-8")
    assert "${scheme}://${__data.fields.instance}/endpoints/${__data.fields.endpoint}" in text
    assert f"/d/{BOARD['uid']}?var-endpoint=" in text
    assert any(link["url"] == "${scheme}://${exporter}/" for link in BOARD["links"])


def test_alerts_link_here() -> None:
    """Alerts link this dashboard, set variables that it has, and have the same placeholder for runbooks."""
    annotations = [
        rule["annotations"]
        for path in RULE_FILES
        for group in yaml.safe_load(path.read_text("utf-8")).get("groups", ())
        for rule in group["rules"]
        if "alert" in rule
    ]
    names = {variable["name"] for variable in BOARD["templating"]["list"]}
    for each in annotations:
        assert f"/d/{BOARD['uid']}?" in each["dashboard_url"]
        assert set(re.findall(r"[?&]var-(\w+)=", each["dashboard_url"])) <= names
        assert each["runbook_url"].startswith(f"{DOCS}/runbooks/")


def test_provisioning() -> None:
    """The data source knows its scrape interval, and the folder of dashboards is where the image has it."""
    provisioning = ROOT / "grafana/provisioning"
    sources = yaml.safe_load((provisioning / "datasources/prometheus.yml").read_text("utf-8"))
    assert sources["apiVersion"] == 1
    (source,) = sources["datasources"]
    assert (source["type"], source["uid"], source["isDefault"]) == ("prometheus", "prometheus", True)
    assert source["jsonData"]["timeInterval"] == "15s"
    boards = yaml.safe_load((provisioning / "dashboards/gmail-exporter.yml").read_text("utf-8"))
    (provider,) = boards["providers"]
    assert provider["options"]["path"] == "/var/lib/grafana/dashboards"
    assert provider["folder"]
