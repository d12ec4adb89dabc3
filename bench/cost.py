"""CPU per probe of the exporter's whole process, compared with blackbox_exporter in turns.

500 endpoints, 100 probes a second, `/metrics` every 3 s. blackbox_exporter probes the same endpoints at the same rate
with the equivalent module; its scrapes are its probes. Both verify the server's certificate, read the greeting, request
the capabilities and log out; its host is given by name, which both resolve, and by address.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from bench import floor
from bench.mailserver import MailServer
from bench.result import Lab, Result, Table, milliseconds
from bench.subjects import Blackbox, Mailbox, Ours, Samples, free_port, mailboxes, write_config
from bench.usage import cpu_seconds, peak_memory

ENDPOINTS, RATE, SCRAPE = 500, 100, 3.0
"""Number of endpoints, probes a second, and seconds between two scrapes."""

HOSTS = {"name": "localhost", "address": "127.0.0.1"}

WARM_UP = 3.0
"""Seconds that an exporter runs before it is measured."""


@dataclass(frozen=True)
class Turn:
    """One turn: seconds of CPU per probe, number of probes, peak memory in octets, mean lateness of probes (s)."""

    per_probe: float
    probes: int
    peak: int
    lag: float = 0.0


async def turn_of_ours(
    lab: Lab, config: Path, seconds: float, warm_up: float = WARM_UP, scrape: float = SCRAPE, *wrapped: str
) -> Turn:
    """Run the daemon, with flags of `bench.wrapper` if there are any, scrape it, and measure its process."""
    with Ours(lab.directory, free_port(), config, *wrapped) as ours:
        await ours.ready()
        await asyncio.sleep(warm_up)
        first, used = await ours.scrape(), cpu_seconds(ours.pid)
        last = first
        for _ in range(max(1, round(seconds / scrape))):
            await asyncio.sleep(min(seconds, scrape))
            last = await ours.scrape()
        used, peak = cpu_seconds(ours.pid) - used, peak_memory(ours.pid)
    before, after = Samples.parse(first), Samples.parse(last)
    if failed := after.total("gmail_probes_total", result="failure"):
        raise RuntimeError(f"{failed:.0f} probes failed:\n{ours.log.read_text()[-2000:]}")
    probes = after.total("gmail_probes_total") - before.total("gmail_probes_total")
    lag = after.total(_LAG) - before.total(_LAG)
    return Turn(used / probes, int(probes), peak, lag / probes)


_LAG = "gmail_exporter_schedule_lag_seconds_sum"


async def turn_of_blackbox(lab: Lab, endpoints: list[Mailbox], seconds: float) -> Turn:
    """Request probes of blackbox_exporter at the same rate, and measure its process."""
    with Blackbox(lab) as blackbox:
        await blackbox.ready()
        await blackbox.drive(endpoints, 2)
        used = cpu_seconds(blackbox.pid)
        probes = len(await blackbox.drive(endpoints, seconds))
        used = cpu_seconds(blackbox.pid) - used
        return Turn(used / probes, probes, peak_memory(blackbox.pid))


def limit_of(how: str) -> float:
    """Return what the cost may be of blackbox_exporter's, by how the hosts are given."""
    if how == "name":
        return 0.75
    return 0.8 if sys.version_info >= (3, 13) else 0.9


async def measure(lab: Lab) -> Result:
    """Measure both in turns, by name and by address, and the floor between them."""
    result = Result("cost")
    floors: list[tuple[float, float]] = []
    turns: dict[str, tuple[list[Turn], list[Turn]]] = {how: ([], []) for how in HOSTS}
    with MailServer(lab.certificate) as server:
        for _ in range(lab.turns(3)):
            for how, host in HOSTS.items():
                ours, theirs = turns[how]
                endpoints = mailboxes(ENDPOINTS, server.port, ENDPOINTS / RATE, host)
                config = write_config(lab.directory / "cost.yml", endpoints, lab.authority.ca_file)
                theirs.append(await turn_of_blackbox(lab, endpoints, lab.seconds(6)))
                # The first probe of an endpoint costs more: its lines are new, and it is logged.
                warm_up = WARM_UP if lab.quick else ENDPOINTS / RATE + 1
                ours.append(await turn_of_ours(lab, config, lab.seconds(6), warm_up))
            floors.append(await floor.measure(lab, server.port))
    handshake, whole = (statistics.median(of) for of in zip(*floors, strict=True))
    result.data = {
        how: {"ours": [asdict(t) for t in ours], "blackbox": [asdict(t) for t in theirs]}
        for how, (ours, theirs) in turns.items()
    } | {"floor": floors}
    rows, shown = [], []
    for how, (ours, theirs) in turns.items():
        mine, other = (statistics.median(turn.per_probe for turn in of) for of in (ours, theirs))
        result.limit(
            f"CPU per probe, all in, against blackbox_exporter {lab.blackbox_version}, by {how}",
            mine / other,
            "",
            limit_of(how),
        )
        if how == "address":
            result.limit("the same against the floor in C", mine / whole, "", 2.9)
        rows += [
            [f"gmail-exporter, by {how}", milliseconds(mine), f"{mine / other:.2f}", f"{mine / whole:.2f}"],
            [f"blackbox_exporter, by {how}", milliseconds(other), "1", f"{other / whole:.2f}"],
        ]
        pairs = zip(ours, theirs, strict=True)
        shown.append(", ".join(f"{milliseconds(a.per_probe)} / {milliseconds(b.per_probe)}" for a, b in pairs))
    rows += [
        ["the floor, by address: the same dialogue in C, and nothing else", milliseconds(whole), "", "1"],
        ["of that, the bare OpenSSL handshake", milliseconds(handshake), "", f"{handshake / whole:.2f}"],
    ]
    head = ["500 endpoints, 100 probes a second", "CPU per probe, ms", "of blackbox_exporter's", "of the floor"]
    note = f"Medians of {lab.turns(3)} turns (this / blackbox_exporter): {'; '.join(shown)} ms. Scrapes are compressed."
    result.tables.append(Table("Cost", head, rows, note))
    return result
