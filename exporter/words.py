"""Words for people, the same on a terminal, on the pages and in the documentation."""

from __future__ import annotations

from collections.abc import Mapping

from exporter.accounts.budget import Denial
from exporter.reason import Blame, Retry

WHO: Mapping[Blame, str] = {
    Blame.GOOGLE: "the mail server",
    Blame.NETWORK: "the way to the server",
    Blame.ACCOUNT: "the mailbox, its owner or its administrator",
    Blame.TOKEN: "the OAuth client or its grant",
    Blame.CLIENT: "this exporter's configuration or host",
}

RETRIES: Mapping[Retry, str] = {
    Retry.SAFE: "The next login comes at its usual time.",
    Retry.BACKOFF: "The time to the next login doubles with each such refusal, up to 6 hours.",
    Retry.HOLD: "No further login until the secret, the account or the way to log in changes, or it is released.",
    Retry.WAIT24: "Logins are tried hourly: what the server counts is forgotten within 24 hours.",
}

HELD: Mapping[Denial, str] = {
    Denial.HOLD: "a server refused it, and what was refused is not tried again",
    Denial.BACKOFF: "a server asked for fewer logins",
    Denial.WAIT24: "a limit of Google's, which ends within 24 hours",
    Denial.CEILING: "max_logins_per_day is reached",
}
"""Why logins are held back to protect the account."""


def span(seconds: float) -> str:
    """How long that is, in one unit."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"
