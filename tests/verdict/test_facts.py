"""What evidence says, and what it does not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from exporter.model.certificate import Certificate
from exporter.model.evidence import (
    ControlKind,
    ControlState,
    Evidence,
    Hop,
    HostFacts,
    Incident,
    PathEnd,
    ProviderStatus,
    SecondOpinion,
    Siblings,
    Tally,
    Trace,
)
from exporter.model.outcome import Observed, Outcome, Phase
from exporter.model.reason import Reason
from exporter.model.settings import IpFamily, Protocol, Security
from exporter.model.verdict import Fact
from exporter.verdict.facts import facts_of
from tests.examples import FACTS, failure, target

SILENT = (Phase.GREETING, Reason.TIMEOUT)
UNANSWERED = (Phase.CONNECT, Reason.TIMEOUT)
NAME = (Phase.RESOLVE, Reason.DNS_NOT_FOUND)
EXPIRED = (Phase.TLS, Reason.CERTIFICATE_EXPIRED)
NOT_YET = (Phase.TLS, Reason.CERTIFICATE_NOT_YET_VALID)


def found(evidence: Evidence | None = None, outcome: Outcome | None = None, **observed: Any) -> set[Fact]:
    """The facts of a failed probe, by default of an unanswered connection request over IPv4."""
    outcome = outcome or failure(None, *UNANSWERED)
    seen = replace(outcome.observed, **({"ip_version": 4} | observed))
    return set(facts_of(replace(outcome, observed=seen, evidence=evidence)))


def control(
    kind: ControlKind, up: bool | None, *, ever: bool = True, version: int | None = 4, port: int = 993
) -> ControlState:
    """A control that was looked at."""
    return ControlState("one", kind, "192.0.2.1", port, up, ever, 1.0, ip_version=version)


def controls(*states: ControlState) -> Evidence:
    """Evidence of these controls alone."""
    return Evidence(controls=states)


def path(end: PathEnd, end_hop: int | None, *answering: int, port: int = 993) -> Trace:
    """A trace on which these hops answered."""
    last = max((*answering, end_hop or 0, 5))
    hops = tuple(Hop(ttl, f"192.0.2.{ttl}" if ttl in answering else None, None) for ttl in range(1, last + 1))
    return Trace("198.51.100.1", port, hops, end, end_hop, 1.0)


def test_nothing_is_known_without_evidence() -> None:
    """Only that a connection was made, where it was."""
    assert found() == {Fact.NO_NEUTRAL}
    assert found(None, failure(None, *SILENT)) == {Fact.NO_NEUTRAL, Fact.CONNECTED}


@pytest.mark.parametrize(
    ("kind", "up", "down"),
    [
        (ControlKind.NEUTRAL, Fact.NEUTRAL_UP, Fact.NEUTRAL_DOWN),
        (ControlKind.SAME_PORT, Fact.SAME_PORT_UP, Fact.SAME_PORT_DOWN),
        (ControlKind.PROVIDER_WEB, Fact.WEB_UP, Fact.WEB_DOWN),
    ],
)
class TestControls:
    """Controls of each kind."""

    def test_up_and_down(self, kind: ControlKind, up: Fact, down: Fact) -> None:
        """One that is up is enough, and all must be down."""
        assert up in found(controls(control(kind, up=True), control(kind, up=False)))
        assert down in found(controls(control(kind, up=False), control(kind, up=False)))

    def test_one_that_was_never_up_proves_nothing(self, kind: ControlKind, up: Fact, down: Fact) -> None:
        """Nor does one that was not looked at."""
        never, unseen = control(kind, up=False, ever=False), control(kind, up=None)
        assert found(controls(never, unseen)).isdisjoint({up, down})
        assert down in found(controls(never, control(kind, up=False)))

    def test_another_version_of_ip(self, kind: ControlKind, up: Fact, down: Fact) -> None:
        """One that was reached over IPv6 says nothing of IPv4."""
        assert found(controls(control(kind, up=True, version=6))).isdisjoint({up, down})
        assert up in found(controls(control(kind, up=True, version=6)), ip_version=6)


def test_neutral_controls_that_were_never_up() -> None:
    """Together with what this host itself says, they count; one that was up once is no such."""
    never = control(ControlKind.NEUTRAL, up=False, ever=False)
    assert found(controls(never, never)) == {Fact.NO_NEUTRAL, Fact.NEUTRAL_NEVER}
    assert Fact.NEUTRAL_NEVER not in found(controls(never, control(ControlKind.NEUTRAL, up=False)))
    assert Fact.NEUTRAL_NEVER not in found(controls(control(ControlKind.NEUTRAL, up=None, ever=False)))


def test_a_control_on_another_port_is_not_of_the_same_port() -> None:
    """Port 995 of another provider says nothing of port 993."""
    assert found(controls(control(ControlKind.SAME_PORT, up=True, port=995))) == {Fact.NO_NEUTRAL}


@pytest.mark.parametrize("host", ["imap.gmail.com", "IMAP.GMAIL.COM.", "smtp.googlemail.com", "198.51.100.1"])
@pytest.mark.parametrize("kind", [ControlKind.SAME_PORT, ControlKind.NEUTRAL])
@pytest.mark.parametrize("up", [True, False])
def test_a_control_of_the_provider_that_fails_is_none(host: str, kind: ControlKind, up: bool) -> None:
    """By its name, or by the address that was connected to: it fails with the endpoint, and the port is not blocked."""
    outcome = replace(failure(None, *UNANSWERED), observed=Observed(address="198.51.100.1", ip_version=4))
    own = replace(control(kind, up=up), host=host)
    assert found(controls(own), outcome) == {Fact.NO_NEUTRAL}
    assert found(controls(own, control(kind, up=up)), outcome) != {Fact.NO_NEUTRAL}


class TestPath:
    """The path to the port that fails, beside that to port 443."""

    @pytest.mark.parametrize(
        ("trace", "web", "fact"),
        [
            # dropped at the second of three routers
            (path(PathEnd.NOTHING, None, 1, 2), path(PathEnd.SYN_ACK, 4, 1, 2, 3), Fact.BLOCKED_BEFORE_WEB),
            # only the server itself is silent: it may be its own firewall
            (path(PathEnd.NOTHING, None, 1, 2, 3), path(PathEnd.SYN_ACK, 4, 1, 2, 3), None),
            # no router says anything
            (path(PathEnd.NOTHING, None), path(PathEnd.SYN_ACK, 4), None),
            # a black hole for everything
            (path(PathEnd.NOTHING, None, 1, 2, 3), path(PathEnd.NOTHING, None, 1, 2, 3), None),
            # refused by the server, or by what stands before it
            (path(PathEnd.RST, 4, 1, 2, 3), path(PathEnd.SYN_ACK, 4, 1, 2, 3), Fact.REFUSED_AT_WEB),
            (path(PathEnd.RST, 2, 1), path(PathEnd.SYN_ACK, 4, 1, 2, 3), Fact.REFUSED_NEARER),
            (path(PathEnd.ICMP_REJECTED, 2, 1), path(PathEnd.SYN_ACK, 4, 1, 2, 3), Fact.REFUSED_NEARER),
            (path(PathEnd.ICMP_UNREACHABLE, 2, 1), path(PathEnd.SYN_ACK, 4, 1, 2, 3), Fact.REFUSED_NEARER),
            # what refuses from farther than 443 answers is not understood
            (path(PathEnd.RST, 4, 1, 2, 3), path(PathEnd.SYN_ACK, 2, 1), None),
            # 443 is refused, too: that may be the server or a firewall
            (path(PathEnd.RST, 4, 1, 2, 3), path(PathEnd.RST, 4, 1, 2, 3), None),
            (path(PathEnd.RST, 4, 1, 2, 3), None, None),
        ],
    )
    def test_compared_with_web(self, trace: Trace, web: Trace | None, fact: Fact | None) -> None:
        """What is refused or dropped, and where, while port 443 of the same address answers."""
        paths = {Fact.BLOCKED_BEFORE_WEB, Fact.REFUSED_AT_WEB, Fact.REFUSED_NEARER, Fact.PATH_SHORT}
        assert found(Evidence(trace=trace, trace_web=web)) & paths == ({fact} if fact else set())

    @pytest.mark.parametrize(
        ("address", "expected"),
        [
            ("127.0.0.1", True),
            ("127.3.2.1", True),
            ("::1", True),
            ("192.0.2.1", False),
            ("fe80::1%lo", False),
            (None, False),
        ],
    )
    def test_this_host_itself(self, address: str | None, expected: bool) -> None:
        """A loopback address has no path: who refuses there is the server's own host."""
        assert (Fact.ON_THIS_HOST in found(None, failure(), address=address)) is expected
        assert Fact.ON_THIS_HOST not in found(address=address)

    def test_short(self) -> None:
        """It ends before the last hop that ever answered, for every port."""
        short, full = path(PathEnd.NOTHING, None, 1), path(PathEnd.SYN_ACK, 4, 1, 2, 3)
        assert Fact.PATH_SHORT in found(Evidence(trace=short, farthest_hop=4))
        assert Fact.PATH_SHORT in found(Evidence(trace=path(PathEnd.ICMP_UNREACHABLE, 2, 1, 2), farthest_hop=4))
        assert Fact.PATH_SHORT not in found(Evidence(trace=short, farthest_hop=1))
        assert Fact.PATH_SHORT not in found(Evidence(trace=short))
        assert Fact.PATH_SHORT in found(Evidence(trace=short, was_reached=True))
        assert Fact.PATH_SHORT not in found(Evidence(trace=full, was_reached=True))
        assert Fact.PATH_SHORT not in found(Evidence(trace=short, trace_web=full, farthest_hop=4, was_reached=True))


