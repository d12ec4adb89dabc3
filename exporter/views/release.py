"""The answer to a request for a release, in words: the same for a command and over HTTP."""

from __future__ import annotations

from exporter.model.mailbox import Mailbox
from exporter.model.release import Answer, Release
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


def _others(mailbox: Mailbox, account: str) -> str:
    others = [other.name for other in mailbox.accounts if other.name != account]
    return f", and so {'is' if len(others) == 1 else 'are'} {', '.join(others)}, of the same mailbox" if others else ""
