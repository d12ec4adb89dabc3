"""The chart is valid by the real Helm and by Kubernetes' own schemas, with several sets of values."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import helm_python as helm
import pytest
import yaml

from exporter import __version__, cli
from exporter.accounts.storage import SYSTEM
from exporter.config.load import load
from exporter.config.schema import CONFIGURATION
from exporter.model.settings import PORTS, Protocol, Security
from exporter.model.site import Site
from exporter.web.server.hosts import KnownHosts
from tests.deploy.chart import CHART, VALUES, VERSIONS, Manifest, lint, mistakes, render, values_of
from tests.deploy.debian import ROOT
from tests.servers.process import find_program

EVERYTHING: Mapping[str, Any] = {
    "config": {"endpoints": {"imap": {"protocol": "imap", "host": "imap.gmail.com"}}},
    "storage": {"type": "persistentVolumeClaim"},
    "serviceMonitor": {"enabled": True},
    "prometheusRule": {"enabled": True},
    "dashboard": {"enabled": True},
    "networkPolicy": {"enabled": True},
    "podDisruptionBudget": {"enabled": True},
}


def pod_of(objects: Mapping[str, Manifest]) -> dict[str, Any]:
    """Return the pod template of a release."""
    kind = "StatefulSet" if "StatefulSet" in objects else "Deployment"
    template: dict[str, Any] = objects[kind]["spec"]["template"]
    return template


@pytest.mark.parametrize("name", VALUES)
def test_helm_lint_finds_nothing(name: str) -> None:
    """Not even warnings."""
    assert lint(values_of(name)) == []


@pytest.mark.parametrize("name", VALUES)
def test_every_object_is_valid(name: str) -> None:
    """By Kubernetes' schemas of the oldest and the newest version; kinds of the operator by its own schemas."""
    objects = render(values_of(name))
    assert "Service" in objects
    assert len({"Deployment", "StatefulSet"} & set(objects)) == 1
    assert [problem for one in objects.values() for version in VERSIONS for problem in mistakes(one, version)] == []


def test_objects() -> None:
    """The objects that each set of values needs, and no others."""
    always = {"Deployment", "Service", "ServiceAccount"}
    expected = {
        "defaults": always,
        "extra": always,
        "locked": {"Deployment", "Service", "PodMonitor", "NetworkPolicy", "PodDisruptionBudget"},
        "login": always | {"ConfigMap", "PersistentVolumeClaim"},
        "operator": always | {"ServiceMonitor", "PrometheusRule", "Dashboard"},
        "placed": always,
        "sharded": always - {"Deployment"} | {"StatefulSet", "ConfigMap"},
    }
    assert {name: set(render(values_of(name))) for name in VALUES} == expected


@pytest.mark.parametrize("kind", sorted({*render(EVERYTHING), "PodMonitor"}))
def test_a_misspelt_key_is_a_mistake(kind: str) -> None:
    """In an object of every kind: all schemas are strict, also the operator's."""
    values = (
        {**EVERYTHING, "serviceMonitor": {}, "podMonitor": {"enabled": True}} if kind == "PodMonitor" else EVERYTHING
    )
    manifest = deepcopy(dict(render(values)[kind]))
    assert mistakes(manifest, VERSIONS[-1]) == []
    manifest.get("spec", manifest)["mispelt"] = True
    assert "mispelt" in str(mistakes(manifest, VERSIONS[-1]))


