"""The cost of one scrape, by the number of endpoints, the format and the encoding.

The daemon has probed everything and is otherwise idle. While its main thread works on a scrape, the event loop and
every probe are blocked; compression runs in another thread.
"""

from __future__ import annotations

import asyncio
import statistics
import time

from bench.client import Answer
from bench.mailserver import MailServer
from bench.result import Lab, Result, Table, milliseconds
from bench.subjects import Ours, free_port, mailboxes, write_config
from bench.usage import cpu_seconds, main_thread_seconds

COUNTS = (10, 100, 1000, 5000)
DAY = 86400.0
ACCEPT = {"text": "text/plain;version=0.0.4", "OpenMetrics": "application/openmetrics-text;version=1.0.0"}
ASKED: dict[str, dict[str, str]] = {
    "text": {"Accept": ACCEPT["text"]},
    "OpenMetrics": {"Accept": ACCEPT["OpenMetrics"]},
    "OpenMetrics, gzip": {"Accept": ACCEPT["OpenMetrics"], "Accept-Encoding": "gzip"},
}
MOST = 25.0
"""Most milliseconds that a scrape of a thousand endpoints may block the event loop."""


async def measure(lab: Lab) -> Result:
    """Measure each number, format and encoding."""
    result = Result("scrape")
    rows = []
    with MailServer(lab.certificate) as server:
        for count in COUNTS:
            endpoints = mailboxes(count, server.port, DAY)
            config = write_config(lab.directory / "scrape.yml", endpoints, lab.authority.ca_file)
            with Ours(lab.directory, free_port(), config, "--filled") as ours:
                await ours.ready()
                await asyncio.sleep(2)  # fewer than twenty are probed at once
                for name, headers in ASKED.items():
                    held, cpu, taken, size = await _ask(ours, headers, 4 if lab.quick else 20)
                    rows.append([f"{count:,}", name, *map(milliseconds, (held, cpu, taken)), f"{size / 1e6:.2f}"])
                    result.data[f"{count} {name}"] = {"loop": held, "cpu": cpu, "seconds": taken, "octets": size}
    longest = max(result.data[f"1000 {name}"]["loop"] for name in ASKED)
    result.limit("one scrape at 1,000 endpoints, of the event loop", longest * 1e3, "ms", MOST)
    head = ["endpoints", "format", "event loop, ms", "CPU, ms", "until answered, ms", "MB"]
    result.tables.append(Table("Scrape", head, rows, "The first is a mean, the last a median of 20 scrapes."))
    return result


async def _ask(ours: Ours, headers: dict[str, str], times: int) -> tuple[float, float, float, int]:
    """Scrape this often; return seconds of the main thread, of the process, and to the answer, and its octets."""
    answer: Answer = await ours.client.get("/metrics", headers)
    held, cpu, taken = main_thread_seconds(ours.pid), cpu_seconds(ours.pid), []
    for _ in range(times):
        began = time.perf_counter()
        answer = await ours.client.get("/metrics", headers)
        taken.append(time.perf_counter() - began)
    await asyncio.sleep(0.02)
    held, cpu = (main_thread_seconds(ours.pid) - held) / times, (cpu_seconds(ours.pid) - cpu) / times
    return held, cpu, statistics.median(taken), len(answer.body)
