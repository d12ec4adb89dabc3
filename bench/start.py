"""Time to the first scrape, of a reload, and to import the command; with the default, 1 and 5,000 endpoints."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import statistics
import subprocess
import sys
import time
from pathlib import Path

from bench.result import Lab, Result, Table
from bench.subjects import Ours, free_port, mailboxes, write_config

DAY = 86400.0


async def measure(lab: Lab) -> Result:
    """Measure starts and reloads. The name server never answers, so nothing leaves this host."""
    result = Result("start")
    times = 2 if lab.quick else 5
    silent = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    silent.bind(("127.0.0.1", 0))
    nameserver = f"--nameserver=127.0.0.1:{silent.getsockname()[1]}"
    configs: dict[str, Path | None] = {"the default": None}
    for count in (1, 5000):
        path = lab.directory / f"start-{count}.yml"
        configs[f"{count:,}"] = write_config(path, mailboxes(count, 9, DAY, "127.0.0.1"), lab.authority.ca_file)
    rows = []
    for name, config in configs.items():
        found = [await _start_and_reload(lab, config, nameserver) for _ in range(times)]
        started, reloaded = (statistics.median(of) for of in zip(*found, strict=True))
        result.data[name] = {"first_scrape": started, "reload": reloaded}
        rows.append([name, f"{started:.2f}", f"{reloaded:.2f}"])
    silent.close()
    imported = statistics.median(_import_seconds() for _ in range(times))
    result.data["version"] = imported
    result.limit(
        "time to the first scrape with the default configuration", result.data["the default"]["first_scrape"], "s", 0.45
    )
    head = ["endpoints", "to the first scrape, s", "reload, s"]
    note = (
        f"`gmail-exporter --version`, which is the import of the command, takes {imported:.2f} s. Medians of {times}."
    )
    result.tables.append(Table("Start and reload", head, rows, note))
    return result


async def _start_and_reload(lab: Lab, config: Path | None, nameserver: str) -> tuple[float, float]:
    with Ours(lab.directory, free_port(), config, nameserver, level="info") as ours:
        await ours.ready()
        await ours.client.get("/metrics")
        started = time.perf_counter() - ours.began
        os.kill(ours.pid, signal.SIGHUP)
        began = time.perf_counter()
        while not ours.logged("event=reloaded"):
            await asyncio.sleep(0.002)
        return started, time.perf_counter() - began


def _import_seconds() -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, "-m", "exporter", "--version"], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began
