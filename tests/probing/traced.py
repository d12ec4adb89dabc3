"""Run in a network of tests: traces to several ports of an address at one time, on one event loop, as JSON."""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import uvloop

from exporter.probing.path import trace

LOOPS = {"uvloop": uvloop.new_event_loop, "asyncio": asyncio.new_event_loop}


def open_files() -> int:
    """How many descriptors this process has open."""
    return len(list(Path("/proc/self/fd").iterdir()))


async def main(address: str, ports: list[int], max_hops: int) -> dict[str, Any]:
    """Return the trace to each port, and how many descriptors were left open."""
    await asyncio.sleep(0)
    open_before = open_files()
    traces = await asyncio.gather(*(trace(address, port, max_hops=max_hops) for port in ports))
    return {
        "traces": [each and asdict(each) for each in traces],
        "left_open": open_files() - open_before,
    }


if __name__ == "__main__":
    _, loop, address, max_hops, *ports = sys.argv
    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        json.dump(runner.run(main(address, [int(port) for port in ports], int(max_hops))), sys.stdout)
