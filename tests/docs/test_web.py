"""docs/web.md agrees with the program, and its scrape configuration works in the real Prometheus."""

from __future__ import annotations

import json
import re
import ssl
import subprocess
import sys
from pathlib import Path
from typing import Any

import bcrypt
import httpx
import pytest
import yaml
from cryptography.hazmat.primitives.serialization import Encoding
from starlette.routing import Route

from exporter.cli import main
from exporter.config.kinds import MAX_COST
from exporter.config.schema import HEADERS, TLS_SERVER, WEB
from exporter.config.web import read_web
from exporter.daemon import reload
from exporter.monitor.health import Health
from exporter.monitor.store import Store
from exporter.web.lifecycle import Lifecycle
from exporter.web.server import acceptor, bodies, connections, limits, outbox, passwords, protocol
from exporter.web.server.application import application
from exporter.web.server.headers import ALWAYS
from exporter.web.server.server import Server
from tests.conftest import StartPrometheus
from tests.examples import SENTINEL
from tests.servers.authority import Authority
from tests.servers.dovecot import Dovecot
from tests.servers.exporter import EACH_SECOND, LENIENT, Exporter
from tests.waiting import PATIENCE

ROOT = Path(__file__).parents[2]
DOCS = (ROOT / "docs" / "web.md").read_text("utf-8")
BLOCKS: list[str] = re.findall(r"```yaml\n(.*?)```", DOCS, re.DOTALL)


def block(word: str) -> str:
    """Return the example that contains this text."""
    (found,) = [text for text in BLOCKS if word in text]
    return found


@pytest.fixture
def secured(tmp_path: Path, authority: Authority) -> Path:
    """A directory with all files that the examples name, and with the examples."""
    server, client = authority.issue(), authority.issue("prometheus.example.net")
    for name, source in (
        ("server.pem", server.chain_file),
        ("server.key", server.key_file),
        ("prometheus.pem", client.chain_file),
        ("prometheus.key", client.key_file),
        ("ca.pem", authority.ca_file),
    ):
        (tmp_path / name).write_bytes(source.read_bytes())
    (tmp_path / "password").write_text(SENTINEL, "utf-8")
    ours = bcrypt.hashpw(SENTINEL.encode(), bcrypt.gensalt(10)).decode()
    web = re.sub(r"\$2y\$\S+", ours.replace("$2b$", "$2y$"), block("tls_server_config:\n"))
    (tmp_path / "web.yml").write_text(web, "utf-8")
    return tmp_path


@pytest.fixture
def running(secured: Path, dovecot: Dovecot, authority: Authority) -> Exporter:
    """A daemon with the documented web configuration file, not started yet."""
    config = secured / "gmail.yml"
    endpoint = {"protocol": "imap", "host": "localhost", "port": dovecot.imaps_port, "ip_family": "ipv4"}
    tls = {"ca_file": str(authority.ca_file)}
    document = {
        "defaults": dict(EACH_SECOND),
        "endpoints": {"imap": {**endpoint, "tls": tls}},
        "modules": {"imap": {"protocol": "imap", "tls": tls, "timeout": "30s"}},
        "probe": {"allow": [f"localhost:{dovecot.imaps_port}"]},
    }
    config.write_text(json.dumps(document), "utf-8")
    flags = (f"--web.config.file={secured / 'web.yml'}", "--log.level=debug")
    exporter = Exporter(secured / "log", config, *flags, before=LENIENT)
    exporter.scheme = "https"
    context = ssl.create_default_context(cafile=str(secured / "ca.pem"))
    context.load_cert_chain(secured / "prometheus.pem", secured / "prometheus.key")
    exporter.client = {"verify": context, "auth": ("prometheus", SENTINEL), "timeout": PATIENCE}
    return exporter


