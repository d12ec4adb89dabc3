"""The result of one delivery: DeliveryResult. Metrics, pages, JSON and log lines are pure functions of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from exporter.model.login import Denial
from exporter.model.reason import Blame, Reason, fill, provider_of
from exporter.model.remedy import remedy_of
from exporter.model.settings import Delivery, Endpoint, Role


class Stage(StrEnum):
    """The steps of a delivery, in order."""

    SUBMIT = "submit"
    """From the beginning of the session until the server has accepted the message."""
    TRANSFER = "transfer"
    """From there until the message is visible over IMAP."""
    POP3 = "pop3"
    """Whether the message is there over POP3, too."""
    CLEANUP = "cleanup"
    """The message is moved to the trash."""


class Method(StrEnum):
    """What a receiver can say of who sent a message (RFC 8601 §2.7)."""

    SPF = "spf"
    DKIM = "dkim"
    DMARC = "dmarc"


class AuthResult(StrEnum):
    """The results of these methods (RFC 8601 §2.7.1, §2.7.2; RFC 7489 §11.2)."""

    PASS = "pass"  # noqa: S105 (a result)
    FAIL = "fail"
    SOFTFAIL = "softfail"
    NEUTRAL = "neutral"
    NONE = "none"
    POLICY = "policy"
    TEMPERROR = "temperror"
    PERMERROR = "permerror"


@dataclass(frozen=True, slots=True)
class Hop:
    """A server on the way: its own name for itself, and how long the message took from the one before to it.

    Seconds go by the servers' clocks, in whole seconds; below 0 where they differ.
    """

    by: str
    seconds: float


@dataclass(frozen=True, slots=True)
class DeliveryFailure:
    """At which stage a delivery failed, and why. `detail` has the server's words, without secrets."""

    stage: Stage
    reason: Reason
    blame: Blame
    detail: str


@dataclass(frozen=True, slots=True)
class NotMade:
    """Why no message was sent, or why it could not be looked for: what the login of an account shows already.

    `denial` is why the budget of its logins or sends allows none now; None where a login was refused, or its secret is
    not there. `is_refused`: a server has refused a message, and the next one waits for that.
    """

    account: str
    text: str
    denial: Denial | None = None
    is_refused: bool = field(default=False, compare=False)

    def __str__(self) -> str:
        return f"{self.account}: {self.text}"


@dataclass(frozen=True, slots=True)
class DeliveryResult:
    """One run of a delivery. Times are Unix seconds, durations seconds; what is not known is None or empty."""

    delivery: Delivery
    started_at: float
    ended_at: float
    stages: Mapping[Stage, float] = field(default_factory=dict)
    """How long each stage took that was completed; that of POP3 has no time."""
    folder: Role | None = None
    """Where the message was found: in the inbox or in spam."""
    found_over_pop3: bool | None = None
    authentication: Mapping[Method, AuthResult] = field(default_factory=dict)
    """What the receiver says of the sender."""
    hops: tuple[Hop, ...] = ()
    """In the order of the way."""
    failures: tuple[DeliveryFailure, ...] = ()
    not_made: NotMade | None = None
    leftover: int | None = None
    """Messages of this exporter that are still in the recipient's inbox, or in spam after 30 days."""

    @property
    def ok(self) -> bool:
        """Whether nothing failed, and the delivery was made."""
        return self.not_made is None and not self.failures

    @property
    def up(self) -> bool | None:
        """Whether mail arrives where it should; what cannot be cleared away is no outage.

        None where none was sent, unless that waits for the refusal of the last one, which is then among the failures.
        """
        if self.not_made and not self.failures:
            return None
        return all(failure.stage is Stage.CLEANUP for failure in self.failures)

    @property
    def duration(self) -> float | None:
        """Seconds from the acceptance of the message until it was visible."""
        return self.stages.get(Stage.TRANSFER)

    def summary(self, failure: DeliveryFailure) -> str:
        """Return what is wrong, as a clause without a full stop."""
        endpoint = self._endpoint(failure)
        words = {"protocol": endpoint.protocol.value.upper(), "during": f"in the stage {failure.stage}"}
        return fill(failure.reason.summary, provider_of(endpoint.host), **words)

    def blame_label(self, failure: DeliveryFailure) -> str:
        """Return the party at fault in a word or two."""
        return fill(failure.blame.label, provider_of(self._endpoint(failure).host))

    def remedy(self, failure: DeliveryFailure) -> str:
        """Return what to do about a failure."""
        endpoint = self._endpoint(failure)
        return remedy_of(failure.reason, endpoint.host, endpoint.account, protocol=endpoint.protocol.value.upper())

    def _endpoint(self, failure: DeliveryFailure) -> Endpoint:
        delivery = self.delivery
        if failure.stage is Stage.SUBMIT:
            return delivery.via
        return (delivery.pop3 or delivery.imap) if failure.stage is Stage.POP3 else delivery.imap