@pytest.mark.parametrize("name", VALUES)
def test_the_pod_is_restricted(name: str) -> None:
    """By the Pod Security Standard "restricted", with a read-only root, and without a token."""
    spec = pod_of(render(values_of(name)))["spec"]
    assert spec["automountServiceAccountToken"] is False
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec)
    admitted = {"configMap", "emptyDir", "persistentVolumeClaim", "secret"}
    assert all(len(volume) == 2 and admitted & set(volume) for volume in spec["volumes"])
    (container,) = spec["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


@pytest.mark.parametrize("name", VALUES)
def test_references_have_a_target(name: str) -> None:
    """Volumes exist and are mounted, selectors select the pod, ports have their names."""
    objects = render(values_of(name))
    pod = pod_of(objects)
    (container,) = pod["spec"]["containers"]
    claimed = objects.get("StatefulSet", {}).get("spec", {}).get("volumeClaimTemplates", ())
    volumes = [volume["name"] for volume in pod["spec"]["volumes"]] + [claim["metadata"]["name"] for claim in claimed]
    assert sorted(mount["name"] for mount in container["volumeMounts"]) == sorted(volumes)
    selectors: dict[str, Callable[[Any], Any]] = {
        "Deployment": lambda spec: spec["selector"]["matchLabels"],
        "StatefulSet": lambda spec: spec["selector"]["matchLabels"],
        "Service": lambda spec: spec["selector"],
        "PodMonitor": lambda spec: spec["selector"]["matchLabels"],
        "NetworkPolicy": lambda spec: spec["podSelector"]["matchLabels"],
        "PodDisruptionBudget": lambda spec: spec["selector"]["matchLabels"],
    }
    for kind, selector in selectors.items():
        if kind in objects:
            assert selector(objects[kind]["spec"]).items() <= pod["metadata"]["labels"].items()
    if "ServiceMonitor" in objects:
        service = objects["Service"]
        selected = objects["ServiceMonitor"]["spec"]["selector"]["matchLabels"]
        assert selected.items() <= service["metadata"]["labels"].items()
        assert (
            objects["ServiceMonitor"]["spec"]["endpoints"][0]["port"] == service["spec"]["ports"][0]["name"] == "http"
        )
    assert [port["name"] for port in container["ports"]] == [objects["Service"]["spec"]["ports"][0]["targetPort"]]
    if "ServiceAccount" in objects:
        assert pod["spec"]["serviceAccountName"] == objects["ServiceAccount"]["metadata"]["name"]


def test_each_pod_of_a_stateful_set_has_its_shard() -> None:
    """By its index and their number; each has a claim of its own, and there is no Deployment."""
    objects = render(values_of("sharded"))
    spec = objects["StatefulSet"]["spec"]
    (container,) = spec["template"]["spec"]["containers"]
    assert spec["replicas"] == 3
    assert "--shard=$(SHARD)/3" in container["args"]
    index, zone = container["env"]
    assert index["name"] == "SHARD"
    assert index["valueFrom"]["fieldRef"]["fieldPath"] == "metadata.labels['apps.kubernetes.io/pod-index']"
    assert zone == {"name": "TZ", "value": "UTC"}
    (claim,) = spec["volumeClaimTemplates"]
    assert claim["metadata"]["name"] == "storage"
    assert spec["serviceName"] == objects["Service"]["metadata"]["name"]


@pytest.mark.parametrize("name", VALUES)
def test_the_program_accepts_its_flags(name: str) -> None:
    """They are flags of the command line; the paths in them are mounted."""
    (container,) = pod_of(render(values_of(name)))["spec"]["containers"]
    # Kubernetes replaces variables; this is the only one.
    options = cli._parser().parse_args([argument.replace("$(SHARD)", "2") for argument in container["args"]])
    mounts = {Path(mount["mountPath"]) for mount in container["volumeMounts"]}
    assert (options.storage_path, options.storage_none) == (None, False)
    assert SYSTEM in mounts
    assert options.config_file is None or options.config_file.parent in mounts


def test_the_names_of_the_service_are_known() -> None:
    """By which other pods, and an Ingress, ask for the pages; and those of the values."""
    objects = render(values_of("extra"))
    (container,) = pod_of(objects)["spec"]["containers"]
    options = cli._parser().parse_args(container["args"])
    name, namespace = (objects["Service"]["metadata"][key] for key in ("name", "namespace"))
    hosts = KnownHosts(Site(options.external_url, tuple(options.allowed_hosts)), set())
    suffixes = ("", f".{namespace}", f".{namespace}.svc", f".{namespace}.svc.cluster.local")
    others = ("monitoring.example.com", "gmail.example.com", "x.gmail.example.com", "localhost", "10.0.0.7")
    for host in (*(f"{name}{suffix}" for suffix in suffixes), *others):
        assert hosts.knows(f"{host}:9993")
    assert not hosts.knows(f"{name}.evil.example")


@pytest.mark.parametrize(("name", "prefix"), [("operator", "/mail/gmail"), ("defaults", ""), ("extra", "")])
def test_the_path_of_the_address_is_a_prefix(name: str, prefix: str) -> None:
    """Of what Kubernetes and Prometheus ask for, as of the pages."""
    objects = render({**values_of(name), "serviceMonitor": {"enabled": True}})
    (container,) = pod_of(objects)["spec"]["containers"]
    options = cli._parser().parse_args(container["args"])
    assert Site.of(options.external_url, (), options.route_prefix, options.telemetry_path).route_prefix == prefix
    assert container["livenessProbe"]["httpGet"]["path"] == f"{prefix}/-/healthy"
    assert container["startupProbe"]["httpGet"]["path"] == f"{prefix}/-/healthy"
    assert container["readinessProbe"]["httpGet"]["path"].startswith(f"{prefix}/-/")
    (endpoint,) = objects["ServiceMonitor"]["spec"]["endpoints"]
    assert endpoint["path"] == f"{prefix}/metrics"
    pods = render({**values_of(name), "serviceMonitor": {"enabled": False}, "podMonitor": {"enabled": True}})
    (endpoint,) = pods["PodMonitor"]["spec"]["podMetricsEndpoints"]
    assert endpoint["path"] == f"{prefix}/metrics"


def test_the_configuration_is_the_value(tmp_path: Path) -> None:
    """It loads, texts are not converted, and its secrets are where the Secrets are mounted."""
    objects = render(values_of("login"))
    path = tmp_path / "gmail.yml"
    path.write_text(objects["ConfigMap"]["data"]["gmail.yml"], "utf-8")
    config = load(path, {})
    assert config.endpoints["submission"].labels == {"tenant": "007"}
    assert config.endpoints["imap"].interval == 60
    secret = config.accounts["ops"].app_password
    assert secret is not None
    assert secret.file is not None
    (container,) = pod_of(objects)["spec"]["containers"]
    assert str(secret.file.parent) in {mount["mountPath"] for mount in container["volumeMounts"]}


def test_a_changed_configuration_replaces_the_pod() -> None:
    """An unchanged configuration gives the same pod."""

    def pod(interval: str) -> Any:
        return pod_of(render({**EVERYTHING, "config": {"defaults": {"interval": interval}}}))

    assert pod("30s") == pod("30s")
    assert pod("30s") != pod("1m")


def test_the_rules_are_the_files(tmp_path: Path) -> None:
    """All rules of deploy/prometheus with Prometheus' templates unchanged; promtool accepts them."""
    files = sorted((ROOT / "deploy/prometheus").glob("gmail-*.yml"))
    assert len(files) >= 2
    groups = [group for path in files for group in yaml.safe_load(path.read_text("utf-8"))["groups"]]
    spec = render(EVERYTHING)["PrometheusRule"]["spec"]
    assert spec["groups"] == groups
    path = tmp_path / "rules.yml"
    path.write_text(json.dumps(spec), "utf-8")
    promtool = find_program("promtool", "prometheus")
    checked = subprocess.run([promtool, "check", "rules", path], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_alerts_can_be_disabled_labelled_and_linked() -> None:
    """A disabled alert is missing, the others link to the given addresses; recording rules are unchanged."""

    def rules(values: Mapping[str, Any]) -> list[dict[str, Any]]:
        groups = render(values)["PrometheusRule"]["spec"]["groups"]
        return [rule for group in groups for rule in group["rules"]]

    before, after = rules(EVERYTHING), rules(values_of("operator"))
    assert [rule.get("record") for rule in before if "record" in rule] == [r["record"] for r in after if "record" in r]
    alerts = {rule["alert"]: rule for rule in after if "alert" in rule}
    assert {rule["alert"] for rule in before if "alert" in rule} - set(alerts) == {"GmailEndpointSlow"}
    assert {rule["labels"]["team"] for rule in alerts.values()} == {"mail"}
    assert {rule["labels"]["severity"] for rule in alerts.values()} == {"critical", "warning"}
    for name, rule in alerts.items():
        assert rule["annotations"]["runbook_url"].startswith("https://wiki.example.com/gmail/"), name
        assert rule["annotations"]["dashboard_url"].startswith("https://grafana.example.com/d/"), name


def test_the_dashboard_is_the_file() -> None:
    """It is unchanged, with the namespace and the label that the sidecar searches for, and fits into a ConfigMap."""
    files = {path.name: path.read_text("utf-8") for path in (ROOT / "grafana").glob("*.json")}
    assert files
    dashboard = render(values_of("operator"))["Dashboard"]
    assert {name: text.strip() for name, text in dashboard["data"].items()} == {n: t.strip() for n, t in files.items()}
    assert (dashboard["metadata"]["namespace"], dashboard["metadata"]["labels"]["grafana_dashboard"]) == (
        "grafana",
        "1",
    )
    assert sum(map(len, files.values())) < 1 << 20


def allowed_ports(values: Mapping[str, Any]) -> tuple[set[int | str], set[int | str]]:
    """Return the ports of a network policy: from where scrapes come, and to where probes go; `*` is every port."""
    policy = render({**values, "networkPolicy": {"enabled": True, **values.get("networkPolicy", {})}})["NetworkPolicy"]
    assert mistakes(policy, VERSIONS[-1]) == []
    resolvers, *egress = policy["spec"]["egress"]
    assert resolvers == {"ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]}
    assert all(set(each) == {"ports"} for each in egress)
    rules = ([port for rule in policy["spec"][way] for port in rule["ports"]] for way in ("ingress", "egress"))
    ingress, outgoing = ({port.get("port", "*") for port in each if port["protocol"] == "TCP"} for each in rules)
    return ingress, outgoing - {53}


ENDPOINT = {"protocol": "imap", "host": "mail.example.com"}
OAUTH = {"client_id": "1", "client_secret": {"env": "A"}, "refresh_token": {"env": "B"}}


@pytest.mark.parametrize(
    ("config", "beside"),
    [
        ({}, {80, 443}),
        ({"endpoints": {"g": {**ENDPOINT, "host": "IMAP.gmail.com."}}, "verdict": {"controls": {}}}, {443}),
        ({"endpoints": {"g": {**ENDPOINT, "host": "google.com"}},
          "verdict": {"status": {"provider": "none"}}}, {80, 443}),
        ({"endpoints": {"g": {**ENDPOINT, "host": "pop.gmail.com"}},
          "verdict": {"controls": {}, "status": {"provider": "none"}}}, set()),
        ({"endpoints": {"a": {**ENDPOINT, "host": "notgmail.com"}},
          "verdict": {"controls": {"web": {"kind": "provider_web", "host": "www.google.com", "port": 442},
                                   "other": {"kind": "same_port", "host": "mail.example.org", "port": 994}}}}, {994}),
        ({"endpoints": {"a": {**ENDPOINT, "port": 1993}, "b": {**ENDPOINT, "port": 65535}}}, set()),
        ({"endpoints": {"mx": {"protocol": "smtp", "host": "a.org", "port": 25, "security": "starttls"}}}, set()),
        ({"endpoints": {"a": ENDPOINT}, "modules": {"m": {"protocol": "pop3"}}}, set()),
        ({"modules": {"m": {"protocol": "smtp", "port": 2525, "allow_hosts": ["a.example.com", "*.b.org:26"]}}}, {26}),
        ({"modules": {"m": {"protocol": "imap"}}, "probe": {"allow": ["x.org:144", "[2001:db8::1]:145", "2001::146"]}},
         {144, 145}),
        ({"modules": {"m": {"protocol": "imap"}}, "probe": {"allow": ["*:*"]}}, {"*"}),
        ({"endpoints": {"a": ENDPOINT}, "accounts": {"o": {"username": "u", "oauth2": OAUTH}}}, {443}),
        ({"endpoints": {"a": ENDPOINT},
          "accounts": {"o": {"username": "u", "oauth2": {**OAUTH, "token_uri": "https://id.example.com:8443/token?a=b:1"}}}},
         {8443}),
        ({"endpoints": {"a": ENDPOINT},
          "accounts": {"o": {"username": "u", "oauth2": {**OAUTH, "token_uri": "https://[2001:db8::1]:444/"}},
                       "p": {"username": "v", "oauth2": {**OAUTH, "token_uri": "https://id.example.com/token"}},
                       "q": {"username": "w", "app_password": {"env": "C"}}}},
         {444, 443}),
        ({"endpoints": {"a": ENDPOINT}, "accounts": {"s": {"username": "u", "service_account": {"env": "K"}}}}, {443}),
    ],
)  # fmt: skip
def test_the_network_policy_allows_what_the_configuration_names(
    tmp_path: Path, config: dict[str, Any], beside: set[int | str]
) -> None:
    """Every port that the program itself finds in it, those of patterns, token servers and evidence, and no others."""
    path = tmp_path / "gmail.yml"
    path.write_text(yaml.safe_dump(config), "utf-8")
    loaded = load(path if config else None, {})
    named: set[int | str] = {each.port for each in (*loaded.endpoints.values(), *loaded.modules.values())}
    # With a rule for every port, the others are not written down.
    assert allowed_ports({"config": config})[1] == (beside if "*" in beside else named | beside)


@pytest.mark.parametrize(("protocol", "security"), PORTS)
def test_the_network_policy_knows_the_registered_ports(protocol: Protocol, security: Security) -> None:
    """Of every protocol and security, as the program does."""
    one = {**ENDPOINT, "protocol": protocol.value, "security": security.value}
    assert allowed_ports({"config": {"endpoints": {"a": one}}})[1] == {PORTS[protocol, security]}


def test_the_network_policy_knows_the_ports_of_a_domain() -> None:
    """Its exchanges are at port 25, unless another is named, and its policies at 443."""
    one = {"protocol": "smtp", "domain": "example.com"}
    assert allowed_ports({"config": {"endpoints": {"mx": one}}})[1] == {25, 443}
    assert allowed_ports({"config": {"endpoints": {"mx": {**one, "port": 2525}}}})[1] == {2525, 443}


def test_the_network_policy_knows_the_ports_of_resolvers() -> None:
    """Over UDP and TCP, where they are not 53."""
    config = {
        "endpoints": {"imap": {"protocol": "imap", "host": "imap.example.com"}},
        "verdict": {"resolvers": ["192.0.2.53", "192.0.2.54:5353", "[2001:db8::53]:853", "2001:db8::54"]},
    }
    policy = render({"config": config, "networkPolicy": {"enabled": True}})["NetworkPolicy"]
    ports = [(each["port"], each["protocol"]) for each in policy["spec"]["egress"][0]["ports"]]
    assert ports == [(port, protocol) for port in (53, 5353, 853) for protocol in ("UDP", "TCP")]
    left_out = render({"config": config, "networkPolicy": {"enabled": True, "egressFromConfig": False}})
    assert len(left_out["NetworkPolicy"]["spec"]["egress"][0]["ports"]) == 2


def test_the_network_policy_knows_a_module_that_is_for_no_domain() -> None:
    """`domain: false` is as if nothing was said."""
    module = {"protocol": "smtp", "domain": False}
    assert allowed_ports({"config": {"modules": {"smtps": module}}})[1] == {465}


def test_ports_can_be_added_to_the_network_policy_and_left_out() -> None:
    """Those of an own configuration file are listed; what listens besides may be scraped."""
    own = {"existingConfigMap": "mine", "networkPolicy": {"egressPorts": [4190, 993]}}
    assert allowed_ports(own) == ({"http"}, {4190, 993})
    file = {"extraArgs": ["--config.file=/run/secrets/gmail/gmail.yml"], "networkPolicy": {"egressPorts": [25]}}
    assert allowed_ports(file)[1] == {25}
    assert allowed_ports({"networkPolicy": {"egressPorts": [25]}})[1] == {25, 80, 443, 465, 587, 993, 995}
    assert allowed_ports({"networkPolicy": {"egressFromConfig": False}})[1] == set()
    assert allowed_ports({"networkPolicy": {"egressFromConfig": False}, "existingConfigMap": "mine"})[1] == set()
    listening = ["--web.listen-address=:9994", "--web.listen-address=[::]:9995", "--log.level=debug"]
    assert allowed_ports({"extraArgs": listening})[0] == {"http", 9994, 9995}


def test_pages_behind_a_password_have_a_check_of_the_image() -> None:
    """Kubernetes has neither the password nor a client certificate."""
    (container,) = pod_of(render(values_of("locked")))["spec"]["containers"]
    command = {"command": ["python", "-m", "exporter.healthcheck"]}
    assert [container[f"{kind}Probe"]["exec"] for kind in ("startup", "liveness", "readiness")] == [command] * 3
    (container,) = pod_of(render(values_of("defaults")))["spec"]["containers"]
    assert container["livenessProbe"]["httpGet"] == {"path": "/-/healthy", "port": "http"}
    assert container["readinessProbe"]["httpGet"] == {"path": "/-/ready", "port": "http"}


def test_the_alerts_select_the_job() -> None:
    """Whatever the name of the release."""
    for values in ("operator", "locked"):
        objects = render(values_of(values), name="r")
        monitor = objects.get("ServiceMonitor") or objects["PodMonitor"]
        labelled = (
            objects["Service"]["metadata"] if monitor["kind"] == "ServiceMonitor" else pod_of(objects)["metadata"]
        )
        assert labelled["labels"][monitor["spec"]["jobLabel"]] == "gmail-exporter"


@pytest.mark.parametrize(
    ("release", "values", "name"),
    [
        ("gmail", {}, "gmail-gmail-exporter"),
        ("gmail-exporter", {}, "gmail-exporter"),
        ("r" * 53, {}, "r" * 53 + "-gmail-exp"),
        ("123", {"nameOverride": "mail"}, "123-mail"),
        ("gmail", {"fullnameOverride": "probe"}, "probe"),
    ],
)
def test_names(release: str, values: dict[str, Any], name: str) -> None:
    """They have at most 63 characters, and no word twice."""
    objects = render(values, name=release)
    assert objects["Deployment"]["metadata"]["name"] == name
    assert [problem for one in objects.values() for problem in mistakes(one, VERSIONS[-1])] == []


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"imagee": {}}, "additional properties 'imagee' not allowed"),
        ({"replicas": 3}, "additional properties 'replicas' not allowed"),
        ({"image": {"tag": 5}}, "at '/image/tag': got number, want string"),
        ({"image": {"digest": "latest"}}, "at '/image/digest': 'latest' does not match pattern"),
        ({"log": {"level": "verbose"}}, "at '/log/level': value must be one of 'debug', 'info', 'warn', 'error'"),
        ({"config": {"endpoint": {}}}, "at '/config': additional properties 'endpoint' not allowed"),
        ({"secrets": [{"name": "gmail"}]}, "at '/secrets/0': got object, want string"),
        ({"service": {"port": 99999}}, "at '/service/port': maximum: got 99,999, want 65,535"),
        ({"storage": {"type": "nfs"}}, "at '/storage/type': value must be one of 'emptyDir', 'persistentVolumeClaim'"),
        ({"serviceMonitor": {"interval": "30"}}, "at '/serviceMonitor/interval': '30' does not match pattern"),
        ({"prometheusRule": {"runbooks": "wiki"}}, "at '/prometheusRule/runbooks': 'wiki' does not match pattern"),
        ({"serviceMonitor": {"enabled": True}, "podMonitor": {"enabled": True}}, "would be scraped twice"),
        ({"config": EVERYTHING["config"], "existingConfigMap": "mine"}, "only one can be what runs"),
        ({"networkPolicy": {"enabled": True}, "existingConfigMap": "mine"}, "list those of its endpoints, modules"),
        ({"networkPolicy": {"enabled": True}, "extraArgs": ["--config.file=/x"]}, "in networkPolicy.egressPorts"),
        (
            {"networkPolicy": {"enabled": True}, "config": {"endpoints": {"a": {"protocol": "sieve", "host": "x"}}}},
            "config.endpoints.a: no port is known for sieve/tls: name it in `port`",
        ),
        ({"networkPolicy": {"egressPorts": ["imaps"]}}, "at '/networkPolicy/egressPorts/0': got string, want integer"),
        ({"shards": 0}, "at '/shards': minimum: got 0, want 1"),
        ({"shards": 2, "storage": {"existingClaim": "mine"}}, "each of several shards needs its own"),
    ],
)
def test_wrong_values_are_refused(values: dict[str, Any], message: str) -> None:
    """The message has the place, what was found and what was wanted."""
    with pytest.raises(helm.HelmError) as caught:
        render(values)
    assert message in str(caught.value)


