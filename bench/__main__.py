"""Run the measurements, print the results, and write them as JSON and Markdown.

python -m bench                        all measurements, eight minutes on an idle machine with two cores
python -m bench --blackbox=PATH        against this blackbox_exporter, rather than that of the Debian package
python -m bench --only cost --only truth
python -m bench --quick                all of them, shorter: only to check that they work
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import shutil
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

import uvloop

from bench import badday, cost, delivery, domains, growth, layers, saturation, scrape, sharding, start, truth
from bench.result import Lab, Result, markdown
from exporter import __version__
from tests.servers.authority import Authority

MEASUREMENTS: Mapping[str, Callable[[Lab], Awaitable[Result]]] = {
    "cost": cost.measure,
    "layers": layers.measure,
    "truth": truth.measure,
    "domains": domains.measure,
    "delivery": delivery.measure,
    "saturation": saturation.measure,
    "scrape": scrape.measure,
    "growth": growth.measure,
    "start": start.measure,
    "badday": badday.measure,
    "sharding": sharding.measure,
}


def version_of(blackbox: str) -> str:
    """Return the version of a blackbox_exporter."""
    told = subprocess.run([blackbox, "--version"], capture_output=True, text=True, check=False)
    words = (told.stdout + told.stderr).split()
    return words[words.index("version") + 1].strip(",")


def machine(lab: Lab) -> str:
    """Return the machine and the versions of this measurement."""
    cpus = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.partition(":")[2].strip() for line in cpus if line.startswith("model name")]
    return (
        f"{len(names)} cores of {names[0] if names else platform.machine()}, Linux {platform.release()}, "
        f"Python {platform.python_version()}, uvloop {metadata.version('uvloop')}, {ssl.OPENSSL_VERSION}, "
        f"gmail-exporter {__version__}, blackbox_exporter {lab.blackbox_version}"
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
    parser.add_argument("--blackbox", metavar="PATH", default=Lab.blackbox, help="blackbox_exporter to compare with")
    options = parser.parse_args()
    if shutil.which(options.blackbox) is None:
        parser.error(f"no program {options.blackbox}: install prometheus-blackbox-exporter, or give --blackbox=PATH")
    os.environ["PYTHONDONTWRITEBYTECODE"] = ""  # what is installed has its byte code
    names = options.only or list(MEASUREMENTS)
    with tempfile.TemporaryDirectory() as directory, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        version = version_of(options.blackbox)
        lab = Lab(Path(directory), Authority(Path(directory)), options.quick, options.blackbox, version)
        results = runner.run(run(lab, names))
    where, when = machine(lab), f"{datetime.now(UTC):%Y-%m-%d}"
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
