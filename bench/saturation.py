"""How many probes a second an exporter makes before its figures are wrong: the rate at which p99 passes 1 ms.

For this exporter it is the 99th percentile of the error of a phase, for blackbox_exporter that of its duration; the
server's times are of the kernel's stamps, and the rate is raised in steps. What one core can do at all is what a second
of CPU is enough for, at the highest rate.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from bench import truth
from bench.mailserver import MailServer
from bench.result import Lab, Result, Table, milliseconds, quantile
from bench.subjects import Blackbox, Ours, ProbesFailedError, Samples, free_port, write_config
from bench.truth import Case, apart, nearest, sessions_of
from bench.usage import cpu_seconds

RATES = (100, 400, 600, 650, 700)
"""Probes a second."""

MOST = 0.001
"""Seconds that the 99th percentile may be."""

INTERVAL = 2.0

Try = tuple[float, float, float]
"""p99 of the error in seconds, probes a second, and seconds of CPU of a probe."""


async def _ours(lab: Lab, rate: int, server: MailServer) -> Try:
    endpoints = apart(round(rate * INTERVAL), server.port, INTERVAL)
    config = write_config(lab.directory / "saturation.yml", endpoints, lab.authority.ca_file)
    reported = truth.Reported()
    with Ours(lab.directory, free_port(), config) as ours:
        await ours.ready()
        await asyncio.sleep(1 + INTERVAL)
        loop = asyncio.get_running_loop()
        first, used, began = await ours.scrape(), cpu_seconds(ours.pid), loop.time()
        answers = []
        for _ in range(2):
            await asyncio.sleep(INTERVAL)
            answers.append(await ours.scrape())
        used, seconds = cpu_seconds(ours.pid) - used, loop.time() - began
    for answer in answers:
        reported.take(answer)
    before, after = (Samples.parse(answer).total("gmail_probes_total") for answer in (first, answers[-1]))
    errors = reported.against(server.sessions(), endpoints).phases
    return _p99(errors, rate), (after - before) / seconds, used / (after - before)


async def _blackbox(lab: Lab, rate: int, server: MailServer) -> Try:
    case = Case(round(rate * INTERVAL), INTERVAL, INTERVAL)
    endpoints = apart(case.endpoints, server.port, case.interval)
    with Blackbox(lab, case.interval * 0.9) as blackbox:
        await blackbox.ready()
        await blackbox.drive(endpoints, 1)
        used = cpu_seconds(blackbox.pid)
        reported = await blackbox.drive(endpoints, 2 * INTERVAL)
        used = cpu_seconds(blackbox.pid) - used
    found = sessions_of(server.sessions())
    matched = [(duration, nearest(found.get(one.host, ()), ended)) for one, ended, duration in reported]
    errors = [abs(duration - seen.whole) for duration, seen in matched if seen]
    return _p99(errors, rate), len(reported) / (2 * INTERVAL), used / len(reported)


def _p99(errors: Sequence[float], rate: int) -> float:
    if not errors:
        raise ProbesFailedError(f"at {rate} probes a second none succeeded")
    return quantile(errors, 0.99)


async def _raise(lab: Lab, one: Callable[[Lab, int, MailServer], Awaitable[Try]]) -> tuple[list[Try], float, float]:
    """Return all tries, the last rate that was right, and what one core could do."""
    tries, right, possible = [], 0.0, 0.0
    for rate in RATES[:: 3 if lab.quick else 1]:
        with MailServer(lab.certificate, f"--addresses={round(rate * INTERVAL)}", *truth.DELAYS) as server:
            try:
                p99, made, cost = await one(lab, rate, server)
            except ProbesFailedError:
                break
        tries.append((p99, made, cost))
        possible = 1 / cost
        if p99 > MOST or made < 0.9 * rate:
            break
        right = made
    return tries, right, possible


async def measure(lab: Lab) -> Result:
    """Raise the rate of both, until the figures are wrong or the rate is not reached."""
    result = Result("saturation")
    rows = []
    for name, one in (("gmail-exporter", _ours), ("blackbox_exporter", _blackbox)):
        tries, right, possible = await _raise(lab, one)
        result.data[name] = tries
        at = ", ".join(f"{made:.0f}: {milliseconds(p99)}" for p99, made, _ in tries)
        rows.append([name, f"{right:.0f}", f"{possible:.0f}", at])
        if name == "gmail-exporter":
            share = right / possible * 100 if tries else 0.0
            result.at_least("probes/s at which p99 passes 1 ms, of what one core can do", share, "%", 90)
    head = ["", "probes a second, p99 below 1 ms", "one core's worth of CPU", "p99 in ms at each rate"]
    result.tables.append(Table("Saturation", head, rows))
    return result
