"""Where the daemon may open no more files, whoever asks is answered, and told why it fails."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.servers.descriptors import used_up_while
from tests.servers.exporter import Exporter

QUESTIONS = (
    "/-/healthy", "/-/ready", "/metrics", "/", "/endpoints/imap", "/reasons", "/deliveries", "/config",
    "/api/v1/endpoints", "/api/v1/endpoints/imap", "/static/style.css",
)  # fmt: skip


@pytest.mark.parametrize("first", ["/", "/endpoints/imap", "/deliveries", "/static/style.css", "/metrics"])
def test_without_a_file_descriptor(tmp_path: Path, first: str) -> None:
    """Whatever is asked first, nothing was loaded before; each question has a connection of its own."""
    flag, config = tmp_path / "used-up", tmp_path / "gmail.yml"
    flag.touch()
    endpoint = {"protocol": "imap", "host": "localhost", "port": 1, "interval": "1s", "timeout": "900ms"}
    config.write_text(json.dumps({"endpoints": {"imap": endpoint}}), "utf-8")
    exporter = Exporter(tmp_path / "log", config, before=used_up_while(flag))
    exporter.open_files_allowed = 128
    with exporter:
        exporter.wait_for(lambda: "event=down" in exporter.log_text())
        for path in (first, *QUESTIONS):
            answer = exporter.get(path)
            assert answer.status_code == 200, (path, answer.text)
        exporter.wait_for(lambda: "this exporter has no file descriptor left" in exporter.get("/").text)
        assert "Traceback" not in exporter.log_text(), exporter.log_text()
