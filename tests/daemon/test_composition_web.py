"""The daemon as a process, over HTTP."""

from __future__ import annotations

import asyncio
import base64
import html
import json
import re
import select
import socket
import subprocess
import sys
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import bcrypt
import httpx
import pytest

from exporter.web.lifecycle import OFF
from exporter.web.server import passwords
from tests.servers.authority import Authority
from tests.servers.dovecot import Dovecot
from tests.servers.exporter import EACH_SECOND, IN_TIME, LENIENT, Exporter
from tests.servers.process import Process, free_port, is_listening
from tests.waiting import PATIENCE

SUCCESSFUL = "gmail_exporter_config_last_reload_successful", frozenset[tuple[str, str]]()


class Files:
    """Configurations with endpoints on the real Dovecot."""

    def __init__(self, directory: Path, authority: Authority, dovecot: Dovecot) -> None:
        self.config = directory / "gmail.yml"
        self.log = directory / "log"
        self._endpoint = {
            "protocol": "imap",
            "host": "localhost",
            "port": dovecot.imap_port,
            "security": "starttls",
            "tls": {"ca_file": str(authority.ca_file)},
            "ip_family": "ipv4",
        }
        self.write("imap")

    def write(self, *names: str, interval: str = "1s", timeout: str = "900ms") -> None:
        """Write a configuration with these endpoints."""
        document: dict[str, Any] = {
            "defaults": {"interval": interval, "timeout": timeout},
            "endpoints": dict.fromkeys(names, self._endpoint),
        }
        self.config.write_text(json.dumps(document), "utf-8")

    def exporter(self, *flags: str, before: str = "") -> Exporter:
        """A daemon with this configuration."""
        return Exporter(self.log, self.config, *flags, before=before)


@pytest.fixture
def files(tmp_path: Path, authority: Authority, dovecot: Dovecot) -> Files:
    """A configuration with an endpoint."""
    return Files(tmp_path, authority, dovecot)


def test_a_reload_over_http(files: Files) -> None:
    """The answer comes once the new configuration is in force; or it has every mistake, and nothing has changed."""
    with files.exporter("--web.enable-lifecycle") as exporter:
        files.write("imap", "added")
        answer = exporter.post("/-/reload")
        assert (answer.status_code, answer.text) == (200, "Reloaded.\n")
        assert set(exporter.values("gmail_probe_interval_seconds")) == {"imap", "added"}
        files.config.write_text("endpoints:\n  imap: {protocol: imp}\n  pop3: {}\n", "utf-8")
        answer = exporter.post("/-/reload")
        assert answer.status_code == 400
        assert answer.text.splitlines() == [
            f"{files.config}:2:3: endpoints.imap.host: is missing",
            f'{files.config}:2:20: endpoints.imap.protocol: must be imap, pop3 or smtp, not "imp"',
            f"{files.config}:3:3: endpoints.pop3.host: is missing",
            f"{files.config}:3:3: endpoints.pop3.protocol: is missing",
        ]
        assert exporter.samples()[SUCCESSFUL] == 0
        assert set(exporter.values("gmail_probe_interval_seconds")) == {"imap", "added"}
        assert exporter.post("/-/reload", origin="http://evil.example").status_code == 403

        files.write("imap")
        assert exporter.post("/-/reload").status_code == 200
        assert exporter.samples()[SUCCESSFUL] == 1
        assert 'endpoint="added"' not in exporter.get("/metrics").text
        printed = subprocess.run(
            [sys.executable, "-m", "exporter", "config", f"--config.file={files.config}"],
            capture_output=True,
            text=True,
            check=True,
        )
        assert exporter.get("/config").text == printed.stdout
        assert exporter.stop()[0] == 0


def test_a_probe_on_request(files: Files) -> None:
    """The button of an endpoint's page probes it now and redirects to the page; without the flag it is refused."""
    files.write("imap", interval="1h")
    patient = "from exporter.web import pages; pages.BETWEEN_PROBES = 60"
    with files.exporter("--web.enable-lifecycle", before=patient) as exporter:
        exporter.wait_for(lambda: exporter.values("gmail_probes_total", result="success") == {"imap": 1})
        answer = exporter.post("/endpoints/imap/probe")
        assert (answer.status_code, answer.headers["location"]) == (303, "../imap")
        assert exporter.values("gmail_probes_total", result="success") == {"imap": 2}
        assert exporter.post("/endpoints/imap/probe").headers["location"] == "../imap?early"
        assert exporter.get("/endpoints/imap").status_code == 200
    with files.exporter() as exporter:
        assert exporter.post("/endpoints/imap/probe").status_code == 403


