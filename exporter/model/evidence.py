"""The facts from which a verdict is drawn. A fact that is not known is None, never a guess.

What TCP saw belongs to a probe, the rest to its host or to this exporter: `Evidence` puts them together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from exporter.model.enumeration import TableEnum


class TcpFinding(TableEnum):
    """What the connection shows of the server and of the path to it. `sentence` is the finding for people."""

    sentence: str

    SYN_UNANSWERED = (
        "syn_unanswered",
        "Nothing answered the connection request: it was dropped on the way, or the server is off.",
    )
    SYN_REJECTED = (
        "syn_rejected",
        "The connection request was rejected at once: nothing listens there, or a firewall rejects it.",
    )
    UNACKNOWLEDGED = (
        "unacknowledged",
        "What was sent was never acknowledged, though it was sent again: the path to the server is dead.",
    )
    SILENT = (
        "silent",
        "All that was sent was acknowledged, and then nothing came: the path is not dead, the server is silent.",
    )
    CLOSED = "closed", "The server's side closed the connection in order."
    RESET = "reset", "The connection was reset, by the server or by a device on the way."


@dataclass(frozen=True, slots=True)
class TcpEvidence:
    """What the kernel knew of the connection when the probe failed. What it did not tell is None."""

    finding: TcpFinding
    unacknowledged: int | None = None
    """Segments that were sent and not acknowledged."""
    retransmits: int | None = None
    """Segments that were sent again."""
    acknowledged: int | None = None
    """Octets that the server's side has acknowledged."""
    received: int | None = None
    """Octets that came from it."""
    state: str | None = None
    """The state of the connection (RFC 9293 §3.3.2)."""

    def __str__(self) -> str:
        """The finding, with the numbers that it rests on, for people."""
        numbers = [
            f"{count:,} {what}"
            for count, what in (
                (self.unacknowledged, "segments not acknowledged"),
                (self.retransmits, "sent again"),
                (self.acknowledged, "octets acknowledged"),
                (self.received, "octets received"),
            )
            if count is not None
        ]
        return f"{self.finding.sentence} ({', '.join(numbers)})" if numbers else self.finding.sentence


@dataclass(frozen=True, slots=True)
class Hop:
    """A router on the way, or the server: the time to live that reached it, and what answered."""

    ttl: int
    address: str | None
    """None where nothing answered."""
    rtt: float | None
    """Seconds; None where nothing answered."""


class PathEnd(TableEnum):
    """What ended a trace. `sentence` completes a fact for people."""

    sentence: str

    SYN_ACK = "syn_ack", "the server accepts connections"
    RST = "rst", "the connection is refused"
    ICMP_REJECTED = "icmp_rejected", "a firewall says that it is not allowed"
    ICMP_UNREACHABLE = "icmp_unreachable", "a router says that there is no way on"
    NOTHING = "nothing", "nothing answers"


@dataclass(frozen=True, slots=True)
class Trace:
    """The path to a port of an address, as routers and the server answered connection requests."""

    address: str
    port: int
    hops: tuple[Hop, ...]
    """In order, without gaps, from the first hop to the last one that was asked."""
    end: PathEnd
    end_hop: int | None
    """The hop that ended it; None where nothing did."""
    at: float
    """When it ended, in Unix seconds."""

    @property
    def last_answer(self) -> int | None:
        """The last hop that answered anything at all; None where none did."""
        return max((hop.ttl for hop in self.hops if hop.address is not None), default=self.end_hop)


class ControlKind(TableEnum):
    """What a control is for. `label` is its name for people."""

    label: str

    NEUTRAL = "neutral", "another host of the internet, by its address"
    SAME_PORT = "same_port", "another provider's server on the same port"
    PROVIDER_WEB = "provider_web", "the provider's web"


@dataclass(frozen=True, slots=True)
class ControlState:
    """The last look at a control. Before the first one, `up` and `at` are None."""

    name: str
    kind: ControlKind
    host: str
    port: int
    up: bool | None = None
    was_ever_up: bool = False
    """A control that was never up proves nothing by itself."""
    at: float | None = None
    """When it was looked at, in Unix seconds."""
    detail: str = ""
    """Why it is down, for people."""
    ip_version: int | None = None
    """Over which it was looked at; None where its name did not resolve."""
    public_root: bool | None = None
    """Whether its chain ends in a root that the public trusts; None where no TLS was spoken."""
    date_skew: float | None = None
    """Seconds by which this host's clock is ahead of its Date header (RFC 9110 §6.6.1)."""
    portal: bool | None = None
    """Whether a captive portal answered a plain request in its place; None where that cannot be told."""


