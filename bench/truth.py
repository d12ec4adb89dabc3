"""The difference of the reported times from those of the server, while many endpoints are probed and scraped.

The server waits 20 ms before its handshake and 50 ms before its greeting, and records how long it really waited: a
delay of its own process is not the exporter's error. Each endpoint has an address of its own, which identifies its
sessions. `greeting` and `tls` are compared, and for both exporters the whole duration with the time from the accepted
connection to the last answer; blackbox_exporter reports no other time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from bench.client import Answer
from bench.mailserver import MailServer, Seen, address
from bench.result import Lab, Result, Table, milliseconds, quantile
from bench.subjects import Blackbox, Mailbox, Ours, Samples, free_port, write_config

DELAYS = ("--accept-delay=0.02", "--greeting-delay=0.05")


class Case(NamedTuple):
    """Number of endpoints; seconds between two probes of each, and between two scrapes."""

    endpoints: int
    interval: float
    scrape: float


CASES = (Case(5, 1, 0.5), Case(100, 2, 1), Case(1000, 10, 5))

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
    whole: list[float] = field(default_factory=list)


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
                errors.whole.append(abs(sum(phases.values()) - seen.whole))
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


async def errors_of_ours(lab: Lab, case: Case, server: MailServer) -> tuple[Errors, Errors]:
    """Return the errors of one interval without scrapes, and of several with them."""
    endpoints = apart(case.endpoints, server.port, case.interval)
    config = write_config(lab.directory / "truth.yml", endpoints, lab.authority.ca_file)
    with Ours(lab.directory, free_port(), config) as ours:
        await ours.ready()
        await asyncio.sleep(3 + case.interval)
        first, others = await ours.scrape(), []
        for _ in range(round(max(lab.seconds(10), case.interval) / case.scrape)):
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


async def errors_of_blackbox(lab: Lab, case: Case, server: MailServer) -> list[float]:
    """Errors of the duration."""
    endpoints = apart(case.endpoints, server.port, case.interval)
    with Blackbox(lab.directory, free_port(), lab.authority.ca_file, case.interval * 0.9) as blackbox:
        await blackbox.ready()
        await blackbox.drive(endpoints, 2)
        reported = await blackbox.drive(endpoints, lab.seconds(10))
    found = sessions_of(server.sessions())
    matched = [(duration, nearest(found[one.host], ended)) for one, ended, duration in reported]
    return [abs(duration - seen.whole) for duration, seen in matched if seen]


def shown(errors: Sequence[float]) -> str:
    """Median, 99th percentile and maximum."""
    return " / ".join(milliseconds(value) for value in (quantile(errors, 0.5), quantile(errors, 0.99), max(errors)))


async def measure(lab: Lab) -> Result:
    """Measure at each number of endpoints."""
    result = Result("truth")
    rows = []
    quiet, ours, theirs = Errors(), Errors(), list[float]()
    for case in CASES:
        with MailServer(lab.certificate, f"--addresses={case.endpoints}", *DELAYS) as server:
            quiet, ours = await errors_of_ours(lab, case, server)
            theirs = await errors_of_blackbox(lab, case, server)
        rows.append([f"{case.endpoints:,}", shown(ours.greeting), shown(ours.tls), shown(ours.whole), shown(theirs)])
        result.data[str(case.endpoints)] = {
            "probes": len(ours.greeting),
            **{
                name: quantiles(of)
                for name, of in (("greeting", ours.greeting), ("tls", ours.tls), ("whole", ours.whole))
            },
            "greeting_without_scrapes": quantiles(quiet.greeting),
            "blackbox": quantiles(theirs),
        }
    # The last case, whose errors are still at hand, is the one with a thousand.
    result.limit("error of `greeting` at 1,000 endpoints, median", quantile(ours.greeting, 0.5) * 1e3, "ms", 0.5)
    result.limit("error of `greeting` at 1,000 endpoints, p99", quantile(ours.greeting, 0.99) * 1e3, "ms", 5)
    for share, name in ((0.5, "median"), (0.99, "p99")):
        most = quantile(theirs, share) * 1e3
        result.limit(
            f"the same, {name}, not above blackbox_exporter's error of the duration",
            quantile(ours.greeting, share) * 1e3, "ms", round(most, 3),
        )  # fmt: skip
    moved = quantile(ours.greeting, 0.99) - quantile(quiet.greeting, 0.99)
    result.limit("p99 of that error, moved by scrapes", moved * 1e3, "ms", 1)
    head = ["endpoints", "`greeting`", "`tls`", "whole duration", "blackbox_exporter's duration"]
    result.tables.append(Table("Truth", head, rows, "Errors in ms, scraped meanwhile: median / p99 / maximum."))
    return result


def quantiles(errors: Sequence[float]) -> dict[str, float]:
    """Return median, 99th percentile and maximum, in seconds."""
    return {"median": quantile(errors, 0.5), "p99": quantile(errors, 0.99), "max": max(errors)}
