"""Debian's blackbox_exporter on an ephemeral loopback port."""

from __future__ import annotations

import json
import tempfile
import urllib.parse
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.servers.process import Process, Server, ServerError, find_program, free_port, is_listening
from tests.waiting import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Mapping


class Blackbox(Server):
    """One blackbox_exporter with these modules."""

    def __init__(self, modules: Mapping[str, Mapping[str, Any]]) -> None:
        self.program = find_program("prometheus-blackbox-exporter", "prometheus-blackbox-exporter")
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        self.directory = Path(tempfile.mkdtemp(prefix="blackbox-"))
        self.log_file = self.directory / "output"
        # Every JSON text is YAML.
        (self.directory / "blackbox.yml").write_text(json.dumps({"modules": modules}))

    def start(self) -> None:
        """Start, and return once it accepts connections."""
        if self._process is not None:
            raise ServerError("blackbox_exporter runs already")
        file = self.directory / "blackbox.yml"
        argv = [self.program, f"--config.file={file}", f"--web.listen-address={self.address}"]
        process = Process(argv, output=self.log_file)
        process.wait_until(lambda: is_listening(self.port), log=str)
        self._process = process

    def probe(self, module: str, target: str) -> str:
        """The metrics of a target, as text."""
        query = urllib.parse.urlencode({"module": module, "target": target})
        with urllib.request.urlopen(f"http://{self.address}/probe?{query}", timeout=PATIENCE) as answer:
            text: str = answer.read().decode()
        return text
