"""`gmail-exporter check`: every target once, now, at the same time; exit 0 all well, 1 something failed."""

from __future__ import annotations

import asyncio
import json
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn

from exporter import report
from exporter.accounts.ledger import Ledger
from exporter.check import Checker
from exporter.config import Config, Endpoint, Protocol, Security
from exporter.outcome import Outcome, Target
from exporter.probing.resolve import Resolver
from exporter.serialize import outcome_to_json
from exporter.store import Store


class UsageError(Exception):
    """What was asked for cannot be checked; the message says why."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says of the check."""

    ledger: Ledger
    environ: Mapping[str, str]
    output: str = "table"
    verbose: bool = False
    force: bool = False


# What listens where, for an address that no file mentions (RFC 8314 §7, RFC 6409 §3.1).
_PORTS: Mapping[int, tuple[Protocol, Security]] = {
    993: (Protocol.IMAP, Security.TLS),
    143: (Protocol.IMAP, Security.STARTTLS),
    995: (Protocol.POP3, Security.TLS),
    110: (Protocol.POP3, Security.STARTTLS),
    465: (Protocol.SMTP, Security.TLS),
    587: (Protocol.SMTP, Security.STARTTLS),
    25: (Protocol.SMTP, Security.STARTTLS),
}


def select(config: Config, names: Sequence[str]) -> list[Endpoint]:
    """Return the endpoints that are named, by their name or as HOST:PORT; all where none is.

    Raises:
        UsageError: there is no such endpoint, and the name is no address whose protocol is known.
    """
    return [config.endpoints.get(name) or _of_address(name, config) for name in names] or [*config.endpoints.values()]


def _of_address(address: str, config: Config) -> Endpoint:
    host, colon, port = address.rpartition(":")
    if not colon:
        raise UsageError(
            f"there is no endpoint {address!r}; there are {', '.join(config.endpoints)}, or give HOST:PORT"
        )
    known = _PORTS.get(int(port)) if port.isdecimal() and port.isascii() else None
    if known is None or not host.strip("[]"):
        ports = ", ".join(map(str, _PORTS))
        raise UsageError(f"{address!r} is no HOST:PORT with a port whose protocol is known: {ports}")
    protocol, security = known
    return Endpoint(name=address, protocol=protocol, host=host.strip("[]"), port=int(port), security=security)


def run(config: Config, names: Sequence[str], options: Options) -> int:
    """Check, print, and return the exit code.

    Raises:
        UsageError: a name is not known.
    """
    targets = [target for endpoint in select(config, names) for target in Target.of(endpoint)]
    checks = asyncio.run(check_all(config, targets, options))
    if options.output == "json":
        sys.stdout.write(json.dumps([outcome_to_json(outcome) for outcome in checks.outcomes], indent=2) + "\n")
    else:
        console = Console(width=None if sys.stdout.isatty() else 160, highlight=False)
        for outcome in checks.outcomes if options.verbose else ():
            console.print(f"[bold]{outcome.target.endpoint.name}[/]")
            for line in checks.transcripts[outcome.target]:
                console.print(f"  {line}", markup=False)
        console.print(report.table(list(checks.store), console.width))
    well = all(outcome.ok for outcome in checks.outcomes) and not any(series.suspended for series in checks.store)
    return 0 if well else 1


@dataclass(slots=True)
class Checks:
    """What was seen."""

    store: Store
    outcomes: list[Outcome]
    transcripts: Mapping[Target, list[str]]


async def check_all(config: Config, targets: Sequence[Target], options: Options) -> Checks:
    """Check every target at the same time; those of one account one after the other, for they may all log in."""
    store, resolver = Store(), Resolver()
    store.configure(targets)
    checker = Checker(store, resolver, options.ledger, options.environ)
    checker.configure(config)
    if options.force and any(target.endpoint.account for target in targets):
        sys.stderr.write("warning: --force logs in whatever the login budget says; Google may lock the account\n")
    transcripts: dict[Target, list[str]] = {target: [] for target in targets}
    outcomes: dict[Target, Outcome] = {}
    rows: dict[object, list[Target]] = defaultdict(list)
    for target in targets:
        rows[target.endpoint.account or target].append(target)
    console = Console(stderr=True)
    columns = (
        SpinnerColumn(),
        TextColumn("checking"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.description}"),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=len(targets))

        async def check_row(row: Sequence[Target]) -> None:
            for target in row:
                progress.update(task, description=target.endpoint.name)
                outcomes[target] = await checker.check(target, transcripts[target], force=options.force)
                progress.advance(task)

        await asyncio.gather(*(check_row(row) for row in rows.values()))
    await resolver.close()
    return Checks(store, [outcomes[target] for target in targets], transcripts)
