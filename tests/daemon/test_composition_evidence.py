"""The daemon contacts controls that are configured, and shows what it found; it needs no request for that."""

from __future__ import annotations

import json
import signal
import socket
from pathlib import Path

from tests.servers.exporter import Exporter


def test_controls_of_the_configuration(tmp_path: Path, free_port: int) -> None:
    """They are looked at when the daemon starts; after a reload, those that are gone have no sample any more."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        config = tmp_path / "gmail.yml"
        endpoint = {"protocol": "imap", "host": "127.0.0.1", "port": free_port, "security": "none", "interval": "1h"}
        controls = {
            "near": {"kind": "neutral", "host": "127.0.0.1", "port": listening.getsockname()[1]},
            "away": {"kind": "neutral", "host": "127.0.0.1", "port": free_port},
            "web": {"kind": "provider_web", "host": "www.google.com", "port": 443},
        }

        def write(*names: str) -> None:
            chosen = {name: controls[name] for name in names}
            config.write_text(json.dumps({"endpoints": {"own": endpoint}, "verdict": {"controls": chosen}}), "utf-8")

        write("near", "away", "web")
        with Exporter(tmp_path / "log", config) as exporter:
            exporter.wait_for(lambda: exporter.values("gmail_control_up", "control") == {"near": 1, "away": 0})
            assert "gmail_provider" not in exporter.get("/metrics").text
            write("near")
            exporter.send(signal.SIGHUP)
            exporter.wait_for(lambda: exporter.values("gmail_control_up", "control") == {"near": 1})
            assert exporter.stop()[0] == 0
        assert "Traceback" not in exporter.log_text()