@dataclass(frozen=True, slots=True)
class SecondOpinion:
    """What another resolver says of the host's name."""

    resolver: str
    """Its address."""
    name: str
    addresses: tuple[str, ...] = ()
    failure: str = ""
    """Why there are no addresses, for people; "" where there are."""
    is_reachable: bool = True
    """Whether it answered at all, if only that it knows no such name."""


@dataclass(frozen=True, slots=True)
class HostFacts:
    """This host itself."""

    has_route_ipv4: bool | None = None
    has_route_ipv6: bool | None = None
    resolver_answers: bool | None = None
    """Whether its resolver is of any use: it resolves a name, or says of the only one that there is none."""
    clock_skew: float | None = None
    """Seconds by which its clock is ahead of that of a control."""
    open_files_left: int | None = None
    """Descriptors that this process may still open."""


@dataclass(frozen=True, slots=True)
class Incident:
    """An incident that is open according to the provider itself. Texts are the provider's."""

    id: str
    severity: str
    """`low`, `medium` or `high`."""
    impact: str
    """At its worst: `information`, `disruption` or `outage`."""
    status: str
    """Now: the same, or `available`, which is recovered."""
    begin: float
    """In Unix seconds."""
    text: str
    url: str


@dataclass(frozen=True, slots=True)
class ProviderStatus:
    """What the provider's own status feed says. Where it could not be read lately, `fault` says why: it is unknown."""

    provider: str
    incidents: tuple[Incident, ...] = ()
    """Those that are open, the newest first, as they were last read."""
    read_at: float | None = None
    """When it was last read, in Unix seconds; None if never."""
    fault: str = ""
    notices: tuple[Incident, ...] = ()
    """What is open and no outage: notices, such as one of an app on a telephone, and incidents that have recovered."""

    @property
    def is_known(self) -> bool:
        """Whether the feed can be read."""
        return self.read_at is not None and not self.fault


@dataclass(frozen=True, slots=True)
class Tally:
    """How many of several things are up."""

    up: int = 0
    down: int = 0

    def __add__(self, other: Tally) -> Tally:
        return Tally(self.up + other.up, self.down + other.down)

    def __sub__(self, other: Tally) -> Tally:
        return Tally(self.up - other.up, self.down - other.down)

    @property
    def all_down(self) -> bool:
        """Whether there is at least one, and none is up."""
        return self.down > 0 and self.up == 0


@dataclass(frozen=True, slots=True)
class Siblings:
    """The other endpoints that are probed over the same version of IP, by their last probes."""

    host: Tally = Tally()
    """Of the same host, on other ports."""
    account: Tally = Tally()
    """With a login of the same account."""
    provider: Tally = Tally()
    """Of the same provider, at other hosts."""
    providers: Tally = Tally()
    """Providers, this one included: one is up where at least one of its endpoints is."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known in an outage of one target. What was not looked at, or does not apply, is None or empty."""

    at: float | None = None
    """When it was put together, in Unix seconds."""
    tcp: TcpEvidence | None = None
    trace: Trace | None = None
    """The path to the port that fails."""
    trace_web: Trace | None = None
    """The path to port 443 of the same address."""
    farthest_hop: int | None = None
    """The last hop that ever answered on the way to that address, in earlier traces."""
    was_reached: bool | None = None
    """Whether a probe of the endpoint ever succeeded: then the server itself was the last hop that answered."""
    controls: tuple[ControlState, ...] = ()
    """Those that are in force for the host, of all versions of IP."""
    opinions: tuple[SecondOpinion, ...] = ()
    host: HostFacts | None = None
    siblings: Siblings | None = None
    addresses: Tally | None = None
    """Other addresses of the name: those at which the server answers as it should, and those at which it does not."""
    status: ProviderStatus | None = None
    public_root: bool | None = None
    """Whether the chain ends in a root that the public trusts; None where nothing is said of it."""
    portal: bool | None = None
    """Whether a captive portal answers in place of a control."""
    is_pending: bool = False
    """Whether more is being gathered, which counts from the next Outcome."""

    def of_kind(self, kind: ControlKind, ip_version: int | None = None) -> Sequence[ControlState]:
        """Return the controls of a kind, looked at over that version of IP where one is given."""
        return [
            control
            for control in self.controls
            if control.kind is kind and (ip_version is None or control.ip_version in (None, ip_version))
        ]
