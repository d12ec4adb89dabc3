"""Debian's Alertmanager on an ephemeral loopback port, alone, with a configuration and notifications of its own."""

from __future__ import annotations

import json
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.servers.process import Process, Server, ServerError, find_program, free_port
from tests.waiting import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class Alertmanager(Server):
    """One Alertmanager with the configuration that is given."""

    def __init__(self, configuration: Mapping[str, Any]) -> None:
        self.program = find_program("prometheus-alertmanager", "prometheus-alertmanager")
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        self.url = f"http://{self.address}"
        self.directory = Path(tempfile.mkdtemp(prefix="alertmanager-"))
        self.log_file = self.directory / "output"
        # Every JSON text is YAML.
        (self.directory / "alertmanager.yml").write_text(json.dumps(configuration))

    def start(self) -> None:
        """Start, and return once it takes alerts."""
        if self._process is not None:
            raise ServerError("Alertmanager runs already")
        argv = [
            self.program,
            f"--config.file={self.directory}/alertmanager.yml",
            f"--storage.path={self.directory}/data",
            f"--web.listen-address={self.address}",
            # No cluster: it would listen on a port for its peers, and wait for them before it notifies.
            "--cluster.listen-address=",
        ]
        process = Process(argv, output=self.log_file)
        process.wait_until(self._is_ready, log=str)
        self._process = process

    def post(self, alerts: Sequence[Mapping[str, Any]]) -> None:
        """Send it alerts, as Prometheus does.

        Raises:
            ServerError: it refused them; with its words.
        """
        self._ask("/api/v2/alerts", json.dumps(alerts).encode())

    def alerts(self) -> list[dict[str, Any]]:
        """The alerts that it holds, as its API describes them (`labels`, `annotations`, `status`, …)."""
        alerts: list[dict[str, Any]] = self._ask("/api/v2/alerts")
        return alerts

    def wait_for(self, alertname: str, state: str = "active", timeout: float = PATIENCE) -> list[dict[str, Any]]:
        """Wait until alerts of that name are in that state (`active`, `suppressed`), and return them.

        Raises:
            ServerError: not within `timeout` seconds; with what it holds.
        """
        deadline = time.monotonic() + timeout
        while True:
            alerts = self.alerts()
            found = [a for a in alerts if a["labels"]["alertname"] == alertname and a["status"]["state"] == state]
            if found:
                return found
            if time.monotonic() > deadline:
                raise ServerError(f"{alertname} is not {state} within {timeout} s: {alerts}")
            time.sleep(0.05)

    def _ask(self, path: str, body: bytes | None = None) -> Any:
        request = urllib.request.Request(self.url + path, body, {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
                text = answer.read()
                return json.loads(text) if text else None
        except urllib.error.HTTPError as error:
            with error:
                raise ServerError(f"{path}: {error.read().decode(errors='replace')}") from error

    def _is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/-/ready", timeout=PATIENCE) as answer:
                return bool(answer.status == 200)
        except urllib.error.HTTPError as error:
            error.close()
            return False
        except OSError:
            return False
