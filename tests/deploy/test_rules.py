"""Every alert through promtool: it fires at its minute, not on its near miss, and resolves."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from string import Template
from typing import Any

import pytest
import yaml

from exporter.exposition.gmail import ACCOUNT_FAMILIES, FAMILIES
from exporter.monitor.instruments import ExporterMetrics
from tests.servers.process import find_program

ROOT = Path(__file__).parent.parent.parent
PROMETHEUS = ROOT / "deploy" / "prometheus"
CASES = Path(__file__).parent / "rules"
SHIPPED: dict[str, dict[str, Any]] = {
    path.name: yaml.safe_load(path.read_text("utf-8")) for path in PROMETHEUS.glob("gmail-*.yml")
}
ALERTS = [rule for group in SHIPPED["gmail-alerts.yml"]["groups"] for rule in group["rules"]]
RECORDED = {rule["record"] for group in SHIPPED["gmail-recording.yml"]["groups"] for rule in group["rules"]}
RULES: dict[str, list[Any]] = {}
"""All rules by their names; an alert can have several."""
for rule in (rule for document in SHIPPED.values() for group in document["groups"] for rule in group["rules"]):
    RULES.setdefault(rule.get("alert") or rule["record"], []).append(rule)
NAMES = sorted({rule["alert"] for rule in ALERTS})


def labels(endpoint: str, port: str, *, instance: str = "a", family: str = "any") -> dict[str, str]:
    """The labels of a target of Gmail's, as the example configuration scrapes it."""
    protocol = {"imap": "imap", "pop3": "pop3"}.get(endpoint, "smtp")
    host = f"{'pop' if protocol == 'pop3' else protocol}.gmail.com"
    return {
        "job": "gmail",
        "instance": f"{instance}:9993",
        "endpoint": endpoint,
        "protocol": protocol,
        "host": host,
        "port": port,
        "ip_family": family,
    }


def written(pairs: dict[str, str], between: str) -> str:
    """Labels as PromQL or YAML writes them."""
    return ",".join(f'{name}{between}"{value}"' for name, value in pairs.items())


TARGETS = {
    "imap": labels("imap", "993"),
    "imap_b": labels("imap", "993", instance="b"),
    "imap_c": labels("imap", "993", instance="c"),
    "imap4": labels("imap", "993", family="ipv4"),
    "imap6": labels("imap", "993", family="ipv6"),
    "pop3": labels("pop3", "995"),
    "smtps": labels("smtps", "465"),
}
# $imap in a series, $everywhere_imap without job and instance and family; on an alert $of_imap_target, $of_imap without
# the family, and $of_imap_everywhere.
PLACES = {
    "rules": "[gmail-recording.yml, gmail-alerts.yml]",
    "alerts": "[gmail-alerts.yml]",
    "runbooks": "https://gmail-exporter.example/runbooks",
    "dashboard": "http://localhost:3000/d/gmail-exporter",
    "provider": "provider",  # the blame that exporters older than 0.1.0 call google
}
for name, all_labels in TARGETS.items():
    PLACES[name] = written(all_labels, "=")
    PLACES[f"of_{name}_target"] = written(all_labels, ": ")
    PLACES[f"of_{name}"] = written({n: v for n, v in all_labels.items() if n != "ip_family"}, ": ")
    everywhere = {n: v for n, v in all_labels.items() if n not in ("job", "instance", "ip_family")}
    PLACES[f"everywhere_{name}"] = written(everywhere, "=")
    PLACES[f"of_{name}_everywhere"] = written(everywhere, ": ")


def scenarios(path: Path, places: dict[str, str] = PLACES) -> str:
    """The scenarios in a file, with its places filled in."""
    return Template(path.read_text("utf-8")).substitute(places)


def named(text: str) -> set[str]:
    """The rules that a text names, and those that these name."""
    found: set[str] = set()
    while more := {*RULES} & set(re.findall(r"[\w:]+", text)) - found:
        found |= more
        text = str([RULES[name] for name in more])
    return found


