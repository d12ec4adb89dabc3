"""A day on which half of the endpoints hang until their deadline: how that affects the healthy half.

Of 1,000 endpoints, 250 accept connections and never greet, and 250 have names whose name server never answers. Cost and
truth of the other 500 are compared with a day on which all 1,000 work.
"""

from __future__ import annotations

import asyncio
import socket
from dataclasses import dataclass

from bench.mailserver import MailServer
from bench.result import Lab, Result, Table, milliseconds, quantile
from bench.subjects import Mailbox, Ours, Samples, free_port, write_config
from bench.truth import DELAYS, Reported, apart
from bench.usage import cpu_seconds

INTERVAL, TIMEOUT, SCRAPE = 10.0, 5.0, 5.0


@dataclass(frozen=True)
class Day:
    """Seconds of CPU per probe, errors of the greetings of the healthy half, and the share of probes that failed."""

    per_probe: float
    greeting: list[float]
    failed: float


async def _live(lab: Lab, endpoints: list[Mailbox], healthy: list[Mailbox], server: MailServer, nameserver: str) -> Day:
    config = write_config(lab.directory / "day.yml", endpoints, lab.authority.ca_file)
    reported = Reported()
    with Ours(lab.directory, free_port(), config, nameserver) as ours:
        await ours.ready()
        await asyncio.sleep(3 if lab.quick else INTERVAL)  # then the number of hanging probes is at its maximum
        answers, used = [await ours.scrape()], cpu_seconds(ours.pid)
        for _ in range(round(lab.seconds(10) / SCRAPE) or 1):
            await asyncio.sleep(SCRAPE)
            answers.append(await ours.scrape())
        used = cpu_seconds(ours.pid) - used
    for answer in answers[1:]:
        reported.take(answer)
    before, after = Samples.parse(answers[0]), Samples.parse(answers[-1])
    probes = after.total("gmail_probes_total") - before.total("gmail_probes_total")
    failed = after.total("gmail_probes_total", result="failure") - before.total("gmail_probes_total", result="failure")
    return Day(used / probes, reported.against(server.sessions(), healthy).greeting, failed / probes)


async def measure(lab: Lab) -> Result:
    """Measure a good day and a bad one."""
    result = Result("badday")
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent,
        MailServer(lab.certificate, "--addresses=1000", *DELAYS) as server,
        MailServer(lab.certificate, "--hang") as hanging,
    ):
        silent.bind(("127.0.0.1", 0))
        nameserver = f"--nameserver=127.0.0.1:{silent.getsockname()[1]}"
        healthy = apart(500, server.port, INTERVAL, TIMEOUT)
        others = apart(500, server.port, INTERVAL, TIMEOUT, 500)
        mute = [Mailbox(f"hang-{n}", "127.0.0.1", hanging.port, INTERVAL, TIMEOUT) for n in range(250)]
        mute += [Mailbox(f"lost-{n}", f"lost-{n}.example", 993, INTERVAL, TIMEOUT) for n in range(250)]
        good = await _live(lab, healthy + others, healthy, server, nameserver)
        bad = await _live(lab, healthy + mute, healthy, server, nameserver)
    figures = {
        "cost per probe": (good.per_probe, bad.per_probe),
        "median error of `greeting`": (quantile(good.greeting, 0.5), quantile(bad.greeting, 0.5)),
        "p99 of it": (quantile(good.greeting, 0.99), quantile(bad.greeting, 0.99)),
    }
    for name, (of_good, of_bad) in figures.items():
        result.limit(f"bad day against a good one: {name}", of_bad / of_good, "", 1.1)
    result.data = {name: {"good": of_good, "bad": of_bad} for name, (of_good, of_bad) in figures.items()}
    rows = [[name, milliseconds(of_good), milliseconds(of_bad)] for name, (of_good, of_bad) in figures.items()]
    note = f"On the bad day {bad.failed:.0%} of the probes failed."
    result.tables.append(Table("Bad day", ["", "good day, ms", "bad day, ms"], rows, note))
    return result
