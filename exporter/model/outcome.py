"""What a probe saw: Phase, Reason, Outcome.

An `Outcome` is the one value that leaves a probe. Metrics, pages, logs and exit codes are pure functions of it.
Where a probe stopped (`phase`) and why (`reason`) are orthogonal: a timeout during the TLS handshake is
`Phase.TLS` and `Reason.TIMEOUT`, never a reason of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from exporter.model.address import Address
from exporter.model.reason import Blame, Reason
from exporter.model.settings import Endpoint, IpFamily, Role

MAX_DETAIL = 512
"""Characters of `Outcome.detail`, and of a line of `Outcome.dialogue`, at most."""


class Phase(StrEnum):
    """The steps of a session, in the order in which they first may happen."""

    RESOLVE = "resolve"
    CONNECT = "connect"
    TLS = "tls"
    GREETING = "greeting"
    CAPABILITY = "capability"
    STARTTLS = "starttls"
    LOGIN = "login"
    FOLDERS = "folders"
    LOGOUT = "logout"


class Check(StrEnum):
    """The questions that a probe answers, each over one or more phases."""

    REACHABILITY = "reachability"
    TLS = "tls"
    PROTOCOL = "protocol"
    LOGIN = "login"
    FOLDERS = "folders"


CHECK_OF_PHASE: Mapping[Phase, Check] = {
    Phase.RESOLVE: Check.REACHABILITY,
    Phase.CONNECT: Check.REACHABILITY,
    Phase.TLS: Check.TLS,
    Phase.GREETING: Check.PROTOCOL,
    Phase.CAPABILITY: Check.PROTOCOL,
    Phase.STARTTLS: Check.PROTOCOL,
    Phase.LOGIN: Check.LOGIN,
    Phase.FOLDERS: Check.FOLDERS,
}

LOGIN_PHASES = frozenset({Phase.LOGIN, Phase.FOLDERS})
"""Where a failure says something of the account's access, and nothing of whether the endpoint is up."""


_SERVER_ONCE_CONNECTED = frozenset({Reason.TIMEOUT, Reason.RESET, Reason.CLOSED})
_AFTER_CONNECTION = frozenset(Phase) - {Phase.RESOLVE, Phase.CONNECT, Phase.TLS}


@dataclass(frozen=True, slots=True)
class Target:
    """What is probed as one series: an endpoint, over one address family."""

    endpoint: Endpoint
    ip_family: IpFamily

    @classmethod
    def of(cls, endpoint: Endpoint) -> tuple[Target, ...]:
        """The series of an endpoint: one, or one for each family where it says `both`."""
        if endpoint.ip_family is IpFamily.BOTH:
            return cls(endpoint, IpFamily.IPV4), cls(endpoint, IpFamily.IPV6)
        return (cls(endpoint, endpoint.ip_family),)

    @property
    def key(self) -> tuple[str, IpFamily]:
        """What identifies the series across reloads."""
        return self.endpoint.name, self.ip_family

    @property
    def name(self) -> str:
        """The endpoint's name for people, with the address family where it has several."""
        several = self.endpoint.ip_family is not self.ip_family
        return f"{self.endpoint.name} ({self.ip_family})" if several else self.endpoint.name

    @property
    def address(self) -> str:
        """HOST:PORT, an IPv6 address in brackets."""
        return str(Address(self.endpoint.host, self.endpoint.port))


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate as it was presented. Its texts say whatever its maker wanted. Times are Unix seconds."""

    subject: str
    issuer: str
    names: tuple[str, ...]
    """Whom it is for: DNS names and addresses (RFC 5280 §4.2.1.6), the first of them."""
    not_before: float
    not_after: float
    fingerprint_sha256: str
    serial_number: str = ""
    """In hex."""


@dataclass(frozen=True, slots=True)
class TlsFacts:
    """What the server presented, whether or not it was trusted. Times are Unix seconds."""

    version: str
    cipher: str
    issuer: str
    fingerprint_sha256: str
    not_after: float
    chain_not_after: float
    no_sni: bool = False
    chain: tuple[Certificate, ...] = ()
    """As sent, the server's own first. One that only OpenSSL can read is left out."""
    verified_not_after: float | None = None
    """Earliest notAfter in the chain by which it was trusted, up to the root; None where it was not."""

    @property
    def expires_at(self) -> float:
        """When it can be trusted no longer: what else was sent along matters only where it was not trusted."""
        if self.verified_not_after is not None:
            return self.verified_not_after
        return min(self.not_after, self.chain_not_after)


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder by its special-use role (RFC 6154): whether mail clients see it, and how many messages it holds."""

    role: Role
    visible: bool
    messages: int | None = None
    unseen: int | None = None
    octets: int | None = None
    """Size of its messages, which POP3 tells."""


@dataclass(frozen=True, slots=True)
class Quota:
    """Storage of the account (RFC 9208), in octets."""

    used: int
    limit: int


@dataclass(frozen=True, slots=True)
class Observed:
    """Facts gathered on the way. What was not seen is None or empty."""

    address: str | None = None
    ip_version: int | None = None
    ip_fallback: bool | None = None
    tcp_rtt: float | None = None
    tls: TlsFacts | None = None
    capabilities: tuple[str, ...] = ()
    login_capabilities: tuple[str, ...] = ()
    """What the server offers after login, where it says so."""
    folders: tuple[Folder, ...] = ()
    quota: Quota | None = None
    login_attempted: bool = False
    throttled: bool = False
    logout: Reason | None = None


class Line(NamedTuple):
    """A line of a dialogue, without secrets: seconds since the probe began, `C` or `S` for who said it, and what."""

    at: float
    speaker: str
    text: str

    def __str__(self) -> str:
        return f"{self.at:.3f} {self.speaker}: {self.text}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """One look at one target.

    `started_at` and `ended_at` are Unix seconds; `phases` holds the seconds that each step took, in order. `phase` is
    the last phase entered on success, and the one that failed otherwise. `dialogue` is what was said, without secrets.
    """

    target: Target
    started_at: float
    ended_at: float
    phases: Mapping[Phase, float]
    phase: Phase
    reason: Reason
    detail: str = ""
    observed: Observed = field(default_factory=Observed)
    dialogue: tuple[Line, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether everything that was attempted succeeded."""
        return self.reason is Reason.OK

    @property
    def up(self) -> bool:
        """Whether the endpoint answered as a mail server: a refused login is not an outage."""
        return self.ok or self.phase in LOGIN_PHASES

    @property
    def blame(self) -> Blame:
        """Whose fault the failure is; without meaning on success.

        A server that has accepted the connection and then falls silent or hangs up is to blame itself, where the same
        before that point is the network's fault.
        """
        if self.reason in _SERVER_ONCE_CONNECTED and self.phase in _AFTER_CONNECTION:
            return Blame.PROVIDER
        return self.reason.blame

    @property
    def duration(self) -> float:
        """Seconds spent on the server's answers: the sum of the phases, without this exporter's own queue."""
        return sum(self.phases.values())

    @property
    def login_reached(self) -> bool:
        """Whether a login was part of this probe, attempted or impossible."""
        return Phase.LOGIN in self.phases

    @property
    def checks(self) -> Mapping[Check, bool]:
        """The result of each check that was reached."""
        results = {CHECK_OF_PHASE[phase]: True for phase in self.phases if phase in CHECK_OF_PHASE}
        if not self.ok and self.phase in CHECK_OF_PHASE:
            results[CHECK_OF_PHASE[self.phase]] = False
        return results
