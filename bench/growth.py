"""CPU per probe, peak memory and the schedule's lag, by the number of endpoints.

100 probes a second, but only 10 with 10 endpoints, because an interval is at least a second. Scraped every 5 s, or
twice in each interval if that is longer.
"""

from __future__ import annotations

from bench import cost
from bench.mailserver import MailServer
from bench.result import Lab, Result, Table, milliseconds
from bench.subjects import mailboxes, write_config

SCRAPE = 5.0

COUNTS = (10, 1000, 5000)


async def measure(lab: Lab) -> Result:
    """Measure each number of endpoints; each endpoint is probed at least once, for the memory that this takes."""
    result = Result("growth")
    turns = {}
    with MailServer(lab.certificate) as server:
        for count in COUNTS:
            interval = max(1.0, count / cost.RATE)
            config = write_config(
                lab.directory / "growth.yml", mailboxes(count, server.port, interval), lab.authority.ca_file
            )
            seconds = lab.seconds(8 if count < 5000 else 25)
            warm_up = cost.WARM_UP if lab.quick else max(cost.WARM_UP, interval - seconds + 2)
            turns[count] = await cost.turn_of_ours(lab, config, seconds, warm_up, max(SCRAPE, interval / 2))
    result.data = {str(count): vars(turn) for count, turn in turns.items()}
    grown = turns[5000].per_probe / turns[10].per_probe - 1
    further = (turns[5000].peak - turns[1000].peak) / 4000
    result.limit("growth of CPU per probe from 10 to 5,000 endpoints", grown * 100, "%", 5)
    result.limit("peak memory at 1,000 endpoints", turns[1000].peak / 2**20, "MiB", 80)
    result.limit("peak memory for each endpoint beyond 1,000", further / 1024, "KiB", 20)
    rows = [
        [f"{count:,}", milliseconds(turn.per_probe), f"{turn.peak / 2**20:.0f}", milliseconds(turn.lag)]
        for count, turn in turns.items()
    ]
    head = ["endpoints", "CPU per probe, ms", "peak memory, MiB", "probes begin late by, ms (mean)"]
    result.tables.append(Table("Growth", head, rows))
    return result
