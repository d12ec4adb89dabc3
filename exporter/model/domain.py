"""What is known of a mail domain beside its exchanges' own Outcomes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from exporter.model.reason import Reason, fill


class Exchange(NamedTuple):
    """A mail exchange of a domain, by its name in small letters without a dot at the end (RFC 5321 §5.1)."""

    preference: int
    """The lowest is tried first."""
    host: str


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong with a domain: why, the words of whoever said so, and the exchange if it concerns one."""

    reason: Reason
    detail: str = ""
    host: str = ""

    @property
    def summary(self) -> str:
        """What is wrong, as a clause without a full stop."""
        return fill(self.reason.summary, protocol="SMTP", during="while it was looked up")

    @property
    def remedy(self) -> str:
        """What to do about it."""
        silence = "no name server answers in time; check those in /etc/resolv.conf, and whether this host reaches them"
        return fill(self.reason.remedy, silence=silence, ending="check the name servers in /etc/resolv.conf")
