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

from exporter.accounts.ledger import Ledger
from exporter.commands import console
from exporter.config.mistake import nearest
from exporter.model.address import check_host, split_address
from exporter.model.message import Unacceptable, show
from exporter.model.outcome import Outcome, Target
from exporter.model.reason import provider_of
from exporter.model.settings import PORTS, Config, Endpoint, IpFamily, Security, service_of
from exporter.monitor.checker import Checker
from exporter.monitor.store import Series, Store
from exporter.probing import client_tls
from exporter.probing.resolve import Resolver
from exporter.views import terminal
from exporter.views.document import outcome_to_json


class UsageError(Exception):
    """The arguments name nothing that can be checked; the message has the reason."""


@dataclass(frozen=True, slots=True)
class CommandOptions:
    """Options of a command, from the command line."""

    ledger: Ledger
    environ: Mapping[str, str]
    output: str = "table"
    verbose: bool = False
    force: bool = False


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The outcome of a check, and the series of its target, which holds this outcome alone."""

    series: Series
    outcome: Outcome

    @property
    def is_well(self) -> bool:
        """Whether nothing failed, and no login is held back because of an earlier failure."""
        return self.outcome.ok and not self.series.suspended


def select(config: Config, names: Sequence[str]) -> list[Endpoint]:
    """Return the endpoints that are named, by their name or as HOST:PORT, each once; without names, all.

    Raises:
        UsageError: A name is no endpoint and no address with a known protocol; or no endpoint is configured.
    """
    endpoints = config.endpoints
    if not names and not endpoints:
        raise UsageError("no endpoint is configured: name an address, such as imap.gmail.com:993")
    return [endpoints.get(name) or _of_address(name, config) for name in dict.fromkeys(names)] or [*endpoints.values()]


def unknown(kind: str, name: str, known: Iterable[str]) -> str:
    """Return the message for an unknown name, with the name that was probably meant."""
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


def run(config: Config, names: Sequence[str], options: CommandOptions) -> int:
    """Check, print, and return the exit code.

    Raises:
        UsageError: A name is unknown.
        CannotWrite: Standard output cannot be written.
    """
    targets = [target for endpoint in select(config, names) for target in Target.of(endpoint)]
    results = asyncio.run(check_all(config, targets, options))
    if options.output == "json":
        console.write(json.dumps([_json(result, options) for result in results], indent=2) + "\n")
    else:
        _show(results, options)
    return 0 if all(result.is_well for result in results) else 1


def _json(result: CheckResult, options: CommandOptions) -> dict[str, object]:
    return outcome_to_json(result.outcome, dialogue=options.verbose)


def _show(results: Sequence[CheckResult], options: CommandOptions) -> None:
    screen = console.Screen()
    for result in results if options.verbose else ():
        screen.show(*terminal.dialogue(result.outcome))
    all_series = [result.series for result in results]
    screen.show(
        terminal.overview(all_series, screen.width),
        *terminal.explanations(all_series),
        *terminal.held_accounts(all_series, options.ledger.path),
    )


async def check_all(config: Config, targets: Sequence[Target], options: CommandOptions) -> list[CheckResult]:
    """Check all targets at the same time, but those of one mailbox one after the other: each may log in."""
    if options.force and (hosts := [target.endpoint.host for target in targets if target.endpoint.account]):
        who = " or ".join(sorted(set(map(provider_of, hosts))))
        sys.stderr.write(f"warning: --force logs in whatever the login budget says; {who} may lock the account\n")
    store, resolver = Store(), Resolver()
    store.configure(targets)
    checker = Checker(store, resolver, options.ledger, options.environ)
    checker.configure(config)
    outcomes: dict[Target, Outcome] = {}
    queues: dict[object, list[Target]] = defaultdict(list)
    for target in targets:
        queues[checker.budget_of(target) or target].append(target)

    async def check_queue(queue: Sequence[Target], running: console.Running) -> None:
        for target in queue:
            with running.step(target.endpoint.name):
                outcomes[target] = await checker.check(target, force=options.force)

    if any(target.endpoint.account for target in targets):
        tell_storage(options.ledger)
    try:
        await _prepare(targets, resolver)
        with console.progress(len(targets)) as running:
            await asyncio.gather(*(check_queue(queue, running) for queue in queues.values()))
    finally:
        await resolver.close()
    if options.ledger.fault:
        sys.stderr.write(f"gmail-exporter: no login was made: {options.ledger.path}: {options.ledger.fault}\n")
    return [CheckResult(store[target.key], outcomes[target]) for target in targets]


def tell_storage(ledger: Ledger) -> None:
    """Say on standard error which login budgets this command uses."""
    reason = f" ({ledger.store.reason})" if ledger.store.reason else ""
    sys.stderr.write(f"login budgets: {ledger.path or f'in memory, of this command alone{reason}'}\n")


async def _prepare(targets: Iterable[Target], resolver: Resolver) -> None:
    """Do first what blocks the event loop for 30 ms each: it would count as latency of a probe."""
    with suppress(DNSError):
        await resolver.resolve("localhost", IpFamily.ANY)  # no query is sent (RFC 6761 §6.3); it initializes c-ares
    for target in targets:
        if target.endpoint.security is not Security.NONE:
            with suppress(client_tls.AuthoritiesUnreadable):  # the probe reports it, with its reason
                client_tls.context(target.endpoint.tls)
