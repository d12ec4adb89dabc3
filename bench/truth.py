"""The difference of the reported times from those of the server, at 200 probes a second and scraped meanwhile.

The server waits 20 ms before its handshake and 50 ms before its greeting, and takes the times of the kernel's stamps of
what arrives and of what is sent: how busy its own process is, is in no figure. Each endpoint has an address of its own,
which identifies its sessions. `tls` and `greeting` are compared; blackbox_exporter reports no other time than the whole
duration, which is compared with the time from the client's first octets to the last answer.

It is measured on a machine that does nothing else, and with the second core kept busy.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

from bench.client import Answer
from bench.mailserver import MailServer, Seen, address
from bench.result import Lab, Result, Table, milliseconds, quantile
from bench.subjects import Blackbox, Mailbox, Ours, Samples, free_port, write_config

DELAYS = ("--accept-delay=0.02", "--greeting-delay=0.05", "--stamps")


class Case(NamedTuple):
    """Number of endpoints; seconds between two probes of each, and between two scrapes."""

    endpoints: int
    interval: float
    scrape: float


CASE = Case(1000, 5, 5)
"""200 probes a second."""

LIMITS = {"at rest": (0.03, 0.1, 1.0), "other core busy": (0.05, 0.15, 5.0)}
"""What the median, the 99th percentile and the maximum must be, in ms."""

MATCH = 0.5
"""Most seconds between the end of a probe and the end of its session."""


def apart(count: int, port: int, interval: float, timeout: float | None = None, first: int = 0) -> list[Mailbox]:
    """Return this number of endpoints, each with an address of its own."""
    numbers = range(first, first + count)
    return [Mailbox(f"tenant-{n}", address(n), port, interval, timeout or interval * 0.9) for n in numbers]


@dataclass
class Errors:
    """Absolute errors in seconds."""

    tls: list[float] = field(default_factory=list)
    greeting: list[float] = field(default_factory=list)

    @property
    def phases(self) -> list[float]:
        """Those of both phases."""
        return self.tls + self.greeting


@dataclass
class Reported:
    """The phases of each reported probe, by its endpoint and by the Unix seconds of its end."""

    probes: dict[tuple[str, float], dict[str, float]] = field(default_factory=dict)

    def take(self, answer: Answer) -> None:
        """Add the probes of a scrape."""
        samples = Samples.parse(answer)
        ends = samples.of("gmail_probe_last_run_timestamp_seconds", "endpoint")
        for name, ended in ends.items():
            self.probes.setdefault((name, ended), {})
        for labels, value in samples.values.get("gmail_phase_duration_seconds", ()):
            self.probes[labels["endpoint"], ends[labels["endpoint"]]][labels["phase"]] = value

    def against(self, sessions: Iterable[Seen], endpoints: Sequence[Mailbox]) -> Errors:
        """Match each probe with its session, and return the errors."""
        found, errors, hosts = sessions_of(sessions), Errors(), {one.name: one.host for one in endpoints}
        for (name, ended), phases in self.probes.items():
            if (seen := nearest(found.get(hosts.get(name, ""), ()), ended)) and "logout" in phases:
                errors.tls.append(abs(phases["tls"] - seen.tls))
                errors.greeting.append(abs(phases["greeting"] - seen.greeting))
        return errors


def sessions_of(sessions: Iterable[Seen]) -> dict[str, list[Seen]]:
    """Return the sessions by their address."""
    found: dict[str, list[Seen]] = {}
    for one in sessions:
        found.setdefault(one.address, []).append(one)
    return found


def nearest(sessions: Sequence[Seen], ended: float) -> Seen | None:
    """Return the session that ended when the probe did, None if there is none."""
    best = min(sessions, key=lambda seen: abs(seen.ended - ended), default=None)
    return best if best and abs(best.ended - ended) < MATCH else None


@contextmanager
def busy() -> Iterator[None]:
    """Keep the last core busy with something else."""
    last = max(os.sched_getaffinity(0))
    code = f"import os\nos.sched_setaffinity(0, [{last}])\nwhile True: pass"
    with subprocess.Popen([sys.executable, "-c", code]) as other:
        try:
            yield
        finally:
            other.kill()


@contextmanager
def at_rest() -> Iterator[None]:
    """Do nothing else."""
    yield


async def errors_of_ours(lab: Lab, case: Case, server: MailServer, seconds: float = 10) -> tuple[Errors, Errors]:
    """Return the errors of one interval without scrapes, and of several with them."""
    endpoints = apart(case.endpoints, server.port, case.interval)
    config = write_config(lab.directory / "truth.yml", endpoints, lab.authority.ca_file)
    with Ours(lab.directory, free_port(), config) as ours:
        await ours.ready()
        await asyncio.sleep(3 + case.interval)
        first, others = await ours.scrape(), []
        for _ in range(round(max(lab.seconds(seconds), case.interval) / case.scrape)):
            await asyncio.sleep(case.scrape)
            others.append(await ours.scrape())
    quiet, scraped = Reported(), Reported()
    quiet.take(first)
    for answer in others:
        scraped.take(answer)
    for probe in quiet.probes:
        scraped.probes.pop(probe, None)
    sessions = server.sessions()
    return quiet.against(sessions, endpoints), scraped.against(sessions, endpoints)


async def errors_of_blackbox(lab: Lab, case: Case, server: MailServer, seconds: float = 10) -> list[float]:
    """Errors of the duration."""
    endpoints = apart(case.endpoints, server.port, case.interval)
    with Blackbox(lab, case.interval * 0.9) as blackbox:
        await blackbox.ready()
        await blackbox.drive(endpoints, 2)
        reported = await blackbox.drive(endpoints, lab.seconds(seconds))
    found = sessions_of(server.sessions())
    matched = [(duration, nearest(found[one.host], ended)) for one, ended, duration in reported]
    return [abs(duration - seen.whole) for duration, seen in matched if seen]


def shown(errors: Sequence[float]) -> str:
    """Median, 99th percentile and maximum."""
    return " / ".join(milliseconds(value) for value in quantiles(errors).values())


async def measure(lab: Lab) -> Result:
    """Measure at rest, and with the other core busy."""
    result = Result("truth")
    rows = []
    for name, how in (("at rest", at_rest), ("other core busy", busy)):
        with MailServer(lab.certificate, f"--addresses={CASE.endpoints}", *DELAYS) as server, how():
            quiet, ours = await errors_of_ours(lab, CASE, server)
            theirs = await errors_of_blackbox(lab, CASE, server)
        rows.append([name, shown(ours.greeting), shown(ours.tls), shown(theirs)])
        result.data[name] = {
            "probes": len(ours.greeting),
            "greeting": quantiles(ours.greeting),
            "tls": quantiles(ours.tls),
            "greeting_without_scrapes": quantiles(quiet.greeting),
            "blackbox": quantiles(theirs),
        }
        found = quantiles(ours.phases)
        for (share, value), most in zip(found.items(), LIMITS[name], strict=True):
            result.limit(f"error of a phase at 200 probes/s, {name}: {share}", value * 1e3, "ms", most)
        against = found["p99"] / quantile(theirs, 0.99)
        result.limit(f"p99 against blackbox_exporter's error of its duration, {name}", against, "", 0.1)
        if name == "at rest":
            moved = quantile(ours.greeting, 0.99) - quantile(quiet.greeting, 0.99)
            result.limit("p99 of the error of `greeting`, moved by scrapes", moved * 1e3, "ms", 1)
    head = ["200 probes a second", "`greeting`", "`tls`", "blackbox_exporter's duration"]
    note = "Errors in ms, scraped meanwhile: median / p99 / maximum. Both sides' times are the kernel's."
    result.tables.append(Table("Truth", head, rows, note))
    return result


def quantiles(errors: Sequence[float]) -> dict[str, float]:
    """Return median, 99th percentile and maximum, in seconds."""
    return {"median": quantile(errors, 0.5), "p99": quantile(errors, 0.99), "max": max(errors)}
