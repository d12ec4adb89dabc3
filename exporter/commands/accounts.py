"""`gmail-exporter accounts`: try one account out while setting it up, or release one that is held."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from rich.console import RenderableType
from rich.markup import escape
from rich.text import Text

from exporter.accounts.access import Access
from exporter.accounts.ledger import Ledger
from exporter.accounts.secrets import place_of
from exporter.commands import console
from exporter.commands.check import Options, Seen, UsageError, check_all, unknown
from exporter.model.outcome import Target
from exporter.model.settings import Account, Config
from exporter.model.text import show
from exporter.probing.dialogue import CredentialUnavailable
from exporter.views import terminal


def release(config: Config, name: str, ledger: Ledger) -> int:
    """Let an account that is held log in again, and say so; 1 where nothing is known of it.

    Raises:
        UsageError: there is no such account, or no file in which budgets are kept.
        CannotWrite: standard output takes no more.
    """
    _find(config, name)
    if ledger.path is None:
        raise UsageError(
            "budgets are kept in memory only: restart the daemon to release an account, or name its file with "
            "--storage.path"
        )
    if not ledger.release(name):
        console.write(f"{name} is not held: {ledger.path} knows nothing of it\n")
        return 1
    console.write(f"{name} is released: it logs in at its next probe, in a daemon that runs on {ledger.path} too\n")
    return 0


def try_out(config: Config, name: str, options: Options) -> int:
    """Walk an account through its secret, its token, and the login on each of its endpoints; explain what fails.

    Raises:
        UsageError: there is no such account, or no endpoint logs in with it.
        CannotWrite: standard output takes no more.
    """
    account = _find(config, name)
    endpoints = [endpoint for endpoint in config.login_endpoints if endpoint.account == account]
    if not endpoints:
        raise UsageError(f"no endpoint logs in with the account {show(name)}: name it in one, as account: {name}")
    shown = console.Screen()
    shown.show(f"[bold]account {escape(name)}[/]  {escape(account.username)}, {_kind(account)}", Text())
    if not asyncio.run(_try_credential(account, options, shown)):
        return 1
    targets = [target for endpoint in endpoints for target in Target.of(endpoint)]
    everything = asyncio.run(check_all(config, targets, options))
    shown.show(Text(), *_findings(everything, options, shown.width))
    return 0 if all(seen.well and seen.outcome.login_reached for seen in everything) else 1


def _findings(everything: Sequence[Seen], options: Options, width: int) -> Sequence[RenderableType]:
    all_series = [seen.series for seen in everything]
    found = [
        terminal.overview(all_series, width),
        *terminal.folders(seen.outcome for seen in everything),
        *terminal.explanations(all_series),
        *terminal.held_accounts(all_series, options.ledger.path),
    ]
    waiting = [seen.outcome.target.endpoint.name for seen in everything if seen.well and not seen.outcome.login_reached]
    if waiting:
        names = escape(", ".join(dict.fromkeys(waiting)))
        found += [Text(), f"[yellow]![/] no login is due at {names}: wait, or try it now with --force"]
    return found


async def _try_credential(account: Account, options: Options, shown: console.Screen) -> bool:
    """Whether there is something to log in with."""
    access = Access(account, options.environ)
    step = "secret"
    try:
        secret = access.secret()
        shown.show(f"[green]✔[/] secret  {escape(_places(account))}")
        if account.app_password is None:
            step = "token"
            await access.credential(secret)
            assert access.token is not None  # noqa: S101 (it was just made)
            minutes = (access.token.expires_at - time.time()) / 60
            shown.show(f"[green]✔[/] token   good for {minutes:.0f} min")
    except CredentialUnavailable as error:
        shown.show(f"[red]✘[/] [bold]{step}[/]", terminal.explain_credential(error.reason, str(error), account.name))
        return False
    return True


def _kind(account: Account) -> str:
    if account.oauth2:
        return "OAuth 2.0 with a refresh token"
    return "OAuth 2.0 with a service account" if account.service_account else "app password"


def _places(account: Account) -> str:
    """Where the account's secrets are."""
    if account.oauth2:
        references = [account.oauth2.client_secret, account.oauth2.refresh_token]
    else:
        references = [reference for reference in (account.app_password, account.service_account) if reference]
    return ", ".join(map(place_of, references))


def _find(config: Config, name: str) -> Account:
    if not config.accounts:
        raise UsageError(f"there is no account {show(name)}: the configuration has none")
    if name not in config.accounts:
        raise UsageError(unknown("account", name, config.accounts))
    return config.accounts[name]
