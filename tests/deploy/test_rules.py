"""Every alert in promtool: it fires at its minute, does not fire on a near miss, and resolves.

`make test-rules PROMTOOL=PATH` runs these tests with the promtool of another version.
"""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from string import Template
from typing import Any

import pytest
import yaml

from exporter.config.kinds import LABELS_OF_ALERTS, RESERVED_LABELS
from exporter.exposition.gmail import ALL_FAMILIES
from exporter.monitor.instruments import ExporterMetrics
from tests.servers.process import find_program

ROOT = Path(__file__).parent.parent.parent
PROMETHEUS = ROOT / "deploy" / "prometheus"
CASES = Path(__file__).parent / "rules"
SHIPPED: dict[str, dict[str, Any]] = {
    path.name: yaml.safe_load(path.read_text("utf-8")) for path in PROMETHEUS.glob("gmail-*.yml")
}
ALL_RULES = [rule for document in SHIPPED.values() for group in document["groups"] for rule in group["rules"]]
ALERTS = [rule for rule in ALL_RULES if "alert" in rule]
RECORDED = {rule["record"] for rule in ALL_RULES if "record" in rule}
RULES: dict[str, list[Any]] = {}
"""All rules by their names; an alert can have several."""
for rule in ALL_RULES:
    RULES.setdefault(rule.get("alert") or rule["record"], []).append(rule)
NAMES = sorted({rule["alert"] for rule in ALERTS})
PROMTOOL = os.environ.get("PROMTOOL", "promtool")


def labels(endpoint: str, port: str, *, instance: str = "a", family: str = "any") -> dict[str, str]:
    """Return the labels of one of Gmail's endpoints, as scraped by the example configuration."""
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
    """Return labels as in PromQL or YAML."""
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
TARGETS |= {
    f"at_mail_{name}": {**labels(name, port), "host": "mail.example.com"}
    for name, port in (("imap", "993"), ("pop3", "995"), ("smtps", "465"), ("submission", "587"))
}
# $imap in a series, $everywhere_imap without job and instance and family; on an alert $of_imap_target, $of_imap without
# the family, and $of_imap_everywhere.
PLACEHOLDERS = {
    "rules": "[gmail-recording.yml, gmail-alerts.yml]",
    "alerts": "[gmail-alerts.yml]",
    "runbooks": "https://gmail-exporter.example/runbooks",
    "dashboard": "http://localhost:3000/d/gmail-exporter",
    "provider": "provider",  # the blame that exporters older than 0.2.0 call google
}
for name, all_labels in TARGETS.items():
    PLACEHOLDERS[name] = written(all_labels, "=")
    PLACEHOLDERS[f"of_{name}_target"] = written(all_labels, ": ")
    PLACEHOLDERS[f"of_{name}"] = written({n: v for n, v in all_labels.items() if n != "ip_family"}, ": ")
    PLACEHOLDERS[f"{name}_alert"] = written({n: v for n, v in all_labels.items() if n != "ip_family"}, "=")
    everywhere = {n: v for n, v in all_labels.items() if n not in ("job", "instance", "ip_family")}
    PLACEHOLDERS[f"everywhere_{name}"] = written(everywhere, "=")
    PLACEHOLDERS[f"of_{name}_everywhere"] = written(everywhere, ": ")


def scenarios(path: Path, values: dict[str, str] = PLACEHOLDERS) -> dict[str, Any]:
    """Return the scenarios of a file, with its placeholders filled in, and all of an alert's annotations.

    Those for the telephone are written out only where they are not as follows: verdict and blame are those of the
    description, no fact is known that decided, the remedy is the rule's own text, and without gmail_exporter_web_info
    no exporter has a page. pages.yml is about the pages.
    """
    # All values as text: 0x40, forty zeros more, is a number in YAML.
    document: dict[str, Any] = yaml.load(Template(path.read_text("utf-8")).substitute(values), yaml.BaseLoader)
    for case in document["tests"]:
        for each in case.get("alert_rule_test", ()):
            for alert in each.get("exp_alerts") or ():
                alert["exp_annotations"] = completed(each["alertname"], alert["exp_labels"], alert["exp_annotations"])
        for each in case.get("promql_expr_test", ()):
            for sample in each["exp_samples"] or ():
                sample["value"] = float(sample["value"])
    return document


