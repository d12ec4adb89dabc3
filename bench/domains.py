"""CPU per probe of mail domains, compared with endpoints that have the same hosts.

200 domains of five exchanges each, 200 probes a second. Once in an interval a domain's MX records are looked up,
whether DNSSEC authenticates them, and what announces its policy; where it does, the TLSA records of each exchange, too.
BIND has the zones, one of which is signed, and Unbound verifies it: neither they nor the exchanges are in the figure.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path

from bench import cost
from bench.exchange import Exchange
from bench.result import Lab, Result, Table, milliseconds
from tests.servers.bind import Bind, Unbound

DOMAINS, EXCHANGES = 200, 5
"""Number of domains, and exchanges of each."""

INTERVAL = 5.0
"""Seconds."""

SIGNED, UNSIGNED = "example.com", "example.net"

ZONE = "\n".join(
    f"d{number} MX {exchange} mx{exchange}-{number}\nmx{exchange}-{number} A 127.0.0.1"
    for number in range(DOMAINS)
    for exchange in range(EXCHANGES)
)


def hosts(number: int) -> Mapping[str, str]:
    """What an endpoint for each exchange of a domain has in place of the domain, by its name."""
    return {
        f"e{number}-{exchange}": f"host: mx{exchange}-{number}.{UNSIGNED}\n    security: starttls"
        for exchange in range(EXCHANGES)
    }


def domain_of(zone: str) -> Callable[[int], Mapping[str, str]]:
    """What the endpoint of a domain has, by its name."""
    return lambda number: {f"d{number}": f"domain: d{number}.{zone}"}


SUBJECTS = {
    "endpoints with these hosts": hosts,
    "domains, not signed": domain_of(UNSIGNED),
    "domains, signed": domain_of(SIGNED),
}


def write_config(path: Path, of_domain: Callable[[int], Mapping[str, str]], port: int, ca_file: Path) -> Path:
    """Write the endpoints of all domains as a configuration file."""
    lines = ["endpoints:"]
    for number in range(DOMAINS):
        for name, which in of_domain(number).items():
            lines += [
                f"  {name}:",
                "    protocol: smtp",
                f"    {which}",
                f"    port: {port}",
                "    ip_family: ipv4",
                f"    interval: {INTERVAL:g}s",
                f"    timeout: {INTERVAL * 0.8:g}s",
                f"    tls: {{ca_file: {json.dumps(str(ca_file))}}}",
            ]
    path.write_text("\n".join(lines) + "\n")
    return path


async def measure(lab: Lab) -> Result:
    """Measure each in turn, once every target was probed."""
    result, turns = Result("domains"), {}
    certificate = lab.authority.issue(f"*.{SIGNED}", f"*.{UNSIGNED}")
    with (
        Exchange(certificate) as server,
        Bind({SIGNED: ZONE, UNSIGNED: ZONE}, signed=[SIGNED]) as bind,
        Unbound(bind) as unbound,
    ):
        for name, of_domain in SUBJECTS.items():
            config = write_config(lab.directory / "domains.yml", of_domain, server.port, lab.authority.ca_file)
            # The exchanges are known after an interval, and probed within the next one.
            turns[name] = await cost.turn_of_ours(
                lab, config, INTERVAL, 2 * INTERVAL, INTERVAL / 2, "--nameserver", unbound.address
            )
    base, *others = (turn.per_probe for turn in turns.values())
    result.data = {name: asdict(turn) for name, turn in turns.items()}
    result.limit("CPU per probe of a domain's exchanges, against endpoints with these hosts", others[0] / base, "", 1.1)
    result.limit("the same where DNSSEC authenticates the domain", others[1] / base, "", 1.2)
    rows = [
        [name, milliseconds(turn.per_probe), f"{turn.per_probe / base:.2f}", milliseconds(turn.lag)]
        for name, turn in turns.items()
    ]
    head = [
        "200 domains of five exchanges each",
        "CPU per probe, ms",
        "of endpoints'",
        "probes begin late by, ms (mean)",
    ]
    result.tables.append(Table("Domains", head, rows, "SMTP with STARTTLS, 200 probes a second, by name."))
    return result
