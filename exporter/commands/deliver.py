"""`gmail-exporter check --delivery NAME`: send a test message now, find it, and clear it away."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Sequence
from contextlib import suppress

from aiodns.error import DNSError
from rich.console import RenderableType
from rich.markup import escape
from rich.table import Table

from exporter.accounts.sends import Sends
from exporter.commands import console
from exporter.commands.check import CommandOptions, tell_storage
from exporter.commands.targets import UsageError
from exporter.config.mistake import unknown
from exporter.deliveries.logins import Logins
from exporter.deliveries.run import Deliveries
from exporter.model.delivery import DeliveryResult
from exporter.model.settings import Config, Delivery, IpFamily
from exporter.monitor.checker import Checker
from exporter.monitor.store import Store
from exporter.probing.resolve import Resolver
from exporter.views import deliveries

_MARKS = {"ok": "[green]✔[/]", "bad": "[red]✘[/]", "unknown": "[yellow]?[/]"}


def run(config: Config, names: Sequence[str], options: CommandOptions) -> int:
    """Make each delivery once, print the results, and return the exit code: 0 if all messages were found in place.

    Raises:
        UsageError: There is no such delivery.
        CannotWrite: Standard output cannot be written.
    """
    chosen = []
    for name in dict.fromkeys(names):
        if name not in config.deliveries:
            raise UsageError(unknown("delivery", name, config.deliveries))
        chosen.append(config.deliveries[name])
    tell_storage(options.ledger)
    results = asyncio.run(deliver(config, chosen, options))
    if options.output == "json":
        console.write(json.dumps([deliveries.result_to_json(result) for result in results], indent=2) + "\n")
    else:
        screen = console.Screen()
        for result in results:
            screen.show(*_explain(result))
    return 0 if all(result.ok for result in results) else 1


async def deliver(config: Config, chosen: Sequence[Delivery], options: CommandOptions) -> list[DeliveryResult]:
    """Make each delivery once, one after the other, and return the results."""
    resolver = Resolver()
    checker = Checker(Store(), resolver, options.ledger, options.environ)
    checker.configure(config)
    logins = Logins(checker.account_of, resolver, checker.add)
    making = Deliveries(logins, Sends(options.ledger), options.ledger)
    making.configure(config)
    results = []
    try:
        with suppress(DNSError):
            await resolver.resolve("localhost", IpFamily.ANY)  # it initializes c-ares, which takes 30 ms
        with console.progress(len(chosen)) as running:
            for delivery in chosen:
                with running.step(f"{delivery.name} (up to {delivery.timeout:g} s)"):
                    results.append(await making.run(delivery, is_planned=False))
    finally:
        await resolver.close()
        await checker.close()
    if options.ledger.fault:
        sys.stderr.write(f"gmail-exporter: no message was sent: {options.ledger.path}: {options.ledger.fault}\n")
    return results


def _explain(result: DeliveryResult) -> list[RenderableType]:
    """Return a line of a delivery, from the sender to the folder, and what is to be said of it."""
    line = "  ".join(
        f"{_MARKS[step.mark]} {escape(step.name)} {escape(step.text)}"
        for step in deliveries.steps(result, result.delivery)
    )
    shown: list[RenderableType] = [
        f"[bold]{escape(result.delivery.name)}[/]  {escape(deliveries.sentence(result))}",
        f"  {line}",
    ]
    facts = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    facts.add_column(no_wrap=True)
    facts.add_column(overflow="fold")
    if result.authentication:
        said = ", ".join(f"{method}={found}" for method, found in result.authentication.items())
        facts.add_row("  sender", f"{said} (says the receiver)")
    for hop in result.hops:
        facts.add_row("  way", f"{escape(hop.by)} after {hop.seconds:g} s")
    if result.leftover:
        facts.add_row("  left over", f"{result.leftover} test messages")
    for failure in result.failures:
        facts.add_row(f"  {failure.stage}", f"[bold]{failure.reason}[/]")
        facts.add_row("  fault", f"{result.blame_label(failure)}: {failure.blame.party}")
        facts.add_row("  detail", escape(failure.detail))
        facts.add_row("  remedy", escape(result.remedy(failure)))
    if facts.row_count:
        shown.append(facts)
    return shown
