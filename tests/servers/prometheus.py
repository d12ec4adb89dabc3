"""Debian's Prometheus on an ephemeral loopback port, with a scrape configuration and a database of its own."""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.servers.process import Process, Server, ServerError, find_program, free_port
from tests.waiting import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


@dataclass(frozen=True)
class Sample:
    """One element of an instant vector; a scalar has no labels."""

    labels: Mapping[str, str]
    value: float
    timestamp: float

    @property
    def name(self) -> str:
        """The metric's name; empty where the expression has removed it."""
        return self.labels.get("__name__", "")


class Prometheus(Server):
    """One Prometheus that scrapes what `scrape_configs` says, every second unless that says otherwise.

    What its rules announce goes to `alertmanagers`, each a host and a port.
    """

    def __init__(
        self,
        scrape_configs: Sequence[Mapping[str, Any]],
        *,
        rule_files: Sequence[Path] = (),
        arguments: Sequence[str] = (),
        alertmanagers: Sequence[str] = (),
    ) -> None:
        self.program = find_program("prometheus", "prometheus")
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.directory = Path(tempfile.mkdtemp(prefix="prometheus-"))
        self.log_file = self.directory / "output"
        self.arguments = list(arguments)
        configuration = {
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
            "scrape_configs": list(scrape_configs),
            "rule_files": [str(path) for path in rule_files],
            "alerting": {"alertmanagers": [{"static_configs": [{"targets": list(alertmanagers)}]}]},
        }
        # Every JSON text is YAML.
        (self.directory / "prometheus.yml").write_text(json.dumps(configuration))

    def start(self) -> None:
        """Start, and return once it answers queries."""
        if self._process is not None:
            raise ServerError("Prometheus runs already")
        argv = [
            self.program,
            f"--config.file={self.directory}/prometheus.yml",
            f"--storage.tsdb.path={self.directory}/data",
            f"--web.listen-address=127.0.0.1:{self.port}",
            # Discovery takes five seconds to hand over the targets; scraping is not to wait five more for them.
            "--scrape.discovery-reload-interval=10ms",
            *self.arguments,
        ]
        process = Process(argv, output=self.log_file)
        process.wait_until(self._is_ready, log=str)
        self._process = process

    def backfill(self, exposition: Path) -> None:
        """Put samples of the past, as OpenMetrics, into the database of a Prometheus that does not run.

        Raises:
            ServerError: promtool refused them; with its words.
        """
        self._create_blocks("openmetrics", str(exposition), f"{self.directory}/data")

    def backfill_rules(self, rules: Path, start: float, end: float) -> None:
        """Put what recording rules find, from one time to another in Unix seconds, into the database.

        It must run; it sees the new samples after a restart.

        Raises:
            ServerError: promtool refused the rules; with its words.
        """
        span = [f"--start={start:.0f}", f"--end={end:.0f}"]
        self._create_blocks("rules", *span, f"--url={self.url}", f"--output-dir={self.directory}/data", str(rules))

    def _create_blocks(self, *arguments: str) -> None:
        argv = [find_program("promtool", "prometheus"), "tsdb", "create-blocks-from", *arguments]
        made = subprocess.run(argv, capture_output=True, text=True, check=False)
        if made.returncode:
            raise ServerError(f"promtool: {made.stdout}{made.stderr}")

    def query(self, promql: str, *, at: float | None = None) -> list[Sample]:
        """Evaluate an instant query now, or at a time in Unix seconds.

        Raises:
            ServerError: Prometheus refused the expression; with its words.
        """
        data = self.get("/api/v1/query", query=promql, **({} if at is None else {"time": repr(at)}))
        if data["resultType"] == "scalar":
            return [Sample({}, float(data["result"][1]), float(data["result"][0]))]
        return [
            Sample(element["metric"], float(element["value"][1]), float(element["value"][0]))
            for element in data["result"]
        ]

    def query_range(self, promql: str, start: float, end: float, step: float) -> list[list[Sample]]:
        """Evaluate a query over a range, in Unix seconds and seconds: the samples of each series.

        Raises:
            ServerError: Prometheus refused the expression; with its words.
        """
        data = self.get("/api/v1/query_range", query=promql, start=repr(start), end=repr(end), step=repr(step))
        return [
            [Sample(series["metric"], float(value), float(at)) for at, value in series["values"]]
            for series in data["result"]
        ]

    def wait_for(
        self, promql: str, predicate: Callable[[list[Sample]], object] = bool, timeout: float = PATIENCE
    ) -> list[Sample]:
        """Evaluate a query until the predicate likes the samples, and return those.

        Raises:
            ServerError: not within `timeout` seconds; with the last samples and the state of every target.
        """
        deadline = time.monotonic() + timeout
        while not predicate(samples := self.query(promql)):
            if time.monotonic() > deadline:
                raise ServerError(f"{promql}: not within {timeout} s; last: {samples}; targets: {self.targets()}")
            time.sleep(0.05)
        return samples

    def targets(self) -> list[dict[str, Any]]:
        """The active targets, as Prometheus' API describes them (`health`, `lastError`, `labels`, …)."""
        active: list[dict[str, Any]] = self.get("/api/v1/targets", state="active")["activeTargets"]
        return active

    def get(self, path: str, **parameters: str) -> Any:
        """The `data` of an answer of Prometheus' API.

        Raises:
            ServerError: the answer is an error; with its words.
        """
        url = f"{self.url}{path}?{urllib.parse.urlencode(parameters)}"
        try:
            with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
                return json.load(answer)["data"]
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
