"""What each part of the exporter adds to the CPU of a probe: a bare probe, then with the store, and so on.

python -m bench.layers PORT CA_FILE LAYER COUNT probes a server, one probe after another, in this process alone, and
prints the seconds of CPU per probe. Under `valgrind --tool=callgrind` two counts show the instructions of one probe.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import uvloop

from bench.mailserver import MailServer
from bench.result import Lab, Result, Table, milliseconds
from bench.subjects import mailboxes
from exporter.accounts.ledger import Ledger
from exporter.daemon import garbage
from exporter.exposition.cache import Exposition
from exporter.model.outcome import Target
from exporter.model.settings import Endpoint, IpFamily, Protocol, Security, Tls
from exporter.monitor.checker import Checker
from exporter.monitor.instruments import ExporterMetrics
from exporter.monitor.schedule import Schedule
from exporter.monitor.store import Store
from exporter.probing.probe import probe
from exporter.probing.resolve import Resolver

LAYERS = {
    "probe": "a bare probe",
    "store": "with the login budget, the store and the log",
    "exposition": "with the lines of `/metrics`",
    "schedule": "with the schedule: all of it but the scrapes",
}
"""Each with all before it."""

TARGETS, WARM_UP, RATE = 100, 200, 100
"""Number of endpoints; probes before the measurement; probes a second of the schedule."""


class _Bench:
    """All parts in one process, as the daemon has them."""

    def __init__(self, port: int, ca_file: Path, host: str) -> None:
        tls = Tls(ca_file=ca_file, server_name="localhost")
        endpoints = [
            Endpoint(
                name=one.name, protocol=Protocol.IMAP, host=one.host, port=one.port, security=Security.TLS, tls=tls,
                interval=one.interval, timeout=10.0, ip_family=IpFamily.IPV4,
            )
            for one in mailboxes(TARGETS, port, TARGETS / RATE, host)
        ]  # fmt: skip
        self.targets = [Target(endpoint, endpoint.ip_family) for endpoint in endpoints]
        self.resolver = Resolver()
        self.store, self.metrics = Store(), ExporterMetrics()
        self.store.configure(self.targets)
        self.checker = Checker(self.store, self.resolver, Ledger())
        self.exposition = Exposition(self.store, self.metrics)
        self.completed = 0

    async def probe(self, target: Target) -> None:
        outcome = await probe(target, self.resolver)
        if not outcome.ok:
            raise RuntimeError(f"{outcome.reason} in {outcome.phase}: {outcome.detail}")

    async def check(self, target: Target) -> None:
        await self.checker.check(target)

    async def check_and_render(self, target: Target) -> None:
        await self.checker.check(target)
        self.exposition.refresh_soon(self.store[target.key])
        self.completed += 1

    async def run(self, layer: str, count: int) -> float:
        """Return the seconds of CPU of a probe."""
        if layer == "schedule":
            return await self._run_schedule(count)
        one: Callable[[Target], Awaitable[None]] = {
            "probe": self.probe, "store": self.check, "exposition": self.check_and_render,
        }[layer]  # fmt: skip
        for number in range(WARM_UP):
            await one(self.targets[number % TARGETS])
        began = time.process_time()
        for number in range(count):
            await one(self.targets[number % TARGETS])
        return (time.process_time() - began) / count

    async def _run_schedule(self, count: int) -> float:
        schedule = Schedule(self.check_and_render, self.metrics)
        schedule.start()
        schedule.configure(self.targets)
        await self._until(WARM_UP)
        began, before = time.process_time(), self.completed
        await self._until(before + count)
        used = (time.process_time() - began) / (self.completed - before)
        await schedule.stop()
        return used

    async def _until(self, count: int) -> None:
        while self.completed < count:
            await asyncio.sleep(0.5)


async def _main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("port", type=int)
    parser.add_argument("ca_file", type=Path)
    parser.add_argument("layer", choices=LAYERS)
    parser.add_argument("count", type=int)
    parser.add_argument("--host", default="127.0.0.1")
    options = parser.parse_args(arguments)
    bench = _Bench(options.port, options.ca_file, options.host)
    garbage.resume()
    seconds = await bench.run(options.layer, options.count)
    await bench.checker.close()
    await bench.resolver.close()
    print(seconds)  # the last line, after those of the log


async def _measure(lab: Lab, port: int, layer: str, count: int) -> float:
    command = [sys.executable, "-m", "bench.layers", str(port), str(lab.authority.ca_file), layer, str(count)]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    out, _ = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"the layer {layer} failed")
    return float(out.splitlines()[-1])


async def measure(lab: Lab) -> Result:
    """Measure all of them in turns."""
    result = Result("layers")
    turns: dict[str, list[float]] = {layer: [] for layer in LAYERS}
    with MailServer(lab.certificate) as server:
        for _ in range(lab.turns(2)):
            for layer, found in turns.items():
                found.append(await _measure(lab, server.port, layer, 200 if lab.quick else 600))
    medians = {layer: statistics.median(found) for layer, found in turns.items()}
    result.data = dict(turns)
    rows, before = [], 0.0
    for layer, name in LAYERS.items():
        rows.append([name, milliseconds(medians[layer]), milliseconds(medians[layer] - before) if before else ""])
        before = medians[layer]
    note = f"The host is an address, and nothing is scraped. Medians of {lab.turns(2)} turns."
    result.tables.append(Table("Layers", ["what runs", "CPU per probe, ms", "more by, ms"], rows, note))
    return result


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_main(sys.argv[1:]))
