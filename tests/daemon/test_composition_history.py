"""History over a restart of the daemon."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.examples import SENTINEL
from tests.servers.exporter import Exporter
from tests.servers.process import free_port

COUNT = 25
"""So many that none is probed soon after the start, where the interval is long."""


class Site:
    """Endpoints at which nobody listens, and a storage."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.config, self.storage = directory / "config.yml", directory / "ledger.db"
        self.file = directory / "ledger.db.history"
        self.port = free_port()
        self.configure("1s")

    def configure(self, interval: str, port: int = 0) -> None:
        """Probe so often, one of them at another port."""
        endpoint = {"protocol": "imap", "host": "127.0.0.1", "timeout": "500ms", "interval": interval}
        endpoints: dict[str, Any] = {f"e{number}": {**endpoint, "port": self.port} for number in range(COUNT)}
        endpoints["e0"]["port"] = port or self.port
        # Its secret is never sent, for nobody listens.
        account = {"username": "probe@example.com", "app_password": {"env": "SECRET"}}
        endpoints["e1"]["account"] = "ops"
        self.config.write_text(json.dumps({"accounts": {"ops": account}, "endpoints": endpoints}))

    def exporter(self) -> Exporter:
        """A daemon with this configuration and storage."""
        environ = {"SECRET": SENTINEL}
        return Exporter(self.directory / "log", self.config, f"--storage.path={self.storage}", environ=environ)


def endpoints(exporter: Exporter) -> dict[str, dict[str, Any]]:
    """What the API says of three endpoints."""
    return {name: exporter.get(f"/api/v1/endpoints/{name}").json()["endpoints"][0] for name in ("e0", "e1", "e2")}


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """Endpoints that are down."""
    return Site(tmp_path)


def test_a_restart(site: Site) -> None:
    """Before its first probe an endpoint has its bars and its failures, and no metric says that it is down."""
    with site.exporter() as exporter:
        exporter.wait_for(lambda: min(exporter.values("gmail_probes_total", result="failure").values()) >= 3)
        assert exporter.stop()[0] == 0
    site.configure("1h", port=free_port())
    with site.exporter() as exporter:
        exporter.wait_for(lambda: len(endpoints(exporter)["e2"]["history"]) >= 3)
        seen = endpoints(exporter)
        for name in ("e1", "e2"):
            assert (seen[name]["state"], seen[name]["last"], seen[name]["since"]) == ("pending", None, None)
            assert {failure["reason"] for failure in seen[name]["failures"]} == {"refused"}
            assert seen[name]["probes"] == {"success": 0, "failure": 0}
        assert (seen["e0"]["history"], seen["e0"]["failures"]) == ([], [])  # it is another server now
        assert "gmail_up{" not in exporter.get("/metrics").text
        assert exporter.get("/").text.count('<path class="down"') >= COUNT - 1
        page = exporter.get("/endpoints/e2").text
        assert "Not probed yet" in page
        assert "Connection refused" in page
        assert '<svg class="chart"' in page
        assert exporter.stop()[0] == 0
    site.configure("1s")
    with site.exporter() as exporter:
        exporter.wait_for(lambda: len(exporter.values("gmail_up")) == COUNT)
        exporter.wait_for(lambda: len(endpoints(exporter)["e2"]["history"]) >= 4)
        first = endpoints(exporter)["e2"]["history"][0]["started_at"]
        exporter.wait_for(lambda: first < endpoints(exporter)["e2"]["since"] < first + 1)
    assert SENTINEL.encode() not in site.file.read_bytes()


def test_a_crash_and_a_damaged_file(site: Site) -> None:
    """It starts without the history, and says so once."""
    with site.exporter() as exporter:
        exporter.wait_for(lambda: min(exporter.values("gmail_probes_total", result="failure").values()) >= 1)
        exporter.stop(signal.SIGTERM)
    site.file.write_bytes(site.file.read_bytes()[:-10])
    with site.exporter() as exporter:
        exporter.wait_for(lambda: len(exporter.values("gmail_up")) == COUNT)
        assert exporter.log_text().count("history not restored") == 1
        assert exporter.stop(signal.SIGINT)[0] == 0
    with site.exporter() as exporter:
        exporter.wait_for(lambda: len(endpoints(exporter)["e2"]["history"]) >= 1)
        assert "history" not in exporter.log_text()
