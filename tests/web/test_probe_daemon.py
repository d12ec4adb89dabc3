"""`/probe` of a running daemon, over real connections, with a real mail server, until it is stopped."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from tests.conftest import StartScripted
from tests.servers.acts import silence
from tests.servers.authority import Authority
from tests.servers.dialogues import Imap
from tests.servers.dovecot import OPS_PASSWORD, OPS_USER, Dovecot
from tests.servers.exporter import IN_TIME, Exporter, daemon_here
from tests.waiting import PATIENCE, until

MODULES = """
accounts: {{ops: {{username: {user}, app_password: {{env: OPS}}}}}}
modules:
  imaps: {{protocol: imap, port: {port}, tls: {{ca_file: {ca}}}, timeout: 8s}}
  silent: {{protocol: imap, port: {silent}, security: none, timeout: 1m, ip_family: ipv4}}
  login:
    protocol: imap
    port: {port}
    account: ops
    folders: [inbox]
    tls: {{ca_file: {ca}}}
    allow_hosts: [localhost]
probe: {{allow: [localhost], max_concurrent: {max_concurrent}}}
"""


class Site:
    """A daemon with modules and no endpoint, a Dovecot, and a port that accepts connections and sends nothing."""

    def __init__(self, directory: Path, authority: Authority, dovecot: Dovecot) -> None:
        self.dovecot = dovecot
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.config = directory / "config.yml"
        self.values = {
            "user": OPS_USER,
            "port": dovecot.imaps_port,
            "ca": authority.ca_file,
            "silent": self.listening.getsockname()[1],
        }
        self.write(3)
        environ = {"OPS": OPS_PASSWORD}
        self.exporter = Exporter(directory / "log", self.config, "--log.level=debug", environ=environ)

    def write(self, max_concurrent: int) -> None:
        """Write the configuration."""
        self.config.write_text(MODULES.format(**self.values, max_concurrent=max_concurrent), "utf-8")

    def request(self, query: str = "module=silent&target=localhost") -> socket.socket:
        """Send a request on a connection of its own, and do not wait for the answer."""
        host, port = self.exporter.url.removeprefix("http://").split(":")
        client = socket.create_connection((host, int(port)), 10)
        client.sendall(f"GET /probe?{query} HTTP/1.1\r\nHost: exporter\r\n\r\n".encode())
        return client

    def accept(self) -> socket.socket:
        """Accept the connection of a probe at the silent port."""
        self.listening.settimeout(PATIENCE)
        accepted, _ = self.listening.accept()
        accepted.settimeout(PATIENCE)
        return accepted


@pytest.fixture
def site(tmp_path: Path, authority: Authority, dovecot: Dovecot) -> Iterator[Site]:
    """A started daemon."""
    site = Site(tmp_path, authority, dovecot)
    with site.listening, site.exporter:
        yield site


def test_modules_without_endpoints(site: Site) -> None:
    """Modules alone make a daemon ready and healthy; only the first probe logs in; /metrics has nothing of a target."""
    assert site.exporter.get("/-/ready").status_code == 200
    answers = [site.exporter.get("/probe?module=login&target=localhost").text for _ in range(2)]
    assert "probe_login_success 1.0\n" in answers[0]
    assert "probe_login_success" not in answers[1]
    assert 'probe_phase_duration_seconds{phase="folders"}' in answers[0]
    debug = site.exporter.get("/probe?module=imaps&target=localhost&debug=true").text
    assert "S: * OK " in debug
    assert "localhost" not in site.exporter.get("/metrics").text
    assert site.exporter.get("/-/healthy").status_code == 200
    for text in (*answers, debug, site.exporter.log_text()):
        assert OPS_PASSWORD not in text


def test_disconnect(site: Site) -> None:
    """The probe of a client that disconnects ends: connection, slot and files are free, and nothing is logged."""
    site.exporter.get("/probe?module=imaps&target=localhost")  # the channel of its look-up stays open
    files = site.exporter.open_files()
    with ExitStack() as stack:
        for _ in range(9):  # three times as many as may be under way
            client = site.request()
            accepted = stack.enter_context(site.accept())
            client.close()
            assert accepted.recv(1) == b""
    site.exporter.wait_for(lambda: site.exporter.open_files() <= files)
    assert "probe_success 1.0" in site.exporter.get("/probe?module=imaps&target=localhost").text
    assert site.exporter.values("gmail_exporter_probe_requests_total", "result")["abandoned"] == 9
    assert "Traceback" not in site.exporter.log_text()


def test_flood(site: Site) -> None:
    """Probes beyond `max_concurrent` are refused at once; /metrics and later probes are answered."""
    with ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(site.request())
            stack.enter_context(site.accept())
        answers = [site.exporter.get("/probe?module=imaps&target=localhost") for _ in range(50)]
        assert {(answer.status_code, answer.headers["retry-after"]) for answer in answers} == {(503, "1")}
        assert site.exporter.get("/metrics").status_code == 200
    site.exporter.wait_for(lambda: site.exporter.get("/probe?module=imaps&target=localhost").status_code == 200)


def test_long_query(site: Site) -> None:
    """A query of 100 KB is answered with 4xx or a closed connection, one of 5 KB with 414."""
    client = site.request("target=" + "x" * 100_000)
    with client:
        client.settimeout(PATIENCE)
        answer = client.recv(65536)
    assert answer == b"" or answer.startswith(b"HTTP/1.1 4")
    assert site.exporter.get("/probe?" + "x" * 5000).status_code == 414
    assert site.exporter.get("/-/healthy").status_code == 200


def test_reload(site: Site) -> None:
    """A reload applies all modules or none; a probe that is running goes on with its own."""
    with site.request() as client, site.accept() as accepted:
        site.config.write_text("endpoints: {a: {protocol: imap, host: localhost, port: 1}}", "utf-8")
        site.exporter.send(signal.SIGHUP)
        site.exporter.wait_for(lambda: site.exporter.get("/probe?target=localhost").status_code == 404)
        accepted.sendall(b"* BYE\r\n")
        client.settimeout(PATIENCE)
        assert client.recv(12) == b"HTTP/1.1 200"
    site.write(1001)
    site.exporter.send(signal.SIGHUP)
    site.exporter.wait_for(lambda: "probe.max_concurrent: must be" in site.exporter.log_text())
    assert site.exporter.get("/probe?target=localhost").status_code == 404
    site.write(1000)
    site.exporter.send(signal.SIGHUP)
    site.exporter.wait_for(lambda: site.exporter.get("/probe?module=imaps&target=localhost").status_code == 200)


def test_stop_during_probes(site: Site) -> None:
    """The daemon stops in time, and closes the connections of its probes."""
    with site.request() as client, site.accept() as accepted:
        code, seconds = site.exporter.stop()
        assert accepted.recv(1) == b""
        assert client.fileno() > 0
    assert code == 0
    assert seconds < IN_TIME


async def test_stop_during_a_login(tmp_path: Path, authority: Authority, scripted: StartScripted) -> None:
    """A login whose client has disconnected is cancelled before the resolver and the ledger are closed."""
    server = await scripted(Imap(at={"login": silence}), security="tls")
    (tmp_path / "secret").write_text(OPS_PASSWORD, "utf-8")
    config = tmp_path / "config.yml"
    values = {"user": OPS_USER, "port": server.port, "ca": authority.ca_file, "silent": 1, "max_concurrent": 3}
    config.write_text(MODULES.format(**values).replace("{env: OPS}", f"{{file: {tmp_path}/secret}}"), "utf-8")
    async with daemon_here(config) as (daemon, url), httpx.AsyncClient(timeout=PATIENCE) as client:
        request = asyncio.create_task(client.get(f"{url}/probe?module=login&target=localhost"))
        await until(lambda: b" AUTHENTICATE " in b"".join(server.received))
        request.cancel()
        await asyncio.gather(request, return_exceptions=True)
        await until(lambda: daemon._probe._running == 0)
        assert len(daemon._checker._logins) == 1
    assert not daemon._checker._logins
    await server.wait_idle()


def test_timeout_offset(tmp_path: Path) -> None:
    """The flag sets the seconds between the answer and the scrape's timeout."""
    config = tmp_path / "config.yml"
    config.write_text("modules: {m: {protocol: imap, security: none}}\nprobe: {allow: ['*:*']}", "utf-8")
    with Exporter(tmp_path / "log", config, "--timeout-offset=2") as exporter:
        headers = {"X-Prometheus-Scrape-Timeout-Seconds": "7"}
        answer = httpx.get(f"{exporter.url}/probe?target=127.0.0.1:1&debug=true", headers=headers, timeout=PATIENCE)
    assert "deadline 5 s\n" in answer.text