def run_promtool(text: str, directory: Path, wanted: set[str]) -> None:
    """Fail where a scenario ends in another way than promtool finds, by the rules that are `wanted`.

    These are as shipped. promtool would take most of its time for the others, which decide nothing.
    """
    for name, document in SHIPPED.items():
        groups = [
            {**group, "rules": [rule for rule in group["rules"] if {rule.get("alert"), rule.get("record")} & wanted]}
            for group in document["groups"]
        ]
        used = {"groups": [group for group in groups if group["rules"]]}
        (directory / name).write_text(yaml.safe_dump(used, sort_keys=False), "utf-8")
    case = directory / "case.yml"
    case.write_text(text, "utf-8")
    promtool = find_program("promtool", "prometheus")
    run = subprocess.run([promtool, "test", "rules", str(case)], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.parametrize("name", NAMES)
def test_alert(name: str, tmp_path: Path) -> None:
    """By the scenarios in rules/NAME.yml."""
    text = scenarios(CASES / f"{name}.yml")
    run_promtool(text, tmp_path, named(text))


# Every rule that selects a blame or shows it. Certificates and budgets: no blame of theirs was google.
@pytest.mark.parametrize(
    "name",
    [
        "GmailDownEverywhere",
        "GmailEndpointDown",
        "GmailEndpointFlapping",
        "GmailIPv4OnlyFailing",
        "GmailIPv6OnlyFailing",
        "GmailLoginFailing",
        "GmailLoginSuspended",
        "GmailTokenRefreshFailing",
        "GmailUnreachableFromOneSite",
    ],
)
def test_alert_of_an_exporter_older_than_0_1_0(name: str, tmp_path: Path) -> None:
    """The same alert, word for word, where the exporter still exposes `google` for `provider`."""
    path = CASES / f"{name}.yml"
    assert "$provider" in path.read_text("utf-8")
    text = scenarios(path, {**PLACES, "provider": "google"})
    run_promtool(text, tmp_path, named(text))


def test_each_alert_has_its_scenarios_and_they_decide_something() -> None:
    """Each file is of an alert, and there it both fires and does not."""
    assert sorted(path.stem for path in CASES.glob("*.yml")) == NAMES
    for name in NAMES:
        cases = yaml.safe_load(scenarios(CASES / f"{name}.yml"))["tests"]
        looks = [look for case in cases for look in case["alert_rule_test"] if look["alertname"] == name]
        rules = [rule for rule in ALERTS if rule["alert"] == name]
        assert len([look for look in looks if look.get("exp_alerts")]) >= len(rules), name
        # Before its time, after its end, and on a near miss.
        assert len([look for look in looks if not look.get("exp_alerts")]) >= 3, name


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_each_alert_says_what_a_person_needs(rule: dict[str, dict[str, str]]) -> None:
    """Severity, summary, description with reason and blame, runbook and dashboard."""
    name = rule["alert"]
    assert rule["labels"]["severity"] in ("critical", "warning")
    annotations = rule["annotations"]
    assert set(annotations) == {"summary", "description", "runbook_url", "dashboard_url"}
    assert annotations["runbook_url"] == f"{PLACES['runbooks']}/{name}.md"
    assert annotations["dashboard_url"].startswith(f"{PLACES['dashboard']}?var-")
    assert "blame" in annotations["description"].lower()
    assert "\n" not in annotations["description"].strip()


def test_every_metric_that_is_asked_for_exists() -> None:
    """In expressions and in the queries of annotations, and every recorded series."""
    known = {family.metric.name for family in (*FAMILIES, *ACCOUNT_FAMILIES)}
    known |= {metric.name for metric in ExporterMetrics().registry.collect()}
    for path in PROMETHEUS.glob("gmail-*.yml"):
        text = re.sub(r"^ *#.*$", "", path.read_text("utf-8"), flags=re.MULTILINE)
        for name in re.findall(r"(?<![\w:/.-])gmail_\w+(?![\w:])", text):
            assert re.sub(r"_(total|bucket)$", "", name) in known, (path.name, name)
        assert set(re.findall(r"\b(?:instance_endpoint|endpoint|target):gmail_\w+:\w+", text)) <= RECORDED


def test_what_is_recorded(tmp_path: Path) -> None:
    """Vantage points, availability in every window, quantiles, the budget; by the scenarios in recording.yml."""
    run_promtool(scenarios(CASES.parent / "recording.yml"), tmp_path, RECORDED)
