"""The result of a probe: Outcome.

An `Outcome` is the only result of a probe. Metrics, pages, logs and exit codes are pure functions of it.
Where a probe stopped (`phase`) and why (`reason`) are orthogonal: a timeout during the TLS handshake is
`Phase.TLS` and `Reason.TIMEOUT`, never a reason of its own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from sys import getsizeof
from typing import NamedTuple

from exporter.model.address import Address
from exporter.model.certificate import TlsFacts
from exporter.model.enumeration import TableEnum
from exporter.model.evidence import Evidence, TcpEvidence
from exporter.model.login import Denial, LoginStatus
from exporter.model.reason import Blame, Reason, fill
from exporter.model.remedy import evidence_at, party_of, remedy_of, step_of
from exporter.model.settings import PORT_OF_EXCHANGES, PORTS, Endpoint, IpFamily, Role, Security
from exporter.model.verdict import Judgement, Verdict

MAX_DETAIL = 512
"""Characters of `Outcome.detail`, and of a line of `Outcome.dialogue`, at most."""


class Phase(TableEnum):
    """The steps of a session, in the order in which they can first happen.

    `during` completes a summary. `silence` and `ending` are what to look at where nobody answers, or where the
    connection ends: they complete a remedy, and `{evidence}` in them is where else, which depends on the provider.
    """

    during: str
    silence: str
    ending: str

    # fmt: off
    RESOLVE = "resolve", "while its name was looked up", \
        "no name server answers in time; check those in /etc/resolv.conf, and whether this host reaches them", \
        "check the name servers in /etc/resolv.conf"
    CONNECT = "connect", "while connecting", \
        "check host and port, this host's route, and firewalls that drop packets; compare from another network", \
        "check host and port, and firewalls that answer in the server's place"
    TLS = "tls", "in the TLS handshake", \
        "the server took the connection and does not begin TLS; look for a device in between that inspects it", \
        "the server ends it in place of TLS; look for a device in between, and {evidence}"
    GREETING = "greeting", "while waiting for its greeting", \
        "the server says nothing; it is overloaded, holds this address back, or waits for TLS itself; {evidence}", \
        "the server took it and does not greet; it is at a limit, or refuses this host's address; {evidence}"
    CAPABILITY = "capability", "when asked for its capabilities", \
        "the server greeted, and does not answer a command; it is overloaded, or holds this address back; {evidence}", \
        "the server greeted, and ends the session at the first command; {evidence}"
    STARTTLS = "starttls", "when asked for TLS", \
        "the server does not answer STARTTLS; look for a device in between that holds it back, and {evidence}", \
        "the server ends the session at STARTTLS; look for a device in between, and {evidence}"
    LOGIN = "login", "in the login", \
        "the server does not decide on the login; it is slow, or delays logins after failed ones; {evidence}", \
        "the server ends the session in place of an answer to the login; {evidence}"
    FOLDERS = "folders", "when asked for its folders", \
        "the login is accepted, and the mailbox does not open; the storage is slow, or timeout too short; {evidence}", \
        "the login is accepted, and the server ends the session at the mailbox; {evidence}"
    LOGOUT = "logout", "in the logout", \
        "nothing is to be done", \
        "nothing is to be done"
    # fmt: on


class Check(StrEnum):
    """What a probe checks, each over one or more phases."""

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
"""A failure in these phases concerns the account; the endpoint is up."""

_OCTETS_OF_LINE = 128  # of memory, besides the text: a tuple of three, a number, and what the allocators round up


TargetKey = tuple[str, ...]
"""The name of an endpoint, an address family, and the exchange where the endpoint is a domain."""


@dataclass(frozen=True, slots=True)
class Target:
    """What is probed as one series: an endpoint, over one address family."""

    endpoint: Endpoint
    ip_family: IpFamily

    @classmethod
    def of(cls, endpoint: Endpoint) -> tuple[Target, ...]:
        """The series of an endpoint: one, or one for each address family where `ip_family` is `both`."""
        if endpoint.ip_family is IpFamily.BOTH:
            return cls(endpoint, IpFamily.IPV4), cls(endpoint, IpFamily.IPV6)
        return (cls(endpoint, endpoint.ip_family),)

    @property
    def key(self) -> TargetKey:
        """What identifies the series across reloads."""
        identity = self.endpoint.name, self.ip_family
        return (*identity, self.endpoint.host) if self.endpoint.domain else identity

    @property
    def name(self) -> str:
        """The endpoint's name for people, with the exchange of a domain, and with one of several address families."""
        endpoint = self.endpoint
        name = endpoint.name
        if endpoint.domain and endpoint.host:
            name = endpoint.host if name == endpoint.domain else f"{name} {endpoint.host}"
        return f"{name} ({self.ip_family})" if endpoint.ip_family is not self.ip_family else name

    @property
    def address(self) -> str:
        """HOST:PORT, an IPv6 address in brackets."""
        return str(Address(self.endpoint.host, self.endpoint.port))


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder by its special-use role (RFC 6154): whether mail clients see it, and how many messages it holds."""

    role: Role
    visible: bool
    messages: int | None = None
    unseen: int | None = None
    octets: int | None = None
    """Size of its messages, known from POP3 only."""


@dataclass(frozen=True, slots=True)
class Quota:
    """Storage of the account (RFC 9208), in octets."""

    used: int
    limit: int


@dataclass(frozen=True, slots=True)
class Observed:
    """Facts gathered during the probe. What is not known is None or empty."""

    address: str | None = None
    ip_version: int | None = None
    ip_fallback: bool | None = None
    dead_addresses: tuple[str, ...] = ()
    """Addresses of the name that did not connect when they were last tried, the one tried the longest ago first."""
    connect_lost: float | None = None
    """Seconds that were lost on addresses that did not connect before one did; None where none did."""
    addresses: int | None = None
    """Addresses of the name that were counted, and those of them that connect; None where they were not counted."""
    addresses_up: int | None = None
    tcp_rtt: float | None = None
    tcp: TcpEvidence | None = None
    """What TCP saw, where the probe failed and that shows something."""
    retransmits: int | None = None
    """Segments that the kernel sent again; None where it does not tell."""
    tls: TlsFacts | None = None
    tls_fault: Reason | None = None
    """Why a sender that demands TLS refuses an exchange that is up all the same; None where none does."""
    tls_fault_detail: str = ""
    dane: bool | None = None
    """Whether the certificate matches the TLSA records of an exchange; None where there are none in force."""
    capabilities: tuple[str, ...] = ()
    login_capabilities: tuple[str, ...] = ()
    """Capabilities after login, where the server sends them."""
    folders: tuple[Folder, ...] = ()
    quota: Quota | None = None
    newest_at: float | None = None
    """When the newest message of the inbox came, in Unix seconds; None where it is empty, or nobody asked."""
    login_attempted: bool = False
    throttled: bool = False
    ignored_lines: int = 0
    """Lines of the server that are not of the protocol, or that nobody needs, and that were passed over."""
    logout: Reason | None = None


class Line(NamedTuple):
    """A line of a dialogue, without secrets: seconds since the probe began, `C` (client) or `S` (server), the text."""

    at: float
    speaker: str
    text: str

    @property
    def octets(self) -> int:
        """Octets of memory that it takes."""
        return _OCTETS_OF_LINE + getsizeof(self.text)

    def __str__(self) -> str:
        return f"{self.at:.3f} {self.speaker}: {self.text}"


class Detail(StrEnum):
    """A part of an Outcome that takes much memory where a server says much; no metric is made of it."""

    DIALOGUE = "dialogue"
    CAPABILITIES = "capabilities"
    CERTIFICATES = "certificates"
    """The chain as presented. The facts of the server's own certificate are always kept."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """One probe of one target.

    `started_at` and `ended_at` are Unix seconds; `phases` holds the seconds that each phase took, in order. `phase` is
    the last phase entered on success, and the one that failed otherwise. `dialogue` is without secrets. `login` is None
    where the endpoint has no account. `evidence` and `judgement` are there where it failed: whose fault that is.
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
    login: LoginStatus | None = None
    evidence: Evidence | None = None
    judgement: Judgement | None = None
    not_kept: tuple[Detail, ...] = ()
    """What the store has dropped of it, to stay within its memory."""

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
        """The party at fault, as it was judged; without meaning on success."""
        return self.judgement.blame if self.judgement else self.reason.blame

    @property
    def verdict(self) -> Verdict | None:
        """What the evidence shows; None on success, and where nobody has judged."""
        return self.judgement.verdict if self.judgement else None

    @property
    def next_step(self) -> str:
        """What to do: what the verdict on an outage says, where there is one, else the remedy of the reason.

        It is both where nobody knows whose fault it is, that of the reason first, and where the server at fault may be
        one's own.
        """
        step = step_of(self.judgement, self._provider) if self.judgement and not self.up else ""
        if not step:
            return self.remedy
        if self.verdict is Verdict.UNKNOWN:
            return f"{self.remedy} {step}"
        may_be_own = self.blame is Blame.PROVIDER and not self.target.endpoint.is_google
        return f"{step} {self.remedy}" if may_be_own else step

    @property
    def passed_over(self) -> tuple[str, ...]:
        """The addresses of the name that do not connect while another one serves: a warning, no outage."""
        return self.observed.dead_addresses if self.observed.connect_lost is not None else ()

    @property
    def intercepted_by(self) -> str | None:
        """Who issued the certificate where its root must be public and is not: a device in between answers.

        None where none does.
        """
        tls = self.observed.tls
        if tls is None or tls.public_root is not False or not self.target.endpoint.needs_public_root:
            return None
        return tls.issuer or "an issuer that cannot be read"

    @property
    def warning(self) -> str:
        """What senders that demand TLS object to at an exchange that is up all the same; empty where nothing is."""
        fault = self.observed.tls_fault
        return fill(fault.summary, self._provider, protocol="SMTP") if fault and self.up else ""

    @property
    def held_by(self) -> Denial | None:
        """Why logins are held back to protect the account; None where they are not."""
        return self.login.held_by if self.login else None

    @property
    def next_login_at(self) -> float | None:
        """When the budget allows the next login, in Unix seconds; None if unknown, or while logins are held."""
        return self.login.next_login_at if self.login and math.isfinite(self.login.next_login_at) else None

    @property
    def summary(self) -> str:
        """What is wrong, as a clause without a full stop."""
        protocol = self.target.endpoint.protocol.value.upper()
        return fill(self.reason.summary, self._provider, protocol=protocol, during=self.phase.during)

    @property
    def remedy(self) -> str:
        """What to do about the failure."""
        endpoint, phase = self.target.endpoint, self.phase
        words = {"protocol": endpoint.protocol.value.upper()}
        for kind, text in (("silence", phase.silence), ("ending", phase.ending)):
            words[kind] = fill(text, evidence=evidence_at(endpoint.host)) + self._hint
        if phase in LOGIN_PHASES:
            words["odd"] = "see the server's words in detail; look at its log if it is yours, or tell its operator"
        return remedy_of(self.reason, endpoint.host, endpoint.account, **words)

    @property
    def _hint(self) -> str:
        """What a setting of the endpoint makes likely where the server falls silent or ends the connection."""
        endpoint = self.target.endpoint
        if self.phase is Phase.CONNECT and endpoint.port == PORT_OF_EXCHANGES:
            return "; many networks let nobody out to port 25"
        if endpoint.port == PORTS[endpoint.protocol, endpoint.security]:
            return ""
        if self.phase is Phase.GREETING and endpoint.security is not Security.TLS:
            return "; if the port begins with TLS, set security: tls"
        if self.phase is Phase.TLS and endpoint.security is Security.TLS:
            return "; if the port begins in the clear, set security: starttls"
        return ""

    @property
    def blame_label(self) -> str:
        """The party at fault in a word or two."""
        return fill(self.blame.label, self._provider)

    @property
    def _provider(self) -> str:
        return party_of(self.reason, self.target.endpoint.host, self.target.endpoint.account)

    @property
    def duration(self) -> float:
        """Seconds spent on the server's answers: the sum of the phases, without this exporter's own queue."""
        return sum(self.phases.values())

    @property
    def login_reached(self) -> bool:
        """Whether a login was part of this probe, even if it could not be sent."""
        return Phase.LOGIN in self.phases

    @property
    def checks(self) -> Mapping[Check, bool]:
        """The result of each check that was reached."""
        results = {CHECK_OF_PHASE[phase]: True for phase in self.phases if phase in CHECK_OF_PHASE}
        if not self.ok and self.phase in CHECK_OF_PHASE:
            results[CHECK_OF_PHASE[self.phase]] = False
        if self.observed.tls_fault:
            results[Check.TLS] = False
        return results
