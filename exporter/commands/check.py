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
from exporter.commands.targets import answering, of_domain, select
from exporter.model.outcome import Outcome, Target
from exporter.model.reason import provider_of
from exporter.model.release import NOWHERE, Way
from exporter.model.settings import Config, Endpoint, IpFamily, Security
from exporter.monitor.checker import Checker
from exporter.monitor.gathering import Gathering
from exporter.monitor.mail_domains import MailDomains
from exporter.monitor.store import Series, Store
from exporter.probing.authorities import context_of
from exporter.probing.client_tls import AuthoritiesUnreadable
from exporter.probing.resolve import Resolver
from exporter.verdict.sources import EvidenceSources
from exporter.views import terminal
from exporter.views.document import outcome_to_json
from exporter.views.domain import DomainView, view_of

PATIENCE = 9.0
"""Seconds that evidence may take once something has failed: there is no next probe for which it could count."""


@dataclass(frozen=True, slots=True)
class CommandOptions:
    """Options of a command, from the command line."""

    ledger: Ledger
    environ: Mapping[str, str]
    output: str = "table"
    verbose: bool = False
    force: bool = False
    way: Way = NOWHERE
    """How an account is released."""


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The outcome of a check, and the series of its target, which holds this outcome alone."""

    series: Series
    outcome: Outcome

    @property
    def is_well(self) -> bool:
        """Whether nothing failed, and no login is held back because of an earlier failure."""
        return self.outcome.ok and not self.series.suspended


@dataclass(frozen=True, slots=True)
class Checked:
    """What was checked: targets, and the mail domains that some of them are exchanges of."""

    results: Sequence[CheckResult]
    domains: Sequence[DomainView]

    @property
    def is_well(self) -> bool:
        """Whether nothing failed."""
        return all(one.is_well for one in self.results) and not any(one.findings for one in self.domains)


def run(config: Config, names: Sequence[str], options: CommandOptions, domains: Sequence[str] = ()) -> int:
    """Check endpoints and mail domains, print, and return the exit code.

    Raises:
        UsageError: A name is unknown.
        CannotWrite: Standard output cannot be written.
    """
    groups = [*(select(config, names) if names or not domains else ()), *([of_domain(name)] for name in domains)]
    checked = asyncio.run(_check(config, groups, options))
    if options.output == "json":
        console.write(json.dumps([_json(result, options) for result in checked.results], indent=2) + "\n")
        for view in checked.domains:
            for finding in view.findings:
                sys.stderr.write(f"{view.domain.name}: {finding.reason}: {finding.detail}\n")
    else:
        _show(checked, options)
    return 0 if checked.is_well else 1


async def _check(config: Config, groups: Sequence[Sequence[Endpoint]], options: CommandOptions) -> Checked:
    answered = await asyncio.gather(*map(answering, groups))
    for group, found in zip(groups, answered, strict=True):
        if len(group) > 1:
            _tell_ports(group, found)
    endpoints = [endpoint for found in answered for endpoint in found]
    return await check_all(config, list(dict.fromkeys(endpoints)), options)


def _tell_ports(group: Sequence[Endpoint], found: Sequence[Endpoint]) -> None:
    """Say at which of its usual ports a host answers, and at which it does not."""
    silent = ", ".join(str(endpoint.port) for endpoint in group if endpoint not in found)
    ports = ", ".join(str(endpoint.port) for endpoint in found)
    sys.stderr.write(f"{group[0].host}: checked at {ports}; no answer at {silent}\n" if silent else "")


def _json(result: CheckResult, options: CommandOptions) -> dict[str, object]:
    return outcome_to_json(result.outcome, dialogue=options.verbose)


def _show(checked: Checked, options: CommandOptions) -> None:
    screen, results = console.Screen(), checked.results
    for result in results if options.verbose else ():
        screen.show(*terminal.dialogue(result.outcome))
    all_series = [result.series for result in results]
    screen.show(
        terminal.overview(all_series, screen.width),
        *terminal.explanations(all_series),
        *terminal.interceptions(all_series),
        *terminal.held_accounts(all_series, options.ledger.path, options.way),
        *(line for view in checked.domains for line in terminal.domain(view, screen.width)),
    )


async def check_all(config: Config, endpoints: Sequence[Endpoint], options: CommandOptions) -> Checked:
    """Check all endpoints at the same time, but those of one mailbox one after the other: each may log in."""
    store, resolver = Store(), Resolver()
    domains = MailDomains(resolver, store, lambda: None)
    domains.configure(endpoints)
    try:
        await asyncio.gather(*(domains.renew(domain) for domain in domains))
        await asyncio.gather(*(domains.renew_policies(domain) for domain in domains))
        results = await _check_targets(config, domains.configure(endpoints), options, store, resolver, domains)
    finally:
        await resolver.close()
    return Checked(results, [view_of(domain, domains, store) for domain in domains])


async def _check_targets(
    config: Config,
    targets: Sequence[Target],
    options: CommandOptions,
    store: Store,
    resolver: Resolver,
    domains: MailDomains,
) -> list[CheckResult]:
    if options.force and (hosts := [target.endpoint.host for target in targets if target.endpoint.account]):
        who = " or ".join(sorted(set(map(provider_of, hosts))))
        sys.stderr.write(f"warning: --force logs in whatever the login budget says; {who} may lock the account\n")
    store.configure(targets)
    sources = EvidenceSources(resolver)
    gathering = Gathering(store, resolver, sources, patience=PATIENCE)
    checker = Checker(store, resolver, options.ledger, options.environ, gathering=gathering, at_once=True)
    checker.policies = domains
    for part in (sources, gathering, checker):
        part.configure(config)
    outcomes: dict[Target, Outcome] = {}
    queues: dict[object, list[Target]] = defaultdict(list)
    for target in targets:
        queues[checker.budget_of(target) or target].append(target)

    async def check_queue(queue: Sequence[Target], running: console.Running) -> None:
        for target in queue:
            with running.step(target.name):
                outcomes[target] = await checker.check(target, force=options.force)

    if any(target.endpoint.account for target in targets):
        tell_storage(options.ledger)
    try:
        await _prepare(targets, resolver)
        # Before anything fails: a control that was never up proves nothing.
        looking = asyncio.create_task(sources.controls.look(), name="controls")
        with console.progress(len(targets)) as running:
            await asyncio.gather(*(check_queue(queue, running) for queue in queues.values()))
        looking.cancel()
    finally:
        await gathering.close()
        await sources.close()
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
            with suppress(AuthoritiesUnreadable):  # the probe reports it, with its reason
                await context_of(target.endpoint.tls)