def test_the_schema_has_exactly_the_values() -> None:
    """For each object whose keys have defaults in the chart."""

    def differences(schema: Mapping[str, Any], values: Mapping[str, Any], path: str = "") -> list[str]:
        properties = schema.get("properties", {})
        found = [f"{path}{key}" for key in set(values) - set(properties)] if properties else []
        if schema.get("additionalProperties") is False and values:
            found += [f"{path}{key}" for key in set(properties) - set(values)]
        for key in set(values) & set(properties):
            if isinstance(values[key], dict):
                found += differences(properties[key], values[key], f"{path}{key}.")
        return found

    schema = json.loads((CHART / "values.schema.json").read_text("utf-8"))
    values = yaml.safe_load((CHART / "values.yaml").read_text("utf-8"))
    # Keys of the configuration; the program itself validates what is below them.
    assert set(schema["properties"]["config"]["properties"]) == set(CONFIGURATION.keys)
    # Objects of Kubernetes, of which the defaults set only a part; and values that Helm passes to every chart.
    assert set(differences(schema, values)) == {
        "global",
        "dnsConfig.nameservers",
        "dnsConfig.searches",
        "resources.claims",
    }


def test_the_packaged_chart_renders_the_same(tmp_path: Path) -> None:
    """A package has the rules and the dashboard, but not the code that makes them."""
    with helm.Chart.load(helm.package(CHART, destination=tmp_path)) as packaged:
        assert all(file["name"].endswith((".json", ".yml", ".md", ".helmignore")) for file in packaged.files)
        rendered = packaged.render(dict(EVERYTHING), name="release", namespace="monitoring")
    text = rendered["gmail-exporter/templates/prometheusrule.yaml"]
    assert yaml.safe_load(text) == render(EVERYTHING)["PrometheusRule"]