def completed(name: str, labels: dict[str, str], written_out: dict[str, str]) -> dict[str, str]:
    """Return the annotations of an alert, with the others of the rule that sets these labels."""
    rules = [rule for rule in RULES[name] if rule["labels"].items() <= labels.items()]
    annotations = max(rules, key=lambda rule: len(rule["labels"]))["annotations"]
    verdicts = re.findall(r"Verdicts?: (\w+ ?\w*)", written_out["description"])
    blames = re.findall(r"[Bb]lame:? (\w+)(?=[.,])", written_out["description"])
    found = {"status_url": "", "remedy": annotations.get("remedy", ""), "blame": min(blames, default="")}
    found["verdict"] = verdicts[0].replace(" ", "_") if verdicts else ""
    found["ground"] = ""
    return {key: value for key, value in found.items() if key in annotations} | written_out


def named(text: str) -> set[str]:
    """Return the rules that a text names, and those that these rules name."""
    found: set[str] = set()
    while more := {*RULES} & set(re.findall(r"[\w:]+", text)) - found:
        found |= more
        text = str([RULES[name] for name in more])
    return found


def promtool(*arguments: str) -> None:
    """Run promtool, which must succeed."""
    argv = [find_program(PROMTOOL, "prometheus"), *arguments]
    run = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr


def run_promtool(document: dict[str, Any], directory: Path) -> None:
    """Run the scenarios with the shipped rules that they name, and fail if promtool finds a difference.

    promtool would take most of its time for the other rules, which have no effect here.
    """
    wanted = named(str(document))
    order = []
    for name, shipped in sorted(SHIPPED.items(), reverse=True):
        groups = [
            {**group, "rules": [rule for rule in group["rules"] if {rule.get("alert"), rule.get("record")} & wanted]}
            for group in shipped["groups"]
        ]
        used = {"groups": [group for group in groups if group["rules"]]}
        order += [group["name"] for group in used["groups"]]
        (directory / name).write_text(yaml.safe_dump(used, sort_keys=False), "utf-8")
    case = directory / "case.yml"
    # Recording first. promtool's own order of groups is random, and what an alert finds at its minute depends on it.
    case.write_text(yaml.safe_dump({**document, "group_eval_order": order}, sort_keys=False), "utf-8")
    promtool("test", "rules", str(case))


def test_promtool_accepts_the_rules() -> None:
    """Also a newer one, which may warn of what it will refuse one day."""
    promtool("check", "rules", *(str(PROMETHEUS / name) for name in SHIPPED))


def test_no_window_ends_at_a_sample() -> None:
    """A range includes its left end in Prometheus 2, and does not in 3: each is a second longer than a round time."""
    for path in PROMETHEUS.glob("gmail-*.yml"):
        windows = re.findall(r"\[(\w+)(?::\w+)?\]", re.sub(r"^ *#.*$", "", path.read_text("utf-8"), flags=re.MULTILINE))
        assert windows
        assert [window for window in windows if not re.fullmatch(r"[0-9]+[mhdw]1s", window)] == []


@pytest.mark.parametrize("name", NAMES)
def test_alert(name: str, tmp_path: Path) -> None:
    """The scenarios in rules/NAME.yml, with the shipped rules."""
    run_promtool(scenarios(CASES / f"{name}.yml"), tmp_path)


def test_the_pages_of_the_exporter(tmp_path: Path) -> None:
    """Where it says how a browser reaches it, the alert has the address of its page."""
    run_promtool(scenarios(CASES.parent / "pages.yml"), tmp_path)


# Every rule that selects or shows a blame. The others are about certificates and budgets, whose blame was never google.
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
def test_alert_of_an_exporter_older_than_0_2_0(name: str, tmp_path: Path) -> None:
    """The same alert, word for word, where the exporter still exposes `google` for `provider`."""
    path = CASES / f"{name}.yml"
    assert "$provider" in path.read_text("utf-8")
    run_promtool(scenarios(path, {**PLACEHOLDERS, "provider": "google"}), tmp_path)


OWN_LABELS = {"tenant": "acme", "customer": "north"}
"""An endpoint's own `labels`, as gmail_endpoint_info has them."""

