"""The Compose files are valid by the specification, and everything that they refer to exists."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from compose_spec import PyOptions

from exporter import cli
from exporter.accounts.storage import SYSTEM
from exporter.config.load import load
from tests.deploy.debian import ROOT
from tests.servers.process import find_program

DIRECTORY = ROOT / "deploy/docker-compose"
TEXTS = {path.name: path.read_text("utf-8") for path in (DIRECTORY / "docker-compose.yml", DIRECTORY / "login.yml")}
MAIN = yaml.safe_load(TEXTS["docker-compose.yml"])
LOGIN = yaml.safe_load(TEXTS["login.yml"])
SERVICES: dict[str, Any] = MAIN["services"]

PORTS = {"gmail-exporter": 9993, "prometheus": 9090, "alertmanager": 9093, "grafana": 3000}


def mounts(service: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Yield source, target and mode of each volume of a service."""
    for volume in service.get("volumes", []):
        source, target, *mode = volume.split(":")
        yield source, target, mode[0] if mode else "rw"


@pytest.mark.parametrize("name", TEXTS)
def test_the_files_are_valid(name: str) -> None:
    """Each file alone."""
    PyOptions(apply_merge=True).from_yaml(TEXTS[name]).validate()


@pytest.mark.parametrize(
    ("right", "wrong", "message"),
    [
        ("read_only:", "read_onyl:", "read_onyl"),
        ("condition: service_healthy", "condition: service_fine", "service_fine"),
        ("interval: 30s", "interval: soon", "soon"),
        ("127.0.0.1:3000:3000", "127.0.0.1:3000:http", "http"),
        ("mem_limit: 1g", "mem_limit: 1q", "1q"),
    ],
)
def test_the_specification_is_strict(right: str, wrong: str, message: str) -> None:
    """A wrong key, condition, duration, port or size is found."""
    assert right in TEXTS["docker-compose.yml"]
    with pytest.raises(ValueError, match=message):
        PyOptions(apply_merge=True).from_yaml(TEXTS["docker-compose.yml"].replace(right, wrong))


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_is_restricted(name: str) -> None:
    """A read-only root, no capability, no new privileges, limits, a port on the loopback only."""
    service = SERVICES[name]
    assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not {"privileged", "cap_add", "user", "network_mode", "pid", "env_file"} & set(service)
    assert service["mem_limit"]
    assert service["pids_limit"]
    assert service["restart"] == "unless-stopped"
    assert service["ports"] == [f"127.0.0.1:{PORTS[name]}:{PORTS[name]}"]


@pytest.mark.parametrize("name", SERVICES)
def test_every_image_is_pinned_and_checked(name: str) -> None:
    """Pinned to a version, with a health check in the file; the exporter's image is built here, and has its own."""
    service = SERVICES[name]
    if name == "gmail-exporter":
        assert (DIRECTORY / service["build"] / "Dockerfile").resolve() == ROOT / "Dockerfile"
        return
    repository, _, version = service["image"].rpartition(":")
    assert repository
    assert version.removeprefix("v").count(".") == 2
    assert service["healthcheck"]["test"][-1].startswith(f"http://localhost:{PORTS[name]}/")


def test_every_mounted_file_is_in_the_repository() -> None:
    """Read-only; only volumes are writable, and each is declared and used."""
    named = set()
    for service in (*SERVICES.values(), *LOGIN["services"].values()):
        for source, target, mode in mounts(service):
            assert target.startswith("/")
            if source.startswith("."):
                assert (DIRECTORY / source).exists(), source
                assert mode == "ro", source
            else:
                named.add(source)
    assert named == set(MAIN["volumes"])


def test_services_wait_for_services() -> None:
    """They wait for services that exist, and for health only if there is a health check."""
    for service in SERVICES.values():
        for name, how in service.get("depends_on", {}).items():
            assert name in SERVICES
            assert how["condition"] != "service_healthy" or "healthcheck" in SERVICES[name]


@pytest.mark.parametrize(
    ("name", "program"), [("prometheus", "prometheus"), ("alertmanager", "prometheus-alertmanager")]
)
def test_the_other_programs_accept_their_commands(name: str, program: str) -> None:
    """Debian's versions of the programs have each flag."""
    asked = subprocess.run([find_program(program, program), "--help"], capture_output=True, text=True, check=False)
    known = set(re.findall(r"^ +(--[\w.-]+)", asked.stdout + asked.stderr, re.MULTILINE))
    assert {flag.partition("=")[0] for flag in SERVICES[name]["command"]} <= known