@pytest.mark.parametrize(("part", "what"), [("prometheusRule", "rules"), ("dashboard", "dashboard")])
def test_a_copy_without_its_links_is_reported(tmp_path: Path, part: str, what: str) -> None:
    """It does not install an object without rules."""
    copy = tmp_path / CHART.name
    shutil.copytree(CHART, copy, ignore=lambda directory, _: ["prometheus", "grafana"] if "files" in directory else [])
    with helm.Chart.load(copy) as chart:
        assert chart.render({}, name="release")
        with pytest.raises(helm.HelmError, match=f"holds no {what} in files/"):
            chart.render({part: {"enabled": True}}, name="release")


def test_versions_agree() -> None:
    """The chart installs the version of this checkout."""
    about = yaml.safe_load((CHART / "Chart.yaml").read_text("utf-8"))
    assert about["appVersion"] == __version__


def test_the_readme_is_current_and_explains_every_value(tmp_path: Path) -> None:
    """`make check` checks this, too; a value without a comment is refused."""
    script = ROOT / "deploy/helm/readme.py"
    checked = subprocess.run([sys.executable, script, "--check"], capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stderr) == (0, "")
    (tmp_path / "gmail-exporter").mkdir()
    (tmp_path / "readme.py").write_text(script.read_text("utf-8"), "utf-8")
    for values, message in (
        ("# A comment.\na: 1\n", "not current"),
        ("# A comment.\na: 1\n\nb:\n  c: 2\n", "values.yaml:5: b.c"),
    ):
        (tmp_path / "gmail-exporter/values.yaml").write_text(values, "utf-8")
        command = [sys.executable, f"{tmp_path}/readme.py", "--check"]
        checked = subprocess.run(command, capture_output=True, text=True, check=False)
        assert checked.returncode == 1
        assert message in checked.stderr
