"""The facts of a verdict, and the words for what TCP saw."""

from __future__ import annotations

import pytest

from exporter.model.evidence import (
    ControlKind,
    ControlState,
    Evidence,
    Hop,
    PathEnd,
    ProviderStatus,
    Tally,
    TcpEvidence,
    TcpFinding,
    Trace,
)


@pytest.mark.parametrize("finding", TcpFinding)
def test_sentence(finding: TcpFinding) -> None:
    """Each finding is one sentence, and each number that is known stands behind it."""
    assert finding.sentence.endswith(".")
    assert str(TcpEvidence(finding)) == finding.sentence
    assert str(TcpEvidence(finding, received=1234)) == f"{finding.sentence} (1,234 octets received)"


def test_the_last_answer_of_a_trace() -> None:
    """It is the last hop with an address, or the one that ended it; none where nothing ever answered."""
    hops = Hop(1, "192.0.2.1", 0.001), Hop(2, None, None), Hop(3, "192.0.2.3", 0.01), Hop(4, None, None)
    assert Trace("192.0.2.9", 993, hops, PathEnd.NOTHING, None, 1.0).last_answer == 3
    assert Trace("192.0.2.9", 993, hops[1:2], PathEnd.NOTHING, None, 1.0).last_answer is None
    assert Trace("192.0.2.9", 993, (), PathEnd.RST, 1, 1.0).last_answer == 1


def test_tally() -> None:
    """Of nothing, not all are down."""
    assert Tally(1, 2) + Tally(3, 4) == Tally(4, 6)
    assert Tally(4, 6) - Tally(3, 4) == Tally(1, 2)
    assert [tally.all_down for tally in (Tally(), Tally(0, 1), Tally(1, 1))] == [False, True, False]


def test_a_status_that_cannot_be_read_is_not_known() -> None:
    """Nor is one that was never read; what was read before is kept."""
    assert ProviderStatus("google", read_at=1.0).is_known
    assert not ProviderStatus("google", read_at=1.0, fault="no answer").is_known
    assert not ProviderStatus("google").is_known


def test_controls_of_a_kind() -> None:
    """A control speaks for the version of IP that it was looked at over; where its name did not resolve, for all."""
    four, six, unresolved = (
        ControlState(f"ipv{version}", ControlKind.NEUTRAL, "192.0.2.1", 443, ip_version=version)
        for version in (4, 6, None)
    )
    web = ControlState("web", ControlKind.PROVIDER_WEB, "www.google.com", 443, ip_version=4)
    evidence = Evidence(controls=(four, six, unresolved, web))
    assert evidence.of_kind(ControlKind.NEUTRAL) == [four, six, unresolved]
    assert evidence.of_kind(ControlKind.NEUTRAL, 6) == [six, unresolved]
    assert evidence.of_kind(ControlKind.PROVIDER_WEB, 6) == []
