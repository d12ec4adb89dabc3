"""The daemon as a process, against the real Dovecot and Postfix, scraped by the real Prometheus."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conftest import StartPrometheus
from tests.examples import SENTINEL
from tests.servers.authority import Authority
from tests.servers.dovecot import OPS_PASSWORD, OPS_USER, Dovecot
from tests.servers.exporter import EACH_SECOND, IN_TIME, UNPLANNED, Exporter
from tests.servers.postfix import Postfix
from tests.servers.process import find_program
from tests.waiting import PATIENCE
from tests.web.test_api import VALIDATOR

PHASES = {"resolve", "connect", "tls", "greeting", "capability", "login", "logout"}


class Site:
    """Five endpoints on the real servers, each with a login."""

    def __init__(self, directory: Path, authority: Authority, dovecot: Dovecot, postfix: Postfix) -> None:
        self.directory = directory
        self.config = directory / "config.yml"
        self.log = directory / "log"
        self.secret = directory / "secret"
        self.secret.write_text(OPS_PASSWORD + "\n", "utf-8")
        tls = {"ca_file": str(authority.ca_file)}
        common = {"host": "localhost", "account": "ops", "tls": tls, "ip_family": "ipv4"}
        self.document: dict[str, Any] = {
            "defaults": dict(EACH_SECOND),
            "accounts": {"ops": {"username": OPS_USER, "app_password": {"file": str(self.secret)}}},
            "endpoints": {
                "imap": {
                    "protocol": "imap",
                    "port": dovecot.imaps_port,
                    "folders": ["inbox", "sent", "trash"],
                    "labels": {"tenant": "acme"},
                    **common,
                },
                "imap-starttls": {
                    "protocol": "imap",
                    "port": dovecot.imap_port,
                    "security": "starttls",
                    **common,
                },
                "pop3": {"protocol": "pop3", "port": dovecot.pop3s_port, **common},
                "smtps": {"protocol": "smtp", "port": postfix.smtps_port, **common},
                "submission": {
                    "protocol": "smtp",
                    "port": postfix.submission_port,
                    "security": "starttls",
                    **common,
                },
            },
        }
        self.write()

    def write(self) -> None:
        """Write the configuration; every JSON text is YAML."""
        self.config.write_text(json.dumps(self.document), "utf-8")

    def exporter(self, *flags: str) -> Exporter:
        """A daemon with this configuration."""
        return Exporter(self.log, self.config, *flags, before=UNPLANNED)


@pytest.fixture
def site(tmp_path: Path, authority: Authority, dovecot: Dovecot, postfix: Postfix) -> Site:
    """Running servers, and a configuration for them."""
    return Site(tmp_path, authority, dovecot, postfix)


def test_what_no_first_scrape_needs_is_not_imported() -> None:
    """It is imported when it is needed: at the first page, by a command, by an account."""
    program = "import sys; from exporter.daemon import logs, composition; print(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert not {"rich", "pygments", "attr", "jinja2", "google", "bcrypt"} & set(ran.stdout.split())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_cleanly(tmp_path: Path, number: signal.Signals) -> None:
    """Exit code 0 in time, also during probes; the last log line is "stopped"."""
    with Exporter(tmp_path / "log") as exporter:
        code, seconds = exporter.stop(number)
    assert code == 0
    assert seconds < IN_TIME
    assert exporter.log_text().splitlines()[-1].endswith("event=stopped")
    assert "Traceback" not in exporter.log_text()


def test_without_a_file_the_four_endpoints_of_gmail_are_probed(tmp_path: Path) -> None:
    """Within 15 s; without internet they are down, with a reason of the network, and the daemon goes on."""
    with Exporter(tmp_path / "log") as exporter:
        exporter.wait_for(lambda: len(exporter.values("gmail_up")) == 4)
        up = exporter.values("gmail_up")
        assert set(up) == {"imap", "pop3", "smtps", "submission"}
        for endpoint, value in up.items():
            reasons = exporter.values("gmail_failure_info", "reason", endpoint=endpoint)
            assert bool(reasons) is (value == 0)
            assert set(reasons) <= {"dns_not_found", "dns_error", "timeout", "unreachable", "refused"}
        exporter.wait_for(lambda: exporter.get("/-/ready").status_code == 200)
        assert exporter.get("/-/healthy").status_code == 200
        assert exporter.stop()[0] == 0


def test_pages_of_real_servers(site: Site) -> None:
    """Status page, endpoint and JSON show the results, with logins, and never the secret."""
    with site.exporter() as exporter:
        exporter.wait_for(lambda: len(exporter.values("gmail_check_success", check="login")) == 5)
        exporter.wait_for(lambda: "All 5 endpoints are up" in exporter.get("/").text)
        page = exporter.get("/endpoints/imap").text
        answer = exporter.get("/api/v1/endpoints/imap").json()
        VALIDATOR.validate(answer)
        shown = [exporter.get(path).text for path in ("/", "/endpoints/pop3", "/api/v1/endpoints")] + [
            page,
            repr(answer),
        ]
    (imap,) = answer["endpoints"]
    assert (imap["state"], imap["labels"]) == ("up", {"tenant": "acme"})
    assert imap["last_login"]["tls"]["chain"][0]["names"] == ["localhost", "127.0.0.1", "::1"]
    for text in ("tenant: acme", "AUTH=PLAIN", "see it", "[redacted]", "logins of this mailbox"):
        assert text in page
    assert not [text for text in shown if OPS_PASSWORD in text]


def test_five_endpoints_on_real_servers(site: Site, dovecot: Dovecot) -> None:
    """All up with login and every phase timed; Dovecot stopped: down, with the reason; started again: up."""
    phases: dict[str, dict[str, float]] = {endpoint: {} for endpoint in site.document["endpoints"]}
    with site.exporter() as exporter:

        def all_are_timed() -> bool:
            # A mailbox logs in rarely, one endpoint after the other: what one probe has shown, the next one may not.
            for (name, labels), seconds in exporter.samples().items():
                if name == "gmail_phase_duration_seconds":
                    phases[dict(labels)["endpoint"]][dict(labels)["phase"]] = seconds
            return all(set(of_endpoint) >= PHASES for of_endpoint in phases.values())

        exporter.wait_for(all_are_timed)
        assert exporter.values("gmail_check_success", check="login") == dict.fromkeys(phases, 1.0)
        assert exporter.values("gmail_up") == dict.fromkeys(site.document["endpoints"], 1.0)
        assert exporter.values("gmail_failure_info") == {}
        assert all(0 < seconds < 30 for phase, seconds in phases["submission"].items() if phase != "resolve")
        assert "starttls" in phases["submission"]
        assert exporter.values("gmail_folder_visible", "folder", endpoint="imap") == {"inbox": 1, "sent": 1, "trash": 1}
        assert exporter.values("gmail_probe_ip_protocol") == dict.fromkeys(site.document["endpoints"], 4.0)
        assert exporter.values("gmail_endpoint_info", "tenant", endpoint="imap") == {"acme": 1.0}

        dovecot.stop()
        refused = {"endpoint": "imap", "phase": "connect"}
        exporter.wait_for(lambda: "refused" in exporter.values("gmail_failure_info", "reason", **refused))
        assert exporter.values("gmail_up")["imap"] == 0

        dovecot.start()
        exporter.wait_for(lambda: exporter.values("gmail_up")["imap"] == 1)
        exporter.wait_for(lambda: exporter.values("gmail_failure_info", endpoint="imap") == {})
        assert exporter.stop()[0] == 0
    log = exporter.log_text()
    assert OPS_PASSWORD not in log
    # A probe that was under way when Dovecot stopped may have failed in another way first, also in its login.
    events = [line.split("event=")[1].split()[0] for line in log.splitlines() if "=imap " in line]
    first, *between, last = [event for event in events if event != '"logins']
    assert (first, last) == ("up", "recovered")
    assert {"down"} <= set(between) <= {"down", "verdict"}


def test_a_wrong_password_is_tried_once_and_is_no_outage(site: Site, dovecot: Dovecot) -> None:
    """Five endpoints with an interval of a second: the server gets one login; a new secret is used."""
    site.secret.write_text(SENTINEL, "utf-8")
    before = dovecot.login_count()
    with site.exporter("--log.level=debug") as exporter:
        exporter.wait_for(lambda: "auth_invalid_credentials" in exporter.values("gmail_failure_info", "reason"))
        exporter.wait_for(
            lambda: (
                len(exporter.values("gmail_login_suspended")) == 5
                and set(exporter.values("gmail_login_suspended").values()) == {1.0}
            )
        )
        probed = exporter.values("gmail_probes_total", result="success")
        exporter.wait_for(
            lambda: all(
                count >= probed[endpoint] + 2
                for endpoint, count in exporter.values("gmail_probes_total", result="success").items()
            )
        )
        assert set(exporter.values("gmail_up").values()) == {1.0}
        assert dovecot.login_count() - before == 1
        site.secret.write_text(OPS_PASSWORD, "utf-8")
        exporter.wait_for(lambda: set(exporter.values("gmail_login_suspended").values()) == {0.0})
        exporter.wait_for(lambda: list(exporter.values("gmail_check_success", check="login").values()) == [1.0] * 5)
        seen = [exporter.get(path).text for path in ("/", "/metrics", "/-/healthy", "/-/ready")]
        exporter.stop()
    for text in (*seen, exporter.log_text()):
        assert SENTINEL not in text
        assert OPS_PASSWORD not in text


def test_sighup_reloads_all_or_nothing(site: Site) -> None:
    """A broken file is in the log and changes nothing; a good one adds and removes, and keeps the other counters."""
    for name in ("imap-starttls", "pop3", "smtps"):
        del site.document["endpoints"][name]
    site.write()
    with site.exporter() as exporter:
        exporter.wait_for(lambda: exporter.values("gmail_probes_total", result="success").get("imap", 0) >= 2)
        assert "\ngmail_exporter_kernel_timestamps 1.0\n" in exporter.get("/metrics").text

        site.config.write_text("endpoints:\n  imap: {port: abc}\n", "utf-8")
        exporter.send(signal.SIGHUP)
        exporter.wait_for(lambda: "reload refused" in exporter.log_text())
        assert f"{site.config}:2:16: endpoints.imap.port" in exporter.log_text()
        successful = "gmail_exporter_config_last_reload_successful"
        assert exporter.samples()[successful, frozenset()] == 0
        assert set(exporter.values("gmail_probe_interval_seconds")) == {"imap", "submission"}

        del site.document["endpoints"]["submission"]
        site.document["endpoints"]["added"] = site.document["endpoints"]["imap"]
        site.write()
        count = exporter.values("gmail_probes_total", result="success")["imap"]
        exporter.send(signal.SIGHUP)
        exporter.wait_for(lambda: set(exporter.values("gmail_probe_interval_seconds")) == {"imap", "added"})
        assert exporter.samples()[successful, frozenset()] == 1
        assert exporter.values("gmail_probes_total", result="success")["imap"] >= count
        assert "submission" not in exporter.get("/metrics").text
        exporter.wait_for(lambda: exporter.values("gmail_up").get("added") == 1)
        assert exporter.stop()[0] == 0


def test_the_later_of_two_reloads_stays(site: Site) -> None:
    """Also where the earlier one reads a large file, which takes longer."""
    endpoint = site.document["endpoints"]["imap"]
    small = {"imap": endpoint}
    site.document["endpoints"] = small
    site.write()
    with site.exporter() as exporter:
        site.document["endpoints"] = {
            f"e{number}": {"protocol": "imap", "host": "localhost", "interval": "1h"} for number in range(3000)
        }
        site.write()
        exporter.send(signal.SIGHUP)
        time.sleep(0.1)
        site.document["endpoints"] = small
        site.write()
        exporter.send(signal.SIGHUP)
        exporter.wait_for(lambda: exporter.log_text().count("event=reloaded") == 2)
        assert set(exporter.values("gmail_probe_interval_seconds")) == {"imap"}
        assert exporter.stop()[0] == 0


def has_a_say(pid: int, number: signal.Signals) -> bool:
    """Whether the process ignores or handles a signal, which would end it otherwise."""
    lines = dict(line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text("ascii").splitlines())
    return bool((int(lines["SigIgn"], 16) | int(lines["SigCgt"], 16)) >> (number - 1) & 1)


def test_a_reload_during_the_start_is_ignored(tmp_path: Path) -> None:
    """A service manager may send SIGHUP at any time of the start."""
    for delay in (0.0, 0.1, 0.3):
        exporter = Exporter(tmp_path / "log")
        exporter.begin()
        while not has_a_say(exporter._popen.pid, signal.SIGHUP):
            time.sleep(0.01)
        time.sleep(delay)
        exporter.send(signal.SIGHUP)
        exporter.wait_for_start()
        assert exporter.stop()[0] == 0


def test_nothing_is_left_open(site: Site) -> None:
    """After dozens of probes the process has as many open files as after the first few."""
    with site.exporter() as exporter:
        exporter.wait_for(lambda: sum(exporter.values("gmail_probes_total", result="success").values()) >= 5)
        before = exporter.open_files()
        exporter.wait_for(lambda: sum(exporter.values("gmail_probes_total", result="success").values()) >= 25)
        exporter.wait_for(lambda: exporter.open_files() <= before + 1)
        assert exporter.stop()[0] == 0


@pytest.fixture
def as_text() -> Iterator[Any]:
    """Call it with a URL for another one that always answers in text 0.0.4."""
    servers = []

    def relay(url: str) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                answer = httpx.get(url + self.path, timeout=PATIENCE)
                self.send_response(answer.status_code)
                self.send_header("Content-Type", answer.headers["content-type"])
                self.end_headers()
                self.wfile.write(answer.content)

            def log_message(self, *_: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"127.0.0.1:{server.server_port}"

    yield relay
    for server in servers:
        server.shutdown()
        server.server_close()


def test_a_real_prometheus_scrapes_both_formats(site: Site, prometheus: StartPrometheus, as_text: Any) -> None:
    """With the same values; promtool has no complaint."""
    with site.exporter() as exporter:
        exporter.wait_for(lambda: list(exporter.values("gmail_up").values()) == [1.0] * 5)
        checked = subprocess.run(
            [find_program("promtool", "prometheus"), "check", "metrics"],
            input=exporter.get("/metrics").content,
            capture_output=True,
            check=False,
        )
        assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")
        scraping = prometheus(
            [
                {"job_name": "openmetrics", "static_configs": [{"targets": [exporter.url.removeprefix("http://")]}]},
                {"job_name": "text", "static_configs": [{"targets": [as_text(exporter.url)]}]},
            ]
        )
        for job in ("openmetrics", "text"):
            scraping.wait_for(f'gmail_up{{job="{job}"}} == 1', lambda found: len(found) == 5)
            scraping.wait_for(f'gmail_probe_duration_seconds_bucket{{job="{job}",le="+Inf",endpoint="imap"}} > 0')
        assert {target["health"] for target in scraping.targets()} == {"up"}
        assert exporter.stop()[0] == 0


def test_shards_share_a_configuration(tmp_path: Path) -> None:
    """Each endpoint is probed by exactly one of them, after a reload, too; a metric has the number of shards."""
    config = tmp_path / "config.yml"
    names = [f"tenant-{number}" for number in range(12)]

    def write(wanted: list[str]) -> None:
        one = {"protocol": "imap", "host": "127.0.0.1", "port": 9, "security": "none", "interval": "1h"}
        config.write_text(json.dumps({"endpoints": dict.fromkeys(wanted, one)}), "utf-8")

    write(names[:8])
    parts = [Exporter(tmp_path / f"log-{number}", config, f"--shard={number}/2") for number in range(2)]
    with parts[0], parts[1]:

        def probed() -> list[str]:
            return sorted(name for part in parts for name in part.values("gmail_endpoint_info"))

        assert probed() == sorted(names[:8])
        assert all(part.values("gmail_endpoint_info") for part in parts)
        for number, part in enumerate(parts):
            assert part.values("gmail_exporter_shard_info", "shard", shards="2") == {str(number): 1}
            assert part.samples()["gmail_exporter_shards", frozenset()] == 2
        hashes = [part.samples()["gmail_exporter_config_hash", frozenset()] for part in parts]
        assert hashes[0] == hashes[1]
        write(names)
        for part in parts:
            part.send(signal.SIGHUP)
            part.wait_for(lambda log=part.log: "event=reloaded" in log.read_text("utf-8"))  # type: ignore[misc]
        assert probed() == sorted(names)
