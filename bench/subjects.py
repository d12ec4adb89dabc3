"""The two exporters that are measured, each a process of its own: this one, and blackbox_exporter."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from bench.client import Answer, Client
from bench.result import Lab

START_SECONDS = 60


class ProbesFailedError(RuntimeError):
    """Probes failed that must not: the figures would be those of something else."""


@dataclass(frozen=True)
class Mailbox:
    """An endpoint to probe; `interval` and `timeout` in seconds."""

    name: str
    host: str
    port: int
    interval: float
    timeout: float


def mailboxes(count: int, port: int, interval: float, host: str = "localhost", prefix: str = "tenant") -> list[Mailbox]:
    """Return this number of endpoints of one server."""
    return [Mailbox(f"{prefix}-{n}", host, port, interval, interval * 0.9) for n in range(count)]


class _Process:
    """A process that always ends with the context."""

    def __init__(self, command: Sequence[str], port: int, log: Path) -> None:
        self._command = list(command)
        self.port = port
        self.client = Client("127.0.0.1", port)
        self.log = log

    def __enter__(self) -> Self:
        self.began = time.perf_counter()
        with self.log.open("wb") as sink:
            self._popen = subprocess.Popen(self._command, stdin=subprocess.DEVNULL, stdout=sink, stderr=sink)
        self.pid = self._popen.pid
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._popen.terminate()
        self._popen.wait(10)

    async def ready(self) -> float:
        """Wait until it listens; return the seconds since it was started."""
        while True:
            if self._popen.poll() is not None or time.perf_counter() - self.began > START_SECONDS:
                raise RuntimeError(f"not started:\n{self.log.read_text()[-3000:]}")
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", self.port)
            except OSError:
                await asyncio.sleep(0.005)
            else:
                writer.close()
                return time.perf_counter() - self.began

    def logged(self, pattern: str) -> int:
        """Return how often the pattern is in its log."""
        return len(re.findall(pattern, self.log.read_text()))


@dataclass(frozen=True)
class Samples:
    """The samples of a scrape: values by name and labels."""

    values: Mapping[str, Sequence[tuple[Mapping[str, str], float]]]

    @classmethod
    def parse(cls, answer: Answer) -> Samples:
        """Parse an exposition whose labels have no escapes."""
        text = answer.text
        values: dict[str, list[tuple[Mapping[str, str], float]]] = {}
        for name, labels, value in _SAMPLE.findall(text):
            values.setdefault(name, []).append((dict(_LABEL.findall(labels)), float(value)))
        return cls(values)

    def of(self, name: str, label: str, **wanted: str) -> dict[str, float]:
        """Return the values of a metric by one of its labels."""
        return {labels[label]: value for labels, value in self._with(name, wanted)}

    def total(self, name: str, **wanted: str) -> float:
        """Return the sum of a metric."""
        return sum(value for _, value in self._with(name, wanted))

    def _with(self, name: str, wanted: Mapping[str, str]) -> Iterator[tuple[Mapping[str, str], float]]:
        return (one for one in self.values.get(name, ()) if wanted.items() <= one[0].items())


_SAMPLE = re.compile(r"^(\w+)(?:\{(.*)\})? (\S+)$", re.MULTILINE)
_LABEL = re.compile(r'(\w+)="([^"]*)"')


class Ours(_Process):
    """The daemon as a user runs it, on a configuration file; `wrapped` are flags of `bench.wrapper`."""

    def __init__(self, directory: Path, port: int, config: Path | None, *wrapped: str, level: str = "warn") -> None:
        # The log line of an endpoint that comes up is written once, and does not belong to the cost of a probe.
        flags = [f"--web.listen-address=127.0.0.1:{port}", f"--log.level={level}"]
        flags += [f"--config.file={config}"] if config else []
        module = ["bench.wrapper", *wrapped, "--"] if wrapped else ["exporter"]
        super().__init__([sys.executable, "-m", *module, *flags], port, directory / "ours.log")

    async def scrape(self) -> Answer:
        """Scrape it as Prometheus does. The answer is parsed after the measurement."""
        return await self.client.get("/metrics")


def write_config(path: Path, endpoints: Iterable[Mailbox], ca_file: Path) -> Path:
    """Write the endpoints as a configuration file, in YAML's block style, as people do."""
    lines = ["endpoints:"]
    for one in endpoints:
        lines += [
            f"  {one.name}:",
            "    protocol: imap",
            f"    host: {one.host}",
            f"    port: {one.port}",
            "    ip_family: ipv4",
            f"    interval: {one.interval:g}s",
            f"    timeout: {round(one.timeout * 1000)}ms",
            f"    tls: {{ca_file: {json.dumps(str(ca_file))}, server_name: localhost}}",
        ]
    path.write_text("\n".join(lines) + "\n")
    return path


BLACKBOX = """
modules:
  imap:
    prober: tcp
    timeout: {timeout}s
    tcp:
      preferred_ip_protocol: ip4
      ip_protocol_fallback: false
      tls: true
      tls_config: {{ca_file: "{ca_file}", server_name: localhost}}
      query_response:
        - expect: '^\\* OK'
        - send: 'a1 CAPABILITY'
        - expect: '^a1 OK'
        - send: 'bye LOGOUT'
        - expect: '^bye OK'
"""


class Blackbox(_Process):
    """blackbox_exporter, scraped like Prometheus does: one `/probe` for each endpoint in each interval."""

    def __init__(self, lab: Lab, timeout: float = 9) -> None:
        config, port = lab.directory / "blackbox.yml", free_port()
        config.write_text(BLACKBOX.format(timeout=timeout, ca_file=lab.authority.ca_file))
        command = [lab.blackbox, f"--config.file={config}", f"--web.listen-address=127.0.0.1:{port}"]
        super().__init__(command, port, lab.directory / "blackbox.log")

    async def drive(self, endpoints: Sequence[Mailbox], seconds: float) -> list[tuple[Mailbox, float, float]]:
        """Probe every endpoint at its interval; return each probe's Unix time of its end and its reported seconds."""
        seen: list[tuple[Mailbox, float, float]] = []
        failed: list[str] = []
        ends = time.perf_counter() + seconds

        async def one(endpoint: Mailbox) -> None:
            answer = await self.client.get(f"/probe?module=imap&target={endpoint.host}:{endpoint.port}")
            ended = time.time()
            duration = re.search(r"^probe_duration_seconds (\S+)$", answer.text, re.MULTILINE)
            if duration is None or "\nprobe_success 1\n" not in answer.text:
                failed.append(answer.text)
            else:
                seen.append((endpoint, ended, float(duration[1])))

        tasks = set()
        begin, step = time.perf_counter(), endpoints[0].interval / len(endpoints)
        number = 0
        while (at := begin + number * step) < ends:
            await asyncio.sleep(max(0.0, at - time.perf_counter()))
            task = asyncio.create_task(one(endpoints[number % len(endpoints)]))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
            number += 1
        await asyncio.gather(*tasks)
        if failed:
            raise ProbesFailedError(f"{len(failed)} probes of blackbox_exporter failed; the last:\n{failed[-1]}")
        return seen


def free_port() -> int:
    """Return a free port of the loopback."""
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port: int = unused.getsockname()[1]
        return port