OTHER_FAILURE = {"phase": "connect", "reason": "dns_not_found", "blame": "network"}


def parsed(series: str) -> tuple[str, dict[str, str]]:
    """Return the name and the labels of a series."""
    name, _, rest = series.partition("{")
    return name, dict(re.findall(r'(\w+)="([^"]*)"', rest))


def with_own_labels(case: dict[str, Any]) -> dict[str, Any]:
    """Return a scenario whose endpoints have labels of their own, and another host, and whose alerts have the labels.

    The other host answers. Its failure is only there to be found by a query that does not name the host.
    """
    inputs: list[dict[str, str]] = []
    targets: list[dict[str, str]] = []
    informed: list[dict[str, str]] = []
    for each in case["input_series"]:
        name, found = parsed(each["series"])
        identity = {label: value for label, value in found.items() if label in TARGETS["imap"]}
        if "ip_family" in found and identity not in targets:
            targets.append(identity)
        if name == "gmail_endpoint_info":
            found |= OWN_LABELS
            informed.append(identity)
        elif name.startswith("endpoint:"):
            found |= {"tenant": OWN_LABELS["tenant"]}
        inputs.append({**each, "series": f"{name}{{{written(found, '=')}}}"})
    for target in targets:
        other = {**target, "host": "other.example.com"}
        added = [("gmail_up", other), ("gmail_failure_info", {**other, **OTHER_FAILURE})]
        uninformed = (other,) if target in informed else (target, other)
        added += [("gmail_endpoint_info", {**each, "security": "tls", **OWN_LABELS}) for each in uninformed]
        inputs += [{"series": f"{name}{{{written(found, '=')}}}", "values": "1x600"} for name, found in added]
    tests = [
        {**each, "exp_alerts": [
            {**alert, "exp_labels": alert["exp_labels"] | own_labels_of(each["alertname"], alert["exp_labels"])}
            for alert in each.get("exp_alerts") or ()
        ]}
        for each in case["alert_rule_test"]
    ]  # fmt: skip
    kept = {key: value for key, value in case.items() if key != "promql_expr_test"}
    return {**kept, "input_series": inputs, "alert_rule_test": tests}


def own_labels_of(name: str, labels: dict[str, str]) -> dict[str, str]:
    """Return all of them for an alert of one endpoint at one exporter, or for a set of endpoints that share them.

    A mail domain may have no exchange, and so no series that has them.
    """
    if "domain" in labels and "port" not in labels:
        return {}
    if name == "GmailHostDown" or labels.keys() >= {"endpoint", "instance"}:
        return OWN_LABELS
    if labels.keys() & {"endpoint", "account"}:
        return {"tenant": OWN_LABELS["tenant"]}
    return {}


@pytest.mark.parametrize("name", NAMES)
def test_alert_with_the_labels_of_the_endpoint(name: str, tmp_path: Path) -> None:
    """The same, to the minute and the word, where endpoints have labels of their own, for Alertmanager's routes.

    And where each endpoint has a second host, which answers, as an endpoint with a `domain` will.
    Most scenarios are without gmail_endpoint_info: so the test above shows that no alert needs it.
    """
    document = scenarios(CASES / f"{name}.yml")
    document["tests"] = [with_own_labels(case) for case in document["tests"]]
    run_promtool(document, tmp_path)


def test_the_label_may_have_another_name(tmp_path: Path) -> None:
    """By the command that the file itself shows."""
    [command] = re.findall(
        r"sed -i '(s\S+)' gmail-recording.yml gmail-alerts.yml", (PROMETHEUS / "gmail-recording.yml").read_text("utf-8")
    )
    files = [tmp_path / name for name in SHIPPED]
    for path in files:
        path.write_text((PROMETHEUS / path.name).read_text("utf-8"), "utf-8")
    subprocess.run(["sed", "-i", command, *map(str, files)], check=True)
    promtool("check", "rules", *map(str, files))
    for path in files:
        expressions = str(yaml.safe_load(path.read_text("utf-8")))
        assert "customer" in expressions
        assert "tenant" not in expressions


