"""`gmail-exporter accounts`: try one account out while setting it up, or release one that is held."""

from __future__ import annotations

import asyncio
import sys
import time

from rich.console import Console
from rich.markup import escape

from exporter import report
from exporter.accounts.access import Access
from exporter.accounts.ledger import Ledger
from exporter.commands.check import Options, UsageError, check_all
from exporter.config import Account, Config
from exporter.outcome import Target
from exporter.probing.dialogue import CredentialUnavailable


def release(config: Config, name: str, ledger: Ledger) -> int:
    """Let an account that is held log in again, and say so; 1 where nothing is known of it.

    Raises:
        UsageError: there is no such account, or no file in which budgets are kept.
    """
    _find(config, name)
    if ledger.path is None:
        raise UsageError(
            "budgets are kept in memory only: restart the daemon to release an account, or name its file with "
            "--storage.path"
        )
    known = ledger.release(name)
    sys.stdout.write(f"{name} is released\n" if known else f"{name} is not held: {ledger.path} knows nothing of it\n")
    return 0 if known else 1


def try_out(config: Config, name: str, options: Options) -> int:
    """Walk an account through its secret, its token, and the login on each of its endpoints; explain what fails.

    Raises:
        UsageError: there is no such account, or no endpoint logs in with it.
    """
    account = _find(config, name)
    endpoints = [endpoint for endpoint in config.endpoints.values() if endpoint.account == account]
    if not endpoints:
        raise UsageError(f"no endpoint logs in with the account {name!r}: name it in one, as account: {name}")
    console = Console(width=None if sys.stdout.isatty() else 160, highlight=False)
    console.print(f"[bold]{escape(name)}[/], {escape(account.username)}")
    if not asyncio.run(_try_credential(account, options, console)):
        return 1
    targets = [target for endpoint in endpoints for target in Target.of(endpoint)]
    checks = asyncio.run(check_all(config, targets, options))
    console.print(report.table(list(checks.store), console.width))
    for outcome in checks.outcomes:
        for folder in outcome.observed.folders:
            seen = f"{folder.messages} messages" if folder.visible else "[red]hidden from mail clients[/]"
            console.print(f"  {escape(outcome.target.endpoint.name)} {folder.role}: {seen}")
    well = all(outcome.ok and outcome.login_reached for outcome in checks.outcomes)
    return 0 if well else 1


async def _try_credential(account: Account, options: Options, console: Console) -> bool:
    """Whether there is something to log in with."""
    access = Access(account, options.environ)
    try:
        secret = access.secret()
        console.print("[green]✔[/] the secret can be read")
        if account.app_password is None:
            await access.credential(secret)
            assert access.token is not None  # noqa: S101 (it was just made)
            minutes = (access.token.expires_at - time.time()) / 60
            console.print(f"[green]✔[/] the token endpoint gave a token, for {minutes:.0f} minutes")
    except CredentialUnavailable as error:
        console.print(f"[red]✘[/] [bold]{error.reason}[/]: {escape(str(error))}")
        console.print(f"  {escape(error.reason.remedy)}")
        return False
    return True


def _find(config: Config, name: str) -> Account:
    if name not in config.accounts:
        there_are = f"there are {', '.join(config.accounts)}" if config.accounts else "the configuration has none"
        raise UsageError(f"there is no account {name!r}; {there_are}")
    return config.accounts[name]
