"""What is known of a mail domain beside its exchanges' own Outcomes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import NamedTuple

from exporter.model.reason import Blame, Reason, fill
from exporter.model.remedy import REMEDIES


class Exchange(NamedTuple):
    """A mail exchange of a domain, by its name in small letters without a dot at the end (RFC 5321 §5.1)."""

    preference: int
    """The lowest is tried first."""
    host: str


class Change(NamedTuple):
    """That something of a domain is not as it was."""

    at: float
    """When it was seen, in Unix seconds."""
    text: str
    """How it was before, and how it is now."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong with a domain: why, the words of whoever said so, and the exchange if it concerns one."""

    reason: Reason
    detail: str = ""
    host: str = ""
    is_certain: bool = True
    """Whether the party that the reason blames is at fault for certain."""

    @property
    def blame(self) -> Blame:
        """The party at fault."""
        return self.reason.blame if self.is_certain else Blame.UNKNOWN

    @property
    def party(self) -> str:
        """The party at fault, in words."""
        return "the domain's administrator" if self.blame is Blame.ACCOUNT else self.blame.party

    @property
    def summary(self) -> str:
        """What is wrong, as a clause without a full stop."""
        return fill(self.reason.summary, protocol="SMTP", during="while it was looked up")

    @property
    def remedy(self) -> str:
        """What to do about it."""
        silence = "no name server answers in time; check those in /etc/resolv.conf, and whether this host reaches them"
        return fill(REMEDIES[self.reason], silence=silence, ending="check the name servers in /etc/resolv.conf")


def merged(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Return one finding for each reason and exchange, as there is one series: with the details of all."""
    found: dict[tuple[Reason, str], Finding] = {}
    for finding in findings:
        key = finding.reason, finding.host
        known = found.get(key)
        found[key] = replace(finding, detail=f"{known.detail}; {finding.detail}") if known else finding
    return tuple(found.values())


@dataclass(frozen=True, slots=True)
class ExchangesFound:
    """A look-up of a domain's exchanges: which there are, or why that is not known, and how long it took in seconds."""

    exchanges: tuple[Exchange, ...]
    failure: Finding | None
    seconds: float
    left_out: int = 0
    """Exchanges that are not probed, for there are too many."""


class Mode(StrEnum):
    """What senders do where a policy is not met (RFC 8461 §5): refuse, only report, or nothing."""

    ENFORCE = "enforce"
    TESTING = "testing"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Policy:
    """An MTA-STS policy (RFC 8461 §3.2)."""

    mode: Mode
    patterns: tuple[str, ...]
    """Exchanges that it covers, `*.` standing for one label."""
    max_age: float
    """Seconds for which a sender keeps it."""

    def covers(self, host: str) -> bool:
        """Whether an exchange is one of the policy's (RFC 8461 §4.1)."""
        above = host.partition(".")[2]
        return any(pattern in (host, f"*.{above}" if above else host) for pattern in self.patterns)

    def demands_tls_of(self, host: str) -> bool:
        """Whether an exchange must have STARTTLS and a certificate that the public trusts (RFC 8461 §4)."""
        return self.mode is not Mode.NONE and self.covers(host)


class Tlsa(NamedTuple):
    """A TLSA record (RFC 6698 §2.1)."""

    usage: int
    selector: int
    matching: int
    data: bytes

    @property
    def is_usable(self) -> bool:
        """Whether SMTP senders use it (RFC 7672 §3.1): DANE-TA or DANE-EE, of a known selector and hash."""
        return self.usage in (2, 3) and self.selector in (0, 1) and self.matching in (0, 1, 2)

    def __str__(self) -> str:
        """As in the DNS, with the beginning of its data."""
        shown = self.data.hex()
        return f"{self.usage} {self.selector} {self.matching} {shown[:16]}{'…' if len(shown) > 16 else ''}"


class Dane(NamedTuple):
    """By what senders verify an exchange that has TLSA records."""

    records: tuple[Tlsa, ...]
    """Those that are usable."""
    names: tuple[str, ...]
    """Where an authority is recorded, the certificate is for one of these (RFC 7672 §3.2.2). The first, which has the
    records, is sent as the server's name (§8.1)."""