def test_the_names_of_the_pages(files: Files) -> None:
    """Those of the flags, and of this host; Prometheus may use any, and learns where the pages are."""
    url = "https://monitoring.example.com/"
    with files.exporter(f"--web.external-url={url}", "--web.allowed-host=*.example.net") as exporter:
        for host in ("monitoring.example.com", "a.example.net", "localhost", "192.0.2.7:80", socket.gethostname()):
            assert exporter.get("/", host=host).status_code == 200
        exporter.wait_for(lambda: exporter.get("/", host=socket.getfqdn()).status_code == 200)
        for path in ("/", "/api/v1/endpoints", "/config"):
            assert exporter.get(path, host="evil.example").status_code == 421
        assert (
            f'\ngmail_exporter_web_info{{external_url="{url}"}} 1.0\n'
            in exporter.get("/metrics", host="evil.example").text
        )


def test_the_pages_behind_a_prefix(files: Files) -> None:
    """Every link, script, style and icon of every page leads somewhere; the log has the address of the pages."""
    flags = "--web.external-url=https://monitoring.example.com/gmail", "--web.telemetry-path=/stats"
    with files.exporter("--web.enable-lifecycle", *flags) as exporter:
        assert "url=https://monitoring.example.com/gmail/ " in exporter.log_text()
        assert exporter.get("/").headers["location"] == "/gmail/"
        seen, ahead = set[str](), ["/gmail/"]
        while ahead:
            path = ahead.pop()
            if path in seen:
                continue
            seen.add(path)
            answer = exporter.get(path)
            assert (answer.status_code, answer.headers.get("location")) == (200, None), path
            if answer.headers["content-type"].startswith("text/html"):
                links = re.findall(r'(?:href|src|action)="?([^"\s>#]+)', answer.text)
                found = (urljoin(path, html.unescape(link)) for link in links if ":" not in link)
                ahead += [link for link in found if not link.endswith("/probe")]
        assert all(path.startswith("/gmail/") for path in seen)
        assert {"/gmail/stats", "/gmail/config", "/gmail/reasons", "/gmail/endpoints/imap"} <= seen
        assert exporter.post("/gmail/endpoints/imap/probe").status_code == 303
        assert exporter.post("/gmail/-/reload").status_code == 200


@pytest.mark.parametrize(
    ("address", "shown"),
    [(":0", "localhost"), ("[::]:0", "localhost"), ("127.0.0.1:0", "127.0.0.1"), ("[::1]:0", "[::1]")],
)
def test_the_log_has_an_address_that_opens_the_pages(files: Files, address: str, shown: str) -> None:
    """A click on it is enough."""
    exporter = files.exporter("--web.route-prefix=/gmail")
    exporter.listen_address = address
    with exporter:
        found = re.search(r" url=(\S+)", exporter.log_text())
        assert found
        url = found[1]
        assert re.fullmatch(rf"http://{re.escape(shown)}:\d+/gmail/", url)
        assert httpx.get(url, timeout=PATIENCE).status_code == 200


def test_sockets_of_systemd(files: Files) -> None:
    """As systemd passes them on; without one it says what is missing."""
    port = free_port()
    command = [
        "systemd-socket-activate",
        f"--listen=127.0.0.1:{port}",
        "--setenv=PYTHONPATH",
        sys.executable,
        "-m",
        "exporter",
    ]
    flags = [f"--config.file={files.config}", "--storage.none", "--web.systemd-socket"]
    log = files.log.with_name("systemd")
    process = Process([*command, *flags], output=log)
    try:
        process.wait_until(lambda: is_listening(port), log=str)
        answer = httpx.get(f"http://127.0.0.1:{port}/-/healthy", timeout=PATIENCE)
        assert (answer.status_code, answer.text) == (200, "Healthy.\n")
        assert f" url=http://127.0.0.1:{port}/ addresses=127.0.0.1:{port} " in log.read_text("utf-8")
    finally:
        process.stop()
    for more, message in (([], "no socket was passed on by systemd"), (["--web.listen-address=:0"], "choose one")):
        done = subprocess.run(
            [sys.executable, "-m", "exporter", *flags, *more], capture_output=True, text=True, check=False
        )
        assert (done.returncode, message in done.stderr) == (2, True)


