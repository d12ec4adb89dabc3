"""`gmail-exporter accounts`: try an account out while setting it up, or release one that is held."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from rich.console import RenderableType
from rich.markup import escape
from rich.text import Text

from exporter.accounts.access import Access
from exporter.accounts.ledger import PATIENCE, Ledger
from exporter.accounts.ledger_schema import LedgerError
from exporter.accounts.secrets import place_of
from exporter.commands import console
from exporter.commands.check import CheckResult, CommandOptions, check_all, tell_storage
from exporter.commands.targets import UsageError
from exporter.model.mailbox import mailboxes
from exporter.model.message import show
from exporter.model.release import Answer
from exporter.model.settings import Account, Config
from exporter.probing.dialogue import CredentialUnavailable
from exporter.views import terminal
from exporter.views.release import no_account, told


def release(config: Config, name: str, ledger: Ledger) -> int:
    """Permit an account that is held one login; return 0, or 1 where that is not possible now.

    Raises:
        UsageError: There is no such account, or no file of login budgets.
        CannotWrite: Standard output cannot be written.
    """
    account = _find(config, name)
    if ledger.path is None:
        reason = f": {ledger.store.reason}" if ledger.store.reason else ""
        raise UsageError(
            f"there is no file of login budgets{reason}; name that of the daemon with --storage.path, or ask a "
            "daemon that has none: its page says how"
        )
    tell_storage(ledger)
    (mailbox,) = (mailbox for mailbox in mailboxes(config) if account in mailbox.accounts)
    try:
        released = ledger.release(mailbox).result(PATIENCE)
    except LedgerError as error:
        raise UsageError(f"{ledger.path}: {error}") from None
    except TimeoutError:
        raise UsageError(f"{ledger.path}: no answer within {PATIENCE:g} s") from None
    console.write(f"{told(released, mailbox, name, time.time())}\n")
    return 0 if released.answer is Answer.RELEASED else 1


def try_out(config: Config, name: str, options: CommandOptions) -> int:
    """Try secret, token, and the login at each endpoint of an account; explain what fails; return the exit code.

    Raises:
        UsageError: There is no such account, or no endpoint logs in with it.
        CannotWrite: Standard output cannot be written.
    """
    account = _find(config, name)
    endpoints = [endpoint for endpoint in config.login_endpoints if endpoint.account == account]
    if not endpoints:
        raise UsageError(f"no endpoint logs in with the account {show(name)}: name it in one, as account: {name}")
    screen = console.Screen()
    screen.show(f"[bold]account {escape(name)}[/]  {escape(account.username)}, {_kind(account)}", Text())
    if not asyncio.run(_try_credential(account, options, screen)):
        return 1
    results = asyncio.run(check_all(config, endpoints, options)).results
    screen.show(Text(), *_findings(results, options, screen.width))
    return 0 if all(result.is_well and result.outcome.login_reached for result in results) else 1


def _findings(results: Sequence[CheckResult], options: CommandOptions, width: int) -> Sequence[RenderableType]:
    all_series = [result.series for result in results]
    found = [
        terminal.overview(all_series, width),
        *terminal.folders(result.outcome for result in results),
        *terminal.explanations(all_series),
        *terminal.held_accounts(all_series, options.ledger.path, options.way),
    ]
    waiting = [
        result.outcome.target.endpoint.name for result in results if result.is_well and not result.outcome.login_reached
    ]
    if waiting:
        names = escape(", ".join(dict.fromkeys(waiting)))
        found += [Text(), f"[yellow]![/] no login is due at {names}: wait, or try it now with --force"]
    return found


async def _try_credential(account: Account, options: CommandOptions, screen: console.Screen) -> bool:
    """Return whether the account has a usable credential."""
    access = Access(account, options.environ)
    step = "secret"
    try:
        secret = access.secret()
        screen.show(f"[green]✔[/] secret  {escape(_places(account))}")
        if account.app_password is None:
            step = "token"
            await access.credential(secret)
            assert access.token is not None  # noqa: S101 (it was just made)
            minutes = (access.token.expires_at - time.time()) / 60
            screen.show(f"[green]✔[/] token   good for {minutes:.0f} min")
    except CredentialUnavailable as error:
        screen.show(f"[red]✘[/] [bold]{step}[/]", terminal.explain_credential(error.reason, str(error), account))
        return False
    return True


def _kind(account: Account) -> str:
    if account.oauth2:
        return "OAuth 2.0 with a refresh token"
    return "OAuth 2.0 with a service account" if account.service_account else "app password"


def _places(account: Account) -> str:
    """Return where the account's secrets are read from."""
    return ", ".join(map(place_of, account.secrets))


def _find(config: Config, name: str) -> Account:
    if name not in config.accounts:
        raise UsageError(no_account(name, config.accounts))
    return config.accounts[name]
