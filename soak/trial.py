"""One bad day: what is done to the daemon, and what is seen of it."""

from __future__ import annotations

import asyncio
import base64
import json
import math
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field

from bench.client import PROMETHEUS, Answer, Client
from bench.subjects import free_port
from exporter.monitor.history import HISTORY
from soak.clients import CLIENTS
from soak.figures import HEALTHY, Seen
from soak.history import write_history
from soak.lab import LOGIN_INTERVAL, PASSWORD, USER, Helper, Lab
from soak.subject import Subject

FILL = 330.0
"""Seconds of the bad day before anything is measured: hostile endpoints fill what is kept of them, ten failures each.

A shorter run waits for half its time at most, and its memory still grows.
"""
SCRAPE = 2.0
"""Seconds between two scrapes."""
RELOAD = 60.0
CLOCK = 40.0
"""Seconds between two steps of the clock."""
STEPS = (3600.0, -7200.0, 30 * 86400.0, -86400.0, 5.0, 0.0)
"""Seconds from the real time, in turn."""
BLOCKED = 60.0
"""Seconds for which the log is not read, and for which the storage is locked; a sixth of a shorter run."""


@dataclass
class Trial:
    """One run: what is done to the daemon, and what is seen of it."""

    lab: Lab
    subject: Subject
    client: Client
    seconds: float
    seen: Seen = field(default_factory=Seen)
    bodies: list[Answer] = field(default_factory=list)

    async def get(self, path: str) -> Answer:
        """Ask the daemon as Prometheus does."""
        code = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        async with asyncio.timeout(30):
            return await self.client.get(path, {**PROMETHEUS, "Authorization": f"Basic {code}"})

    async def wait_until_ready(self) -> None:
        """Wait until every endpoint was probed."""
        while True:
            try:
                if (await self.get("/-/ready")).status == 200:
                    return
            except (OSError, TimeoutError, asyncio.IncompleteReadError):
                pass
            await asyncio.sleep(0.5)

    async def check_history(self) -> None:
        """See that the history of a healthy endpoint is full: of one that is not, memory would grow for 50 minutes."""
        document = json.loads((await self.get(f"/api/v1/endpoints/{HEALTHY}-0")).text)
        if (probes := len(document["endpoints"][0]["history"])) < HISTORY:
            raise RuntimeError(f"the history of {HEALTHY}-0 has {probes} probes, not {HISTORY}")

    async def held(self) -> dict[str, float]:
        """Return the least of each that the daemon holds in a few seconds: between two probes."""
        least = dict.fromkeys(("descriptors", "threads", "tasks"), math.inf)
        for _ in range(10):
            await asyncio.sleep(0.5)
            with suppress(OSError, TimeoutError, asyncio.IncompleteReadError):
                text = (await self.get("/metrics")).text
                files = float(text.partition("\nprocess_open_fds ")[2].partition("\n")[0])
                held = await asyncio.to_thread(self.subject.held)
                now = {"descriptors": files, "threads": held.threads, "tasks": held.tasks}
                least = {kind: min(least[kind], now[kind]) for kind in least}
        return least

    async def endure(self, fill: float) -> None:
        """Let the daemon have its bad day, and measure it after the first seconds."""
        doing = [
            self._scrape(),
            self._reload(),
            self._move_clock(),
            self._during(fill + 0.3 * self.seconds, self.subject.log_blocked),
            self._during(fill + 0.6 * self.seconds, self.subject.storage_locked),
        ]
        with suppress(TimeoutError):
            async with asyncio.timeout(fill + self.seconds), asyncio.TaskGroup() as group:
                for one in doing:
                    group.create_task(one)
                await asyncio.sleep(fill)
                self.seen, self.bodies = Seen(began=time.perf_counter()), []
        self.seen.seconds = time.perf_counter() - self.seen.began
        self.subject.set_clock(0)

    async def _scrape(self) -> None:
        while True:
            at, seen, bodies = time.perf_counter(), self.seen, self.bodies
            try:
                answer = await self.get("/metrics")
                seen.scrapes.append((at - seen.began, time.perf_counter() - at))
                bodies.append(answer)
                healthy = await self.get("/-/healthy")
                if healthy.status != 200:
                    seen.unhealthy.append(healthy.text)
            except (OSError, TimeoutError, asyncio.IncompleteReadError):
                seen.not_answered += 1
            seen.memory.append((at - seen.began, self.subject.memory))
            await asyncio.sleep(max(0.0, at + SCRAPE - time.perf_counter()))

    async def _reload(self) -> None:
        turn = 0
        while True:
            await asyncio.sleep(min(RELOAD, self.seconds / 4))
            turn += 1
            self.lab.write(hostile=True, turn=turn)
            self.subject.reload()

    async def _move_clock(self) -> None:
        while True:
            for offset in STEPS:
                await asyncio.sleep(min(CLOCK, self.seconds / 8))
                self.subject.set_clock(offset)

    async def _during(self, after: float, block: Callable[[], AbstractContextManager[None]]) -> None:
        await asyncio.sleep(after)
        with block():
            await asyncio.sleep(min(BLOCKED, self.seconds / 6))


async def run(lab: Lab, servers: Helper, seconds: float) -> Seen:
    """Start the daemon, let it have its bad day, and return what was seen."""
    port, fill = free_port(), min(FILL, seconds / 2)
    lab.write(hostile=False)
    subject = Subject(lab.directory, lab.flags(port))
    write_history(lab.config, subject.storage)
    with subject:
        async with Client("127.0.0.1", port) as client:
            trial = Trial(lab, subject, client, seconds)
            await trial.wait_until_ready()
            await trial.check_history()
            before = await trial.held()
            lab.write(hostile=True)
            subject.reload()
            with Helper("soak.clients", str(port), USER, PASSWORD, str(lab.of(CLIENTS))):
                await trial.endure(fill)
            lab.write(hostile=False)
            subject.reload()
            await asyncio.sleep(15)  # a probe's deadline, and a client's
            after = await trial.held()
            last = await trial.get("/metrics")
        seen = trial.seen
        seen.exit_code, seen.exit_seconds = await asyncio.to_thread(subject.stop)
    for answer in [*trial.bodies, last]:
        seen.take(answer.text)
    seen.held = {kind: (before[kind], after[kind]) for kind in before}
    seen.logins = json.loads(servers.ask())
    seen.allowed_logins = (seconds + fill + 120) / LOGIN_INTERVAL + 1
    seen.log = subject.log.read_text("utf-8", "replace")
    return seen