def test_it_ends_while_passwords_are_being_guessed(files: Files) -> None:
    """In time, however many checks of a second each are in the queue."""
    web = files.config.with_name("web.yml")
    web.write_text(f"basic_auth_users: {{alice: '{bcrypt.hashpw(b'x', bcrypt.gensalt(14)).decode()}'}}", "utf-8")
    with files.exporter(f"--web.config.file={web}") as exporter, ExitStack() as stack:
        address, clients = httpx.URL(exporter.url), []
        for number in range(passwords.MAX_WAITING + 1):
            guess = base64.b64encode(f"alice:{number}".encode()).decode()
            clients.append(stack.enter_context(socket.create_connection((address.host, address.port or 0), PATIENCE)))
            clients[-1].sendall(f"GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Basic {guess}\r\n\r\n".encode())
        (first,), _, _ = select.select(clients, [], [], PATIENCE)
        assert first.recv(12) == b"HTTP/1.1 503"  # one too many: the others are in the queue
        code, seconds = exporter.stop()
    assert code == 0
    assert seconds < IN_TIME


def test_a_reload_after_a_change(files: Files) -> None:
    """By the content of the file; a reload over HTTP is refused without its flag."""
    with files.exporter("--config.auto-reload-interval=1s") as exporter:
        files.write("imap", "added")
        exporter.wait_for(lambda: set(exporter.values("gmail_probe_interval_seconds")) == {"imap", "added"})
        answer = exporter.post("/-/reload")
        assert (answer.status_code, answer.text) == (403, OFF)
        assert exporter.stop()[0] == 0
    assert exporter.log_text().count("event=reloaded") == 1


async def test_200_clients_that_send_a_byte_a_second_disturb_nothing(files: Files) -> None:
    """Probes go on, none fails, and metrics are answered."""
    files.write(*(f"e{number}" for number in range(10)), timeout=EACH_SECOND["timeout"])
    with files.exporter(before=LENIENT) as exporter:
        exporter.wait_for(lambda: len(exporter.values("gmail_up")) == 10)
        before = exporter.values("gmail_probes_total", result="success")
        assert len(before) == 10
        address = httpx.URL(exporter.url)
        opened = [await asyncio.open_connection(address.host, address.port) for _ in range(200)]

        def each_has_succeeded(more: int) -> bool:
            assert exporter.values("gmail_probe_failures_total", "reason") == {}
            now = exporter.values("gmail_probes_total", result="success")
            return all(now[endpoint] >= before[endpoint] + more for endpoint in before)

        for more, byte in enumerate(b"GE", 1):
            for _, writer in opened:
                writer.write(bytes([byte]))
            await asyncio.to_thread(exporter.wait_for, partial(each_has_succeeded, more))
        for _, writer in opened:
            writer.close()
        assert exporter.stop()[0] == 0
    assert "level=error" not in exporter.log_text()


@pytest.mark.parametrize("command", [[], ["config"]], ids=["run", "config"])
def test_mistakes_of_both_files_are_reported_together(
    command: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """With exit code 2, and nothing is started."""
    (tmp_path / "gmail.yml").write_text("endpoints: {imap: {protocol: imap}}\n", "utf-8")
    (tmp_path / "web.yml").write_text("tls_server_config: {cert_file: none.pem}\nbasic_auth_users: {a: b}\n", "utf-8")
    arguments = [*command, "--config.file=gmail.yml", "--web.config.file=web.yml"]
    ran = subprocess.run([sys.executable, "-m", "exporter", *arguments], cwd=tmp_path, check=False)
    assert ran.returncode == 2
    captured = capfd.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines() == [
        "gmail.yml:1:13: endpoints.imap.host: is missing",
        "web.yml:1:1: tls_server_config.key_file: is missing",
        "web.yml:1:32: tls_server_config.cert_file: the file does not exist",
        "web.yml:2:23: basic_auth_users.a: must be a bcrypt hash, as htpasswd -nBC 10 prints it: a password is never "
        "written here",
    ]