def test_prometheus_finds_the_other_services() -> None:
    """The targets of its configuration are services at their ports, and its rules are beside it."""
    sources = {target: DIRECTORY / source for source, target, _ in mounts(SERVICES["prometheus"])}
    directory = sources["/etc/prometheus"]
    config = yaml.safe_load((directory / "prometheus.yml").read_text("utf-8"))
    scraped = [
        target for job in config["scrape_configs"] for each in job["static_configs"] for target in each["targets"]
    ]
    alertmanagers = [
        target
        for manager in config["alerting"]["alertmanagers"]
        for each in manager["static_configs"]
        for target in each["targets"]
    ]
    assert f"gmail-exporter:{PORTS['gmail-exporter']}" in scraped
    assert alertmanagers == [f"alertmanager:{PORTS['alertmanager']}"]
    for target in scraped:
        host, _, port = target.partition(":")
        host = "prometheus" if host == "localhost" else host
        assert PORTS[host] == int(port)
    assert config["rule_files"]
    assert all(list(directory.glob(pattern)) for pattern in config["rule_files"])


def test_alertmanager_has_its_configuration() -> None:
    """It is at the path in its command, and the directory of its secret files exists."""
    service = SERVICES["alertmanager"]
    sources = {target: DIRECTORY / source for source, target, _ in mounts(service)}
    (flag,) = [flag for flag in service["command"] if flag.startswith("--config.file=")]
    path = Path(flag.removeprefix("--config.file="))
    text = sources[str(path)].read_text("utf-8")
    for secret in re.findall(r"_file: (\S+)", text):
        assert sources[str((path.parent / secret).parent)].is_dir()


@pytest.mark.parametrize("place", ["gmail_app_password", "alertmanager/ntfy-token"])
def test_secrets_are_never_committed(place: str) -> None:
    """Git ignores files in the directory of the secrets."""
    path = DIRECTORY / "secrets" / place
    assert path.parent.is_dir()
    git = subprocess.run(["git", "check-ignore", "--quiet", path], cwd=ROOT, check=False)
    assert git.returncode == 0


def test_grafana_finds_prometheus_and_the_dashboard() -> None:
    """The provisioned data source is the service, and the dashboard is where the provider searches."""
    sources = {target: (DIRECTORY / source).resolve() for source, target, _ in mounts(SERVICES["grafana"])}
    provisioning = sources["/etc/grafana/provisioning"]
    datasources = [
        source
        for path in (provisioning / "datasources").glob("*.y*ml")
        for source in yaml.safe_load(path.read_text("utf-8"))["datasources"]
    ]
    assert [source["url"] for source in datasources if source["type"] == "prometheus"] == ["http://prometheus:9090"]
    providers = [
        provider
        for path in (provisioning / "dashboards").glob("*.y*ml")
        for provider in yaml.safe_load(path.read_text("utf-8"))["providers"]
    ]
    looked_in = {provider["options"]["path"] for provider in providers}
    assert looked_in <= set(sources)
    shown = {f"{target}/{path.name}" for target in looked_in for path in sources[target].rglob("*.json")}
    assert {SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]} == shown


def test_the_exporter_accepts_its_commands() -> None:
    """With and without login: its flags exist, the paths in them are mounted, the secret is passed."""
    plain, login = SERVICES["gmail-exporter"], LOGIN["services"]["gmail-exporter"]
    options = [cli._parser().parse_args(service.get("command", [])) for service in (plain, login)]
    assert [(each.storage_path, each.storage_none) for each in options] == [(None, False)] * 2
    assert [str(SYSTEM)] == [target for _, target, _ in mounts(plain)]
    ((source, target, _),) = mounts(login)
    assert str(options[1].config_file.parent) == target
    config = load(DIRECTORY / source / options[1].config_file.name, {})
    secrets = {str(account.app_password.file) for account in config.accounts.values() if account.app_password}
    assert secrets == {f"/run/secrets/{name}" for name in login["secrets"]}
    assert set(login["secrets"]) == set(LOGIN["secrets"])
    assert {endpoint.account.name for endpoint in config.endpoints.values() if endpoint.account} == {"ops"}
