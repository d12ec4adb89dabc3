"""Run the measurements, print the results, and write them as JSON and Markdown.

python -m bench                        all measurements, seven minutes on an idle machine with two cores
python -m bench --only cost --only truth
python -m bench --quick                all of them, shorter: only to check that they work
"""

from __future__ import annotations

import argparse
import asyncio
import json
import platform
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import uvloop

from bench import badday, cost, growth, scrape, sharding, start, truth
from bench.result import Lab, Result, markdown
from exporter import __version__
from tests.servers.authority import Authority

MEASUREMENTS: Mapping[str, Callable[[Lab], Awaitable[Result]]] = {
    "cost": cost.measure,
    "truth": truth.measure,
    "scrape": scrape.measure,
    "growth": growth.measure,
    "start": start.measure,
    "badday": badday.measure,
    "sharding": sharding.measure,
}


def machine() -> str:
    """Return the machine and the versions of this measurement."""
    cpus = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.partition(":")[2].strip() for line in cpus if line.startswith("model name")]
    blackbox = subprocess.run(
        ["prometheus-blackbox-exporter", "--version"], capture_output=True, text=True, check=False
    )
    words = (blackbox.stdout + blackbox.stderr).split()
    return (
        f"{len(names)} cores of {names[0] if names else platform.machine()}, Linux {platform.release()}, "
        f"Python {platform.python_version()}, uvloop {version('uvloop')}, {ssl.OPENSSL_VERSION}, "
        f"gmail-exporter {__version__}, blackbox_exporter {words[words.index('version') + 1].strip(',')}"
    )


async def run(lab: Lab, names: Sequence[str]) -> list[Result]:
    """Make the measurements one after the other."""
    results = []
    for name in names:
        began = time.perf_counter()
        results.append(await MEASUREMENTS[name](lab))
        print(f"{name}: {time.perf_counter() - began:.0f} s", file=sys.stderr)
    return results


def report(results: Sequence[Result], where: str, when: str) -> str:
    """Return all results in Markdown."""
    parts = [f"Measured {when} on {where}."]
    figures = [figure.row() for result in results for figure in result.figures]
    if figures:
        parts.append(markdown(["figure", "must be", "is", ""], figures))
    for result in results:
        for table in result.tables:
            parts += [f"### {table.title}", markdown(table.head, table.rows), table.note]
    return "\n\n".join(part for part in parts if part) + "\n"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        prog="bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", action="append", choices=MEASUREMENTS, help="make only this measurement; repeatable")
    parser.add_argument("--quick", action="store_true", help="measure for a short time, only as a try")
    parser.add_argument("--output", type=Path, default=Path("bench"), help="where results.json and results.md go")
    options = parser.parse_args()
    names = options.only or list(MEASUREMENTS)
    with tempfile.TemporaryDirectory() as directory, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        lab = Lab(Path(directory), Authority(Path(directory)), options.quick)
        results = runner.run(run(lab, names))
    where, when = machine(), f"{datetime.now(UTC):%Y-%m-%d}"
    text = report(results, where, when)
    print(text)
    found = {"machine": where, "date": when, "results": {result.name: result.as_json() for result in results}}
    document = json.dumps(found, indent=1)
    if options.only or options.quick:
        return  # only a complete run may replace the published figures
    (options.output / "results.json").write_text(document + "\n", "utf-8")
    (options.output / "results.md").write_text(text, "utf-8")


if __name__ == "__main__":
    main()
