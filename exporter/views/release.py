"""The answer to a request for a release, in words: the same for a command and over HTTP."""

from __future__ import annotations

from collections.abc import Mapping

from exporter.config.mistake import unknown
from exporter.model.mailbox import Mailbox
from exporter.model.message import show
from exporter.model.release import Answer, Release
from exporter.model.settings import Account
from exporter.views.times import span, utc


def told(release: Release, mailbox: Mailbox, account: str, now: float) -> str:
    """Return what became of the request to release an account, at `now` in Unix seconds; a sentence or two."""
    when = "" if release.at is None else f"in {span(release.at - now)}, at {utc(release.at)}"
    match release.answer:
        case Answer.RELEASED:
            limit = f"; before, a limit of the server ends {when}" if when else ""
            return (
                f"{account} is released{_others(mailbox, account)}: one login is made, with the same secret too, at "
                f"the next probe whose login interval is over{limit}. If it is refused, the account is held again."
            )
        case Answer.ALREADY:
            return (
                f"{account} is released already: its one login is made at the next probe whose login interval is over. "
                f"The next release is possible {when}."
            )
        case Answer.TOO_EARLY:
            return (
                f"{account} was released a short time ago: providers lock accounts that fail too often. The next "
                f"release is possible {when}; another secret is tried at once."
            )
        case Answer.ENDS_BY_ITSELF:
            return (
                f"{account} is held back by a limit of the server, which a release does not end: the next login is "
                f"possible {when}."
            )
        case Answer.NOT_HELD:
            return f"{account} is not held: there is nothing to release."


def no_account(name: str, accounts: Mapping[str, Account]) -> str:
    """Return the message for the name of an account that there is not; a user name has the account that is meant."""
    if not accounts:
        return f"there is no account {show(name)}: the configuration has none"
    of_user = [key for key, each in accounts.items() if each.username.casefold() == name.strip().casefold()]
    if of_user:
        return f"{show(name)} is a user name: name its account, {' or '.join(map(show, of_user))}"
    return unknown("account", name, accounts)


def _others(mailbox: Mailbox, account: str) -> str:
    others = [other.name for other in mailbox.accounts if other.name != account]
    return f", and so {'is' if len(others) == 1 else 'are'} {', '.join(others)}, of the same mailbox" if others else ""