class TestThisHost:
    """Route, resolver, files and clock."""

    def test_route(self) -> None:
        """Of the version of IP that fails; of both where the name has not resolved."""
        only_six = Evidence(host=HostFacts(has_route_ipv4=False, has_route_ipv6=True))
        assert Fact.NO_ROUTE in found(only_six, ip_version=4)
        assert Fact.NO_ROUTE not in found(only_six, ip_version=6)
        assert Fact.NO_ROUTE not in found(only_six, failure(None, *NAME), ip_version=None)
        over_four = failure(target(ip_family=IpFamily.IPV4), *NAME)
        assert Fact.NO_ROUTE in found(only_six, over_four, ip_version=None)
        neither = Evidence(host=HostFacts(has_route_ipv4=False, has_route_ipv6=False))
        assert Fact.NO_ROUTE in found(neither, failure(None, *NAME), ip_version=None)

    def test_resolver_and_files(self) -> None:
        """What is not known says nothing."""
        assert Fact.NO_RESOLVER in found(Evidence(host=HostFacts(resolver_answers=False)))
        assert Fact.FILES_USED_UP in found(Evidence(host=HostFacts(open_files_left=0)))
        assert found(Evidence(host=HostFacts(resolver_answers=True, open_files_left=100))) == {Fact.NO_NEUTRAL}
        assert found(Evidence(host=HostFacts())) == {Fact.NO_NEUTRAL}

    @pytest.mark.parametrize(
        ("pair", "skew", "expires", "begins", "fact"),
        [
            (EXPIRED, 86400.0, -3600.0, None, Fact.CLOCK_WRONG),
            (EXPIRED, 60.0, -3600.0, None, Fact.CLOCK_RIGHT),
            (EXPIRED, -86400.0, -3600.0, None, Fact.CLOCK_RIGHT),
            (EXPIRED, 86400.0, None, None, Fact.CLOCK_WRONG),
            (EXPIRED, 60.0, None, None, Fact.CLOCK_RIGHT),
            (NOT_YET, -86400.0, None, 3600.0, Fact.CLOCK_WRONG),
            (NOT_YET, -60.0, None, 3600.0, Fact.CLOCK_RIGHT),
            (NOT_YET, -86400.0, None, None, Fact.CLOCK_WRONG),
            (UNANSWERED, 86400.0, None, None, Fact.CLOCK_RIGHT),
        ],
    )
    def test_clock(
        self, pair: tuple[Phase, Reason], skew: float, expires: float | None, begins: float | None, fact: Fact
    ) -> None:
        """It is wrong where the certificate would be valid by a right one; seconds are counted from the probe."""
        outcome = failure(None, *pair)
        now = outcome.ended_at
        chain = (Certificate("CN=a", "CN=b", (), now + begins, None, "ab"),) if begins else ()
        tls = replace(FACTS, not_after=expires and now + expires, chain_not_after=None, chain=chain)
        clocks = found(Evidence(host=HostFacts(clock_skew=skew)), outcome, tls=tls) & {
            Fact.CLOCK_WRONG,
            Fact.CLOCK_RIGHT,
        }
        assert clocks == {fact}


