"""`/probe` of the daemon as a user runs it: over real connections, with a real mail server, until it is ended."""

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
from tests.servers.exporter import Exporter, daemon_here
from tests.waiting import until

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
probe: {{allow: [localhost], max_concurrent: {most}}}
"""


class Site:
    """A daemon with modules and no endpoint, a Dovecot, and a port that takes connections and says nothing."""

    def __init__(self, directory: Path, authority: Authority, dovecot: Dovecot) -> None:
        self.dovecot = dovecot
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.config = directory / "config.yml"
        self.facts = {
            "user": OPS_USER,
            "port": dovecot.imaps_port,
            "ca": authority.ca_file,
            "silent": self.listening.getsockname()[1],
        }
        self.write(3)
        environ = {"OPS": OPS_PASSWORD}
        self.exporter = Exporter(directory / "log", self.config, "--log.level=debug", environ=environ)

    def write(self, most: int) -> None:
        """Write the configuration."""
        self.config.write_text(MODULES.format(**self.facts, most=most), "utf-8")

    def begin(self, query: str = "module=silent&target=localhost") -> socket.socket:
        """Ask over a connection of its own, and do not wait for the answer."""
        host, port = self.exporter.url.removeprefix("http://").split(":")
        client = socket.create_connection((host, int(port)), 10)
        client.sendall(f"GET /probe?{query} HTTP/1.1\r\nHost: exporter\r\n\r\n".encode())
        return client

    def accept(self) -> socket.socket:
        """The connection of a probe to the silent port."""
        self.listening.settimeout(5)
        accepted, _ = self.listening.accept()
        accepted.settimeout(5)
        return accepted


@pytest.fixture
def site(tmp_path: Path, authority: Authority, dovecot: Dovecot) -> Iterator[Site]:
    """Started."""
    site = Site(tmp_path, authority, dovecot)
    with site.listening, site.exporter:
        yield site


def test_modules_alone_are_a_configuration(site: Site) -> None:
    """Ready and healthy without an endpoint; the login is in the answer once, and on /metrics nothing of a target."""
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


def test_a_client_that_hangs_up_ends_its_probe(site: Site) -> None:
    """Its connection is closed, its slot is free, no file stays open, and nothing is said of it."""
    site.exporter.get("/probe?module=imaps&target=localhost")  # the channel of its look-up stays open
    files = site.exporter.open_files()
    with ExitStack() as stack:
        for _ in range(9):  # three times as many as may be under way
            client = site.begin()
            accepted = stack.enter_context(site.accept())
            client.close()
            assert accepted.recv(1) == b""
    site.exporter.wait_for(lambda: site.exporter.open_files() <= files)
    assert "probe_success 1.0" in site.exporter.get("/probe?module=imaps&target=localhost").text
    assert site.exporter.values("gmail_exporter_probe_requests_total", "result")["abandoned"] == 9
    assert "Traceback" not in site.exporter.log_text()


def test_a_flood_does_not_hold_up_the_daemon(site: Site) -> None:
    """What is beyond the bound is refused at once; /metrics and other probes go on."""
    with ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(site.begin())
            stack.enter_context(site.accept())
        codes = [site.exporter.get("/probe?module=imaps&target=localhost") for _ in range(50)]
        assert {(answer.status_code, answer.headers["retry-after"]) for answer in codes} == {(503, "1")}
        assert site.exporter.get("/metrics").status_code == 200
    site.exporter.wait_for(lambda: site.exporter.get("/probe?module=imaps&target=localhost").status_code == 200)


def test_a_query_of_100_kb_is_a_4xx_or_a_closed_connection(site: Site) -> None:
    """Whichever of the two layers notices."""
    client = site.begin("target=" + "x" * 100_000)
    with client:
        client.settimeout(5)
        said = client.recv(65536)
    assert said == b"" or said.startswith(b"HTTP/1.1 4")
    assert site.exporter.get("/probe?" + "x" * 5000).status_code == 414
    assert site.exporter.get("/-/healthy").status_code == 200


def test_a_reload_applies_the_modules(site: Site) -> None:
    """All of them, or none; a probe that is under way ends as it began."""
    with site.begin() as client, site.accept() as accepted:
        site.config.write_text("endpoints: {a: {protocol: imap, host: localhost, port: 1}}", "utf-8")
        site.exporter.send(signal.SIGHUP)
        site.exporter.wait_for(lambda: site.exporter.get("/probe?target=localhost").status_code == 404)
        accepted.sendall(b"* BYE\r\n")
        client.settimeout(5)
        assert client.recv(12) == b"HTTP/1.1 200"
    site.write(1001)
    site.exporter.send(signal.SIGHUP)
    site.exporter.wait_for(lambda: "probe.max_concurrent: must be" in site.exporter.log_text())
    assert site.exporter.get("/probe?target=localhost").status_code == 404
    site.write(1000)
    site.exporter.send(signal.SIGHUP)
    site.exporter.wait_for(lambda: site.exporter.get("/probe?module=imaps&target=localhost").status_code == 200)


def test_it_ends_while_probes_are_under_way(site: Site) -> None:
    """Within 5 seconds, and closes their connections."""
    with site.begin() as client, site.accept() as accepted:
        code, seconds = site.exporter.stop()
        assert accepted.recv(1) == b""
        assert client.fileno() > 0
    assert code == 0
    assert seconds < 5


async def test_it_ends_while_a_login_is_under_way_that_nobody_waits_for(
    tmp_path: Path, authority: Authority, scripted: StartScripted
) -> None:
    """Before what the login needs is closed."""
    server = await scripted(Imap(at={"login": silence}), security="tls")
    (tmp_path / "secret").write_text(OPS_PASSWORD, "utf-8")
    config = tmp_path / "config.yml"
    facts = {"user": OPS_USER, "port": server.port, "ca": authority.ca_file, "silent": 1, "most": 3}
    config.write_text(MODULES.format(**facts).replace("{env: OPS}", f"{{file: {tmp_path}/secret}}"), "utf-8")
    async with daemon_here(config) as (daemon, url), httpx.AsyncClient() as client:
        asking = asyncio.create_task(client.get(f"{url}/probe?module=login&target=localhost"))
        await until(lambda: b" AUTHENTICATE " in b"".join(server.received))
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        await until(lambda: daemon._probe._running == 0)
        assert len(daemon._checker._logins) == 1
    assert not daemon._checker._logins
    await server.wait_idle()


def test_the_offset_is_a_flag(tmp_path: Path) -> None:
    """Seconds before the scrape's time-out."""
    config = tmp_path / "config.yml"
    config.write_text("modules: {m: {protocol: imap, security: none}}\nprobe: {allow: ['*:*']}", "utf-8")
    with Exporter(tmp_path / "log", config, "--timeout-offset=2") as exporter:
        headers = {"X-Prometheus-Scrape-Timeout-Seconds": "7"}
        answer = httpx.get(f"{exporter.url}/probe?target=127.0.0.1:1&debug=true", headers=headers)
    assert "deadline 5 s\n" in answer.text
