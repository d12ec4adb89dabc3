"""Prometheus scrapes, answers and ends as `prometheus.py` claims."""

from __future__ import annotations

from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import TYPE_CHECKING

import pytest

from tests.servers.process import ServerError, is_listening, is_running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.conftest import StartPrometheus


class Exposition(BaseHTTPRequestHandler):
    """Two samples."""

    def do_GET(self) -> None:
        """Answer every path alike."""
        body = b'# TYPE answer gauge\nanswer{to="everything"} 42\nanswer{to="nothing"} 0\n'
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is inherited
        """Say nothing."""


@pytest.fixture
def target() -> Iterator[str]:
    """The address of an exporter."""
    with HTTPServer(("127.0.0.1", 0), Exposition) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def scrape(job: str, target: str) -> dict[str, object]:
    """A scrape configuration."""
    return {
        "job_name": job,
        "scrape_interval": "200ms",
        "scrape_timeout": "200ms",
        "static_configs": [{"targets": [target]}],
    }


def test_prometheus(prometheus: StartPrometheus, target: str, free_port: int, tmp_path: Path) -> None:
    """It scrapes, evaluates a rule, tells why a target is down, and leaves no process when stopped."""
    rules = tmp_path / "rules.yml"
    rules.write_text('{"groups": [{"name": "tests", "rules": [{"record": "tests:up", "expr": "sum(up)"}]}]}')
    server = prometheus([scrape("good", target), scrape("closed", f"127.0.0.1:{free_port}")], rule_files=[rules])

    samples = server.wait_for('answer{to="everything"}')
    assert [(sample.name, sample.value) for sample in samples] == [("answer", 42.0)]
    assert samples[0].labels["job"] == "good"
    assert server.wait_for("tests:up", lambda found: found and found[0].value == 1)
    assert server.query("scalar(vector(7))")[0].value == 7
    server.wait_for('up{job="closed"} == 0')
    health = {each["labels"]["job"]: (each["health"], each["lastError"]) for each in server.targets()}
    assert health["good"] == ("up", "")
    assert health["closed"][0] == "down"
    assert "connection refused" in health["closed"][1]

    with pytest.raises(ServerError, match="parse error"):
        server.query("up{")
    with pytest.raises(ServerError, match="not within"):
        server.wait_for("absent_metric", timeout=0)

    members = server.members()
    server.stop()
    assert members
    assert not [pid for pid in members if is_running(pid)]
    assert not is_listening(server.port)


def test_bad_configuration(prometheus: StartPrometheus) -> None:
    """What Prometheus does not like about its configuration is in the failure."""
    with pytest.raises(pytest.fail.Exception, match="unknown_key"):
        prometheus([{"unknown_key": 1}])