def test_the_documented_scrape_configuration_works(
    running: Exporter, secured: Path, dovecot: Dovecot, prometheus: StartPrometheus
) -> None:
    """With TLS, a client certificate and a password, for /probe, too; without one of them a scrape fails."""
    (scrape,) = yaml.safe_load(block("scrape_configs:"))["scrape_configs"]
    with running as exporter:
        scrape["static_configs"][0]["targets"] = [
            exporter.url.removeprefix("https://").replace("127.0.0.1", "localhost")
        ]
        for key in ("ca_file", "cert_file", "key_file"):
            scrape["tls_config"][key] = str(secured / scrape["tls_config"][key])
        scrape["basic_auth"]["password_file"] = str(secured / scrape["basic_auth"]["password_file"])
        jobs = [scrape, without(scrape, "no-password", "basic_auth"), without(scrape, "no-certificate", "tls_config")]
        jobs[2]["tls_config"] = {"ca_file": scrape["tls_config"]["ca_file"]}
        asked = {"module": ["imap"], "target": [f"localhost:{dovecot.imaps_port}"]}
        jobs.append({**scrape, "job_name": "probe", "metrics_path": "/probe", "params": asked})
        scraping = prometheus(jobs)
        scraping.wait_for('gmail_up{job="gmail"} == 1')
        scraping.wait_for('probe_success{job="probe"} == 1')
        scraping.wait_for('up{job=~"no-.*"} == 0', lambda found: len(found) == 2)
        errors = {target["labels"]["job"]: target["lastError"] for target in scraping.targets()}
        assert errors["gmail"] == ""
        assert "401" in errors["no-password"]
        # The handshake fails: the alert or the end of the connection may be noticed first.
        assert errors["no-certificate"]
        assert "HTTP status" not in errors["no-certificate"]
        assert exporter.stop()[0] == 0
    log = exporter.log_text()
    assert SENTINEL not in log
    assert "$2y$" not in log
    assert "Traceback" not in log


def without(scrape: dict[str, Any], name: str, key: str) -> dict[str, Any]:
    """The same job, without one of its keys."""
    return {**{kept: value for kept, value in scrape.items() if kept != key}, "job_name": name}


def test_a_reload_during_the_renewal_of_a_certificate(running: Exporter, secured: Path, authority: Authority) -> None:
    """A missing certificate is a mistake, and nothing changes; the renewed one is served."""
    running._arguments.append("--web.enable-lifecycle")
    with running as exporter:
        (secured / "server.pem").rename(secured / "gone.pem")
        answer = exporter.post("/-/reload")
        assert (answer.status_code, answer.text) == (
            400,
            f"{secured / 'web.yml'}:2:14: tls_server_config.cert_file: the file does not exist\n",
        )
        assert exporter.samples()["gmail_exporter_config_last_reload_successful", frozenset()] == 0
        renewed = authority.issue("127.0.0.1", "localhost", "renewed.example.net")
        (secured / "server.pem").write_bytes(renewed.chain_file.read_bytes())
        (secured / "server.key").write_bytes(renewed.key_file.read_bytes())
        assert (answer := exporter.post("/-/reload")).status_code == 200
        assert answer.text == "Reloaded.\n"
        der = httpx_certificate(exporter)
        assert der == renewed.leaf.public_bytes(Encoding.DER)
        assert exporter.stop()[0] == 0


def httpx_certificate(exporter: Exporter) -> bytes:
    """Return the certificate of a new connection, in DER."""
    with httpx.Client(**exporter.client) as client, client.stream("GET", f"{exporter.url}/-/ready") as answer:
        tls = answer.extensions["network_stream"].get_extra_info("ssl_object")
        certificate: bytes = tls.getpeercert(True)
        return certificate


def test_the_documented_web_configuration_is_valid(secured: Path) -> None:
    """As it is, where its files exist."""
    (secured / "web.yml").write_text(block("tls_server_config:\n"), "utf-8")
    assert read_web(secured / "web.yml").mistakes == ()