class TestNames:
    """A second resolver."""

    ELSEWHERE = SecondOpinion("9.9.9.9", "imap.gmail.com", ("142.250.1.108",))

    def test_resolves_elsewhere(self) -> None:
        """Where the name does not resolve here."""
        assert Fact.RESOLVES_ELSEWHERE in found(Evidence(opinions=(self.ELSEWHERE,)), failure(None, *NAME))
        nowhere = SecondOpinion("9.9.9.9", "imap.gmail.com", failure="no such name")
        assert Fact.RESOLVES_ELSEWHERE not in found(Evidence(opinions=(nowhere,)), failure(None, *NAME))
        assert Fact.RESOLVES_ELSEWHERE not in found(Evidence(opinions=(self.ELSEWHERE,)), address="142.250.1.109")

    def test_a_resolver_that_lies(self) -> None:
        """A private address for a public name; an address that only differs is nothing unusual."""
        evidence = Evidence(opinions=(self.ELSEWHERE,))
        assert Fact.RESOLVER_LIES in found(evidence, address="192.168.1.1")
        assert Fact.RESOLVER_LIES not in found(evidence, address="142.250.1.109")
        private = Evidence(opinions=(SecondOpinion("9.9.9.9", "imap.gmail.com", ("10.0.0.1",)),))
        assert Fact.RESOLVER_LIES not in found(private, address="192.168.1.1")


