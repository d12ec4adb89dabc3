"""Phase, Reason, Outcome."""

from __future__ import annotations

import dataclasses

import pytest

from exporter.model.outcome import Check, Outcome, Phase, Target, TlsFacts
from exporter.model.reason import Blame, Reason
from exporter.model.settings import IpFamily
from tests.examples import failure, success, target


@pytest.mark.parametrize("reason", [Reason.TIMEOUT, Reason.RESET, Reason.CLOSED])
@pytest.mark.parametrize(
    ("phase", "blame"),
    [
        (Phase.RESOLVE, Blame.NETWORK),
        (Phase.CONNECT, Blame.NETWORK),
        (Phase.TLS, Blame.NETWORK),
        (Phase.GREETING, Blame.PROVIDER),
        (Phase.LOGIN, Blame.PROVIDER),
    ],
)
def test_a_server_that_accepted_and_falls_silent_is_to_blame(reason: Reason, phase: Phase, blame: Blame) -> None:
    """The same end is the network's fault before the connection stands, and the server's afterwards."""
    assert failure(phase=phase, reason=reason).blame is blame


def test_the_blame_of_other_reasons_is_their_own() -> None:
    """Only ends without words depend on the phase."""
    assert failure(phase=Phase.LOGIN, reason=Reason.AUTH_INVALID_CREDENTIALS).blame is Blame.ACCOUNT
    assert failure(phase=Phase.GREETING, reason=Reason.PROTOCOL_VIOLATION).blame is Blame.NETWORK


@pytest.mark.parametrize(
    ("outcome", "up"),
    [
        (success(), True),
        (success(login=True), True),
        (failure(phase=Phase.CONNECT), False),
        (failure(phase=Phase.TLS, reason=Reason.CERTIFICATE_EXPIRED), False),
        (failure(phase=Phase.CAPABILITY, reason=Reason.PROTOCOL_VIOLATION), False),
        (failure(phase=Phase.LOGIN, reason=Reason.AUTH_INVALID_CREDENTIALS), True),
        (failure(phase=Phase.FOLDERS, reason=Reason.FOLDER_HIDDEN), True),
    ],
)
def test_a_refused_login_is_not_an_outage(outcome: Outcome, up: bool) -> None:
    """An endpoint is up once it was reached, secured, greeted and gave its capabilities."""
    assert outcome.up is up


def test_checks_hold_what_was_reached() -> None:
    """A check that was not reached has no result; the one that failed is false, those before it are true."""
    assert success().checks == {Check.REACHABILITY: True, Check.TLS: True, Check.PROTOCOL: True}
    assert success(login=True).checks == dict.fromkeys(Check, True)
    assert failure(phase=Phase.RESOLVE, reason=Reason.DNS_ERROR).checks == {Check.REACHABILITY: False}
    refused = failure(phase=Phase.LOGIN, reason=Reason.AUTH_INVALID_CREDENTIALS)
    assert refused.checks[Check.LOGIN] is False
    assert refused.checks[Check.PROTOCOL] is True
    assert Check.FOLDERS not in refused.checks


def test_the_duration_is_the_sum_of_the_phases() -> None:
    """Time between phases is this program's own, and does not count."""
    outcome = success()
    assert outcome.duration == pytest.approx(0.081)
    assert outcome.duration < outcome.ended_at - outcome.started_at


def test_an_outcome_cannot_be_changed() -> None:
    """What flows through everything is frozen."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        success().detail = "other"  # type: ignore[misc]


def test_both_families_are_two_series() -> None:
    """`both` is probed as IPv4 and as IPv6; any other is one series."""
    both = target(ip_family=IpFamily.BOTH).endpoint
    assert [t.ip_family for t in Target.of(both)] == [IpFamily.IPV4, IpFamily.IPV6]
    assert len({t.key for t in Target.of(both)}) == 2
    assert [t.ip_family for t in Target.of(target().endpoint)] == [IpFamily.ANY]


def test_a_family_is_named_where_there_are_two() -> None:
    """Else the endpoint's name says enough."""
    endpoint = dataclasses.replace(target("mx").endpoint, ip_family=IpFamily.BOTH)
    assert [each.name for each in Target.of(endpoint)] == ["mx (ipv4)", "mx (ipv6)"]
    assert target("mx").name == "mx"


def test_an_address_is_a_host_and_a_port() -> None:
    """An IPv6 address in brackets."""
    assert target().address == "imap.gmail.com:993"
    assert target(host="::1").address == "[::1]:993"


@pytest.mark.parametrize(("verified", "expires"), [(None, 1.0), (3.0, 3.0)])
def test_a_chain_that_was_trusted_ends_when_that_does(verified: float | None, expires: float) -> None:
    """And one that was not, with the first of what was sent."""
    facts = TlsFacts("TLSv1.3", "X", "CN=x", "00", not_after=2.0, chain_not_after=1.0, verified_not_after=verified)
    assert facts.expires_at == expires
