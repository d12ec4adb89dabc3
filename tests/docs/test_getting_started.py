"""docs/getting-started.md as a new user follows it, except for steps that need the Internet or root."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import httpx
import yaml
from compose_spec import PyOptions

from exporter.config.duration import parse_duration
from exporter.config.load import load
from tests.deploy.test_alertmanager import amtool
from tests.deploy.test_rules import ALERTS
from tests.servers.alertmanager import Alertmanager
from tests.servers.process import find_program
from tests.servers.prometheus import Prometheus
from tests.servers.webhook import Webhook
from tests.waiting import PATIENCE

ROOT = Path(__file__).parent.parent.parent
TEXT = (ROOT / "docs" / "getting-started.md").read_text("utf-8")


def block(word: str, language: str = "sh") -> str:
    """Return the block of that language that contains this word."""
    blocks = re.findall(rf"^( *)```{language}\n(.*?)^\1```", TEXT, re.MULTILINE | re.DOTALL)
    [(indent, text)] = [(indent, text) for indent, text in blocks if word in text]
    return re.sub(rf"^{indent}", "", text, flags=re.MULTILINE)


def follow(script: str, directory: Path, **variables: str) -> str:
    """Run it in a shell, in a copy of the checkout."""
    environ = {**os.environ, "topic": "gmail-0123", "token": "tk_0123", **variables}
    run = subprocess.run(
        ["bash", "-euc", script], cwd=directory, env=environ, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


def copy(tmp_path: Path) -> Path:
    """The files of a checkout that are needed."""
    subprocess.run(["cp", "-r", str(ROOT / "deploy"), str(tmp_path)], check=True)
    return tmp_path


def test_without_containers(tmp_path: Path) -> None:
    """The files of step 3 pass promtool and amtool; every name is replaced, and the token is in its file."""
    etc = tmp_path / "etc"
    etc.mkdir()
    script = block("sudo cp").replace("/etc/prometheus", str(etc)).replace("-o root -g prometheus", "")
    follow(script.replace("sudo ", ""), copy(tmp_path))
    promtool = find_program("promtool", "prometheus")
    subprocess.run([promtool, "check", "config", str(etc / "prometheus.yml")], check=True, capture_output=True)
    assert "1 templates\n  SUCCESS" in amtool("check-config", str(etc / "alertmanager.yml"))
    assert "localhost:9993" in (etc / "prometheus.yml").read_text("utf-8")
    assert "localhost:9093" in (etc / "prometheus.yml").read_text("utf-8")
    routed = (etc / "alertmanager.yml").read_text("utf-8")
    assert routed.count("https://ntfy.sh/gmail-0123?priority=") == 4
    token = etc / "secrets" / "ntfy-token"
    assert f"credentials_file: {token}" in routed
    assert token.read_text("utf-8") == "tk_0123\n"
    assert token.stat().st_mode & 0o777 == 0o640


def test_with_containers(tmp_path: Path) -> None:
    """Topic and token are where the containers read them."""
    directory = copy(tmp_path)
    follow(block("secrets/alertmanager"), directory)
    routed = (directory / "deploy" / "alertmanager" / "alertmanager.yml").read_text("utf-8")
    assert routed.count("https://ntfy.sh/gmail-0123?priority=") == 4
    assert "credentials_file: /etc/alertmanager/secrets/ntfy-token" in routed
    token = directory / "deploy" / "docker-compose" / "secrets" / "alertmanager" / "ntfy-token"
    assert token.read_text("utf-8") == "tk_0123\n"


def test_the_test_alert_is_a_page() -> None:
    """The shipped routes send the alert made by amtool to the receiver of pages."""
    shipped = yaml.safe_load((ROOT / "deploy" / "alertmanager" / "alertmanager.yml").read_text("utf-8"))
    with Webhook() as webhook:
        for receiver in shipped["receivers"]:
            del receiver["discord_configs"]
            receiver["webhook_configs"] = [{"url": f"{webhook.url}/{receiver['name']}"}]
        shipped["route"]["routes"][0]["group_wait"] = "10ms"
        with Alertmanager(shipped) as alertmanager:
            follow(block("alert add").replace("http://localhost:9093", alertmanager.url), ROOT)
            [alert] = webhook.wait_for(lambda each: each.path == "/page").alerts
            listed = follow(block("alert query").replace("http://localhost:9093", alertmanager.url), ROOT)
    assert alert["annotations"]["summary"] == "This is a try"
    assert "GmailEndpointDown" in listed


def test_the_pages_of_debian() -> None:
    """Debian's Prometheus has the pages at the addresses that are given for it; its Alertmanager has none."""
    pages = set(re.findall(r"http://localhost:9090(/classic/\w+)", TEXT))
    assert pages == {"/classic/targets", "/classic/alerts"}
    with Prometheus([]) as prometheus:
        for page in pages:
            assert httpx.get(f"{prometheus.url}{page}", timeout=PATIENCE).status_code == 200


def test_the_configurations_are_valid(tmp_path: Path) -> None:
    """The endpoint where nothing answers, several vantage points, and receivers that Alertmanager 0.25 has."""
    path = tmp_path / "gmail.yml"
    path.write_text(block("nobody", "yaml"), "utf-8")
    assert list(load(path, {}).endpoints) == ["imap", "pop3", "smtps", "submission", "nobody"]
    path.write_text(block("office.example.com", "yaml"), "utf-8")
    promtool = find_program("promtool", "prometheus")
    subprocess.run([promtool, "check", "config", str(path)], check=True, capture_output=True)
    path.write_text("route: {receiver: mail}\n" + block("pagerduty", "yaml"), "utf-8")
    assert "3 receivers" in amtool("check-config", str(path))


def test_the_endpoint_that_is_tried_with_containers() -> None:
    """The file beside Compose's own is valid, and mounts the configuration where the command looks for it."""
    added = block("./try:", "yaml")
    PyOptions().from_yaml(added).validate()
    service = yaml.safe_load(added)["services"]["gmail-exporter"]
    assert service["volumes"] == ["./try:/etc/gmail-exporter:ro"]
    assert service["command"] == ["--config.file=/etc/gmail-exporter/gmail.yml"]
    assert "deploy/docker-compose/try/gmail.yml" in TEXT


def test_the_time_to_the_page() -> None:
    """Two probes, a scrape, two evaluations, the rule's wait and the group's wait are about four minutes."""
    [down] = [rule for rule in ALERTS if rule["alert"] == "GmailEndpointDown"]
    routes = yaml.safe_load((ROOT / "deploy" / "alertmanager" / "alertmanager.yml").read_text("utf-8"))
    prometheus = yaml.safe_load((ROOT / "deploy" / "prometheus" / "prometheus.yml").read_text("utf-8"))["global"]
    [interval] = {endpoint.interval for endpoint in load(None, {}).endpoints.values()}
    waits = [down["for"], routes["route"]["routes"][0]["group_wait"], prometheus["scrape_interval"]]
    waits += 2 * [prometheus["evaluation_interval"]]
    assert round((2 * interval + sum(map(parse_duration, waits))) / 60) in (4, 5)
    assert "about four minutes" in TEXT