def test_each_alert_has_scenarios_in_which_it_fires_and_in_which_not() -> None:
    """Each file belongs to an alert, which fires in some scenarios and not in others."""
    assert sorted(path.stem for path in CASES.glob("*.yml")) == NAMES
    for name in NAMES:
        cases = scenarios(CASES / f"{name}.yml")["tests"]
        evaluations = [each for case in cases for each in case["alert_rule_test"] if each["alertname"] == name]
        rules = [rule for rule in ALERTS if rule["alert"] == name]
        assert len([each for each in evaluations if each.get("exp_alerts")]) >= len(rules), name
        # Before its time, after its end, and on a near miss.
        assert len([each for each in evaluations if not each.get("exp_alerts")]) >= 3, name


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_each_alert_is_complete(rule: dict[str, dict[str, str]]) -> None:
    """It has a severity, a summary, a description with the blame, a runbook and a dashboard; more for a telephone."""
    name = rule["alert"]
    assert rule["labels"]["severity"] in ("critical", "warning")
    annotations = rule["annotations"]
    assert set(annotations) - {"verdict", "ground", "blame", "remedy", "status_url"} == {
        "summary",
        "description",
        "runbook_url",
        "dashboard_url",
    }
    assert annotations["runbook_url"] == f"{PLACEHOLDERS['runbooks']}/{name}.md"
    assert annotations["dashboard_url"].startswith(f"{PLACEHOLDERS['dashboard']}?var-")
    assert "blame" in annotations["description"].lower()
    assert "\n" not in annotations["description"].strip()


def test_every_metric_in_a_query_exists() -> None:
    """In expressions and in annotations; recorded series, too."""
    known = {family.metric.name for family in ALL_FAMILIES}
    known |= {metric.name for metric in ExporterMetrics().registry.collect()}
    known |= {"gmail_exporter_web_info"}  # with --web.external-url alone
    for path in PROMETHEUS.glob("gmail-*.yml"):
        text = re.sub(r"^ *#.*$", "", path.read_text("utf-8"), flags=re.MULTILINE)
        for name in re.findall(r"(?<![\w:/.-])gmail_\w+(?![\w:])", text):
            assert re.sub(r"_(total|bucket)$", "", name) in known, (path.name, name)
        assert set(re.findall(r"\b(?:instance_endpoint|endpoint|target):gmail_\w+:\w+", text)) <= RECORDED


def test_every_join_names_the_host() -> None:
    """An endpoint can have several hosts: what tells endpoints apart at an exporter names host and port as well."""
    for path in (*PROMETHEUS.glob("gmail-*.yml"), PROMETHEUS.parent / "alertmanager" / "alertmanager.yml"):
        text = path.read_text("utf-8")
        # GmailDomainDown, which alerts about an endpoint inhibit, has no host.
        text = text.replace('[alertname="GmailDomainDown"]\n    equal: [job, instance, endpoint]', "")
        joins = re.findall(r"\bon \(([^)]*)\)|equal: \[([^]]*)\]", text)
        named = [set(re.findall(r"\w+", "".join(join))) for join in joins]
        assert all(names >= {"host", "port"} for names in named if "endpoint" in names and "domain" not in names), (
            path.name
        )
        selectors = [each for each in re.findall(r"\{([^{}]*)\}", text) if "endpoint=%q" in each]
        assert all("host=%q,port=%q" in each for each in selectors), path.name


def test_no_label_of_an_endpoint_is_lost() -> None:
    """What the rules drop from its labels, or set themselves, no configuration can have."""
    texts = [rule["expr"] for rule in ALL_RULES]
    dropped = [name for text in texts for name in re.findall(r"without \(([^)]*)\) \(\s*\(?gmail_endpoint_info", text)]
    joined = [name for text in texts for name in re.findall(r"group_left \((reason, [^)]*)\)", text)]
    lost = set(re.findall(r"\w+", " ".join([*dropped, *joined])))
    lost |= {name for rule in ALERTS for name in rule["labels"]} - {"window"}  # of alerts that have `tenant` alone
    assert {"security", "le", "phase", "reason", "denial", "severity"} <= lost <= RESERVED_LABELS | LABELS_OF_ALERTS


def test_recording(tmp_path: Path) -> None:
    """Vantage points, availability in every window, quantiles and budget, by the scenarios in recording.yml."""
    document = scenarios(CASES.parent / "recording.yml")
    run_promtool({**document, "tests": [*document["tests"], {"name": str(RECORDED)}]}, tmp_path)