def test_the_documented_command_makes_a_valid_hash(tmp_path: Path) -> None:
    """With input from a pipe instead of a terminal."""
    (command,) = re.findall(r"python3 -c '(.*)'", DOCS)
    code = command.replace("getpass.getpass()", "input()")
    made = subprocess.run([sys.executable, "-c", code], input=SENTINEL, capture_output=True, text=True, check=True)
    (tmp_path / "web.yml").write_text(f"basic_auth_users:\n  alice: {made.stdout}", "utf-8")
    config = read_web(tmp_path / "web.yml").config
    assert config is not None
    assert bcrypt.checkpw(SENTINEL.encode(), config.users["alice"])


def test_the_documented_probe_is_the_chart_s_and_the_image_s() -> None:
    """In the same words."""
    probe = yaml.safe_load(block("livenessProbe:"))["livenessProbe"]
    command = probe["exec"]["command"]
    chart = (ROOT / "deploy/helm/gmail-exporter/templates/_pod.tpl").read_text("utf-8")
    listed = " ".join(f'"{word}"' for word in command)
    wanted = f'dict "exec" (dict "command" (list {listed})) "timeoutSeconds" {probe["timeoutSeconds"]}'
    assert wanted in chart
    assert f"CMD {json.dumps(command)}\n" in (ROOT / "Dockerfile").read_text("utf-8")


def test_every_flag_of_the_server_is_documented(capsys: pytest.CaptureFixture[str]) -> None:
    """As the help lists them."""
    with pytest.raises(SystemExit):
        main(["--help"], {})
    flags = set(re.findall(r"--(?:web|timeout)[a-z.-]+|--config.auto[a-z-]+", capsys.readouterr().out))
    assert len(flags) == 10
    assert all(f"| `{flag}` |" in DOCS for flag in flags)


def test_every_path_is_documented() -> None:
    """As they are routed."""
    paths = {route.path for route in Lifecycle(Store(), Health(Store(), float)).routes() if isinstance(route, Route)}
    for path in (*paths, "/accounts/NAME/release", "/metrics", "/config", "/probe", "/"):
        assert f"| `{path}` |" in DOCS


def test_every_key_every_header_and_every_limit_is_documented() -> None:
    """With the numbers of the program."""
    for name in (*WEB.keys, *TLS_SERVER.keys, *(f"headers.{name}" for name in HEADERS.keys), *ALWAYS):
        assert f"`{name}" in DOCS
    assert f"a cost of at most {MAX_COST}" in DOCS
    keep_alive = Server(application()).config.timeout_keep_alive
    for row in (
        f"| request line and headers | {limits.MAX_HEAD >> 10} KiB | 431 |",
        f"| body | {limits.MAX_BODY >> 10} KiB | 413 |",
        f"| a request, until it is complete | {protocol.REQUEST_SECONDS:.0f} s |",
        f"| a TLS handshake | {acceptor.HANDSHAKE_SECONDS:.0f} s |",
        f"| an answer, until it is made and taken | {protocol.ANSWER_SECONDS:.0f} s |",
        f"| a connection after an answer, until the next request begins | {keep_alive} s |",
        f"| a client that does not read, or takes less than about 1 KiB/s | {protocol.PIECE_SECONDS:.0f} s |",
        f"| answers that are not taken yet, over all connections | {outbox.MAX_UNSENT >> 20} MiB |",
        f"| different pages that requests wait for | {bodies.MAX_WAITING} | 503",
        f"more than {bodies.RATE >> 20} MiB of",
        f"| open connections | {connections.MAX_CONNECTIONS}, or what the limit of open files leaves",
        f"4 endpoints leave {connections.fitting(256, 4)} connections",
        f"| passwords being compared | {passwords.MAX_WAITING} | 503",
    ):
        assert row in DOCS
    assert f"for another content every {reload.WEB_INTERVAL:.0f} seconds" in " ".join(DOCS.split())
