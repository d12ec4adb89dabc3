"""What the login budget of an account allows a target: LoginStatus; Denial and Cause where it allows no login."""

from __future__ import annotations

from dataclasses import dataclass

from exporter.model.enumeration import TableEnum
from exporter.model.reason import Reason


class Denial(TableEnum):
    """Why a login is not allowed now. `meaning` is the text that people see."""

    meaning: str

    INTERVAL = "interval", "the next login is not due yet"
    BUSY = "busy", "another login of the mailbox is running"
    BACKOFF = "backoff", "a server asked for fewer logins"
    WAIT24 = "wait24", "a limit of the server, which ends within 24 hours"
    HOLD = "hold", "a server refused the login, and the same secret is not sent again"
    CEILING = "ceiling", "max_logins_per_day is reached"
    STORAGE = "storage", "the login budget cannot be stored"

    @property
    def protects(self) -> bool:
        """Whether this protects the account, rather than being the ordinary interval between logins."""
        return self not in (Denial.INTERVAL, Denial.BUSY)


@dataclass(frozen=True, slots=True)
class Cause:
    """The refused login for which others are held back."""

    endpoint: str
    """Where it was refused: the name in the configuration of the process that made it."""
    reason: Reason | None = None
    """None where it is not known: the process ended before the answer came."""

    def __str__(self) -> str:
        return f"{self.reason} at {self.endpoint}" if self.reason else f"at {self.endpoint}"


@dataclass(frozen=True, slots=True)
class LoginStatus:
    """What the login budget of a mailbox allows a target."""

    held_by: Denial | None
    """Why logins are held back to protect the account; None where they are not."""
    next_login_at: float
    """When the target may log in next, in Unix seconds; infinity while it is held."""
    logins_of_day: int = 0
    """Logins of the mailbox in the last 24 hours, at all endpoints."""
    denied: Denial | None = None
    """Why the budget allowed this probe no login; None where it allowed one."""
    ceiling: int = 0
    """The most logins of the mailbox in 24 hours."""
    cause: Cause | None = None
    """The refusal for which logins are held back; None where that is not why, or where it is not known."""
    interval: float = 0.0
    """Seconds from one login of the target to the next: its `login_interval`, or more where the mailbox has many."""
    has_trial: bool = False
    """Whether an operator has permitted one login in spite of that, which is still to be made."""
    next_release_at: float | None = None
    """When an operator may do so again, in Unix seconds; None where that is possible now."""

    @property
    def why(self) -> str:
        """Why logins are held back, for people; empty where they are not."""
        if self.held_by is None:
            return ""
        return f"{self.held_by.meaning}: {self.cause}" if self.cause else self.held_by.meaning