class TestCertificate:
    """The root, and a captive portal."""

    def test_root(self) -> None:
        """A private one is an interception only where the root must be public."""
        outcome = failure(None, Phase.TLS, Reason.CERTIFICATE_UNTRUSTED)
        own = failure(target(host="mail.example.com"), Phase.TLS, Reason.CERTIFICATE_UNTRUSTED)
        assert Fact.PRIVATE_ROOT in found(Evidence(public_root=False), outcome, tls=FACTS)
        assert Fact.PRIVATE_ROOT not in found(Evidence(public_root=False), own, tls=FACTS)
        assert Fact.PUBLIC_ROOT in found(Evidence(public_root=True), own, tls=FACTS)

    def test_portal(self) -> None:
        """It answers in place of a control."""
        assert Fact.PORTAL in found(Evidence(portal=True))
        assert Fact.PORTAL not in found(Evidence(portal=False))

    def test_stripped(self) -> None:
        """A host of Google's is known to offer STARTTLS; of another one that is not known."""
        settings: dict[str, Any] = {"protocol": Protocol.SMTP, "port": 587, "security": Security.STARTTLS}
        pair = Phase.STARTTLS, Reason.STARTTLS_UNAVAILABLE
        google = failure(target(**settings, host="smtp.gmail.com"), *pair)
        other = failure(target(**settings, host="smtp.example.com"), *pair)
        assert Fact.MUST_BE_PUBLIC in found(None, google)
        assert Fact.MUST_BE_PUBLIC not in found(None, other)


class TestOthers:
    """Other endpoints, other addresses, and the provider's own word."""

    def test_several_providers(self) -> None:
        """All of at least two."""
        assert Fact.SEVERAL_DOWN in found(Evidence(siblings=Siblings(providers=Tally(0, 2))))
        assert Fact.SEVERAL_DOWN not in found(Evidence(siblings=Siblings(providers=Tally(1, 2))))
        assert Fact.SEVERAL_DOWN not in found(Evidence(siblings=Siblings(providers=Tally(0, 1))))

    def test_other_addresses(self) -> None:
        """One that answers is enough."""
        assert Fact.OTHER_ADDRESSES in found(Evidence(addresses=Tally(1, 2)))
        assert Fact.OTHER_ADDRESSES not in found(Evidence(addresses=Tally(0, 2)))

    def test_incident(self) -> None:
        """One that was read; a feed that cannot be read now says nothing."""
        incident = Incident("1", "high", "SERVICE_OUTAGE", "open", 1.0, "Mail is delayed", "https://example.com")
        known = ProviderStatus("google", (incident,), 1.0)
        assert Fact.INCIDENT in found(Evidence(status=known))
        assert Fact.INCIDENT not in found(Evidence(status=replace(known, fault="no answer")))
        assert Fact.INCIDENT not in found(Evidence(status=replace(known, incidents=())))
