"""`gmail-exporter check`: every target once, now, at the same time; exit 0 all well, 1 something failed."""

from __future__ import annotations

import asyncio
import json
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from aiodns.error import DNSError

from exporter.accounts.access import Access
from exporter.accounts.ledger import Ledger
from exporter.commands import console
from exporter.config.mistake import nearest
from exporter.model.address import check_host, split_address
from exporter.model.outcome import Outcome, Target
from exporter.model.settings import PORTS, Config, Endpoint, IpFamily, Security, service_of
from exporter.model.text import Unacceptable, show
from exporter.monitor.checker import Checker
from exporter.monitor.store import Series, Store
from exporter.probing import client_tls
from exporter.probing.dialogue import CredentialUnavailable
from exporter.probing.resolve import Resolver
from exporter.views import terminal
from exporter.views.document import outcome_to_json


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


@dataclass(frozen=True, slots=True)
class Seen:
    """A target after its check: its series, of this one outcome."""

    series: Series
    outcome: Outcome

    @property
    def well(self) -> bool:
        """Whether nothing failed, and no login was kept back for a failure of the past."""
        return self.outcome.ok and not self.series.suspended


def select(config: Config, names: Sequence[str]) -> list[Endpoint]:
    """Return the endpoints that are named, by their name or as HOST:PORT, each once; all where none is.

    Raises:
        UsageError: there is no such endpoint, and the name is no address whose protocol is known; or none at all.
    """
    endpoints = config.endpoints
    if not names and not endpoints:
        raise UsageError("no endpoint is configured: name an address, such as imap.gmail.com:993")
    return [endpoints.get(name) or _of_address(name, config) for name in dict.fromkeys(names)] or [*endpoints.values()]


def unknown(kind: str, name: str, known: Iterable[str]) -> str:
    """Say that there is none of this name, and what was probably meant."""
    known = tuple(known)
    near = nearest(name, known)
    hint = f"did you mean {show(near)}?" if near else f"there are: {', '.join(known) or 'none'}"
    return f"there is no {kind} {show(name)}; {hint}"


def _of_address(address: str, config: Config) -> Endpoint:
    host, port = split_address(address)
    before, colon, behind = address.rpartition(":")
    if not colon:
        raise UsageError(f"{unknown('endpoint', address, config.endpoints)} (or name an address, HOST:PORT)")
    number = int(behind) if behind.isdecimal() and behind.isascii() and len(behind) <= 5 else 0
    service = service_of(number)
    if service is None:
        ports = ", ".join(map(str, dict.fromkeys(PORTS.values())))
        raise UsageError(
            f"{show(address)}: no protocol is known for this port, only for {ports}; "
            "describe an endpoint on another port in a configuration file"
        )
    if port is None:
        raise UsageError(f"{show(address)}: an IPv6 address needs brackets: {show(f'[{before}]:{behind}')}")
    try:
        check_host(host)
    except Unacceptable as mistake:
        raise UsageError(f"{show(address)}: the host {mistake}") from None
    protocol, security = service
    return Endpoint(name=address, protocol=protocol, host=host, port=number, security=security)


def run(config: Config, names: Sequence[str], options: Options) -> int:
    """Check, print, and return the exit code.

    Raises:
        UsageError: a name is not known.
        CannotWrite: standard output takes no more.
    """
    targets = [target for endpoint in select(config, names) for target in Target.of(endpoint)]
    everything = asyncio.run(check_all(config, targets, options))
    if options.output == "json":
        console.write(json.dumps([_json(seen, options) for seen in everything], indent=2) + "\n")
    else:
        _show(everything, options)
    return 0 if all(seen.well for seen in everything) else 1


def _json(seen: Seen, options: Options) -> dict[str, object]:
    return outcome_to_json(seen.outcome, dialogue=options.verbose)


def _show(everything: Sequence[Seen], options: Options) -> None:
    shown = console.Screen()
    for seen in everything if options.verbose else ():
        shown.show(*terminal.dialogue(seen.outcome))
    all_series = [seen.series for seen in everything]
    shown.show(
        terminal.overview(all_series, shown.width),
        *terminal.explanations(all_series),
        *terminal.held_accounts(all_series, options.ledger.path),
    )


async def check_all(config: Config, targets: Sequence[Target], options: Options) -> list[Seen]:
    """Check every target at the same time; those of one account one after the other, for they may all log in."""
    if options.force and any(target.endpoint.account for target in targets):
        sys.stderr.write("warning: --force logs in whatever the login budget says; Google may lock the account\n")
    store, resolver = Store(), Resolver()
    store.configure(targets)
    checker = Checker(store, resolver, options.ledger, options.environ)
    checker.configure(config)
    outcomes: dict[Target, Outcome] = {}
    rows: dict[object, list[Target]] = defaultdict(list)
    for target in targets:
        rows[target.endpoint.account or target].append(target)

    async def check_row(row: Sequence[Target], running: console.Running) -> None:
        for target in row:
            with running.step(target.endpoint.name):
                outcomes[target] = await checker.check(target, force=options.force)

    try:
        await _prepare(targets, resolver, options)
        with console.progress(len(targets)) as running:
            await asyncio.gather(*(check_row(row, running) for row in rows.values()))
    finally:
        await resolver.close()
    return [Seen(store[target.key], outcomes[target]) for target in targets]


async def _prepare(targets: Iterable[Target], resolver: Resolver, options: Options) -> None:
    """Do beforehand what holds up the event loop for 30 ms each, and would count as somebody's latency."""
    with suppress(DNSError):
        await resolver.resolve("localhost", IpFamily.ANY)  # asks nobody (RFC 6761 §6.3), and leaves c-ares ready
    for target in targets:
        if target.endpoint.security is not Security.NONE:
            with suppress(client_tls.AuthoritiesUnreadable):  # the probe says it, with its reason
                client_tls.context(target.endpoint.tls)
        if target.endpoint.account:
            with suppress(CredentialUnavailable):  # as above
                options.ledger.digest(Access(target.endpoint.account, options.environ).secret())
