"""The symptom of every pair of phase and reason."""

from __future__ import annotations

from dataclasses import replace

import pytest

from exporter.model.evidence import TcpEvidence, TcpFinding
from exporter.model.outcome import Phase
from exporter.model.reason import Blame, Reason
from exporter.verdict.symptom import CERTAIN, CONNECTED, TOLD, Symptom, symptom_of, symptom_of_pair
from tests.examples import failure

FAILURES = [reason for reason in Reason if reason is not Reason.OK]


@pytest.mark.parametrize("reason", FAILURES)
def test_every_pair_has_a_symptom(reason: Reason) -> None:
    """In every phase; one that needs no evidence is of a reason that says who is at fault, and only of such."""
    for phase in Phase:
        symptom = symptom_of_pair(phase, reason)
        assert isinstance(symptom, Symptom)
        says_so_itself = symptom in CERTAIN or symptom is Symptom.FAULT
        assert says_so_itself is (reason.blame is not Blame.UNKNOWN and symptom is not Symptom.NO_ROUTE)


@pytest.mark.parametrize("symptom", Symptom)
def test_every_symptom_is_used(symptom: Symptom) -> None:
    """By a pair of phase and reason, or by what TCP saw."""
    pairs = {symptom_of_pair(phase, reason) for phase in Phase for reason in FAILURES}
    assert symptom in pairs


@pytest.mark.parametrize(
    ("phase", "reason", "symptom"),
    [
        (Phase.RESOLVE, Reason.TIMEOUT, Symptom.NAME),
        (Phase.CONNECT, Reason.TIMEOUT, Symptom.UNANSWERED),
        (Phase.TLS, Reason.TIMEOUT, Symptom.SILENT),
        (Phase.GREETING, Reason.CLOSED, Symptom.CLOSED),
        (Phase.CONNECT, Reason.RESET, Symptom.REFUSED),
        (Phase.GREETING, Reason.RESET, Symptom.CLOSED),
        (Phase.CONNECT, Reason.UNREACHABLE, Symptom.UNREACHABLE),
        (Phase.LOGIN, Reason.UNREACHABLE, Symptom.LOST),
        (Phase.LOGIN, Reason.TIMEOUT, Symptom.SILENT),
        (Phase.LOGIN, Reason.AUTH_TEMPORARY, Symptom.FAULT),
        (Phase.CAPABILITY, Reason.EHLO_THROTTLED, Symptom.HELD_BACK),
        (Phase.RESOLVE, Reason.FILES_USED_UP, Symptom.NOT_TRIED),
        (Phase.CONNECT, Reason.INTERNAL, Symptom.EXPORTER),
        (Phase.LOGIN, Reason.AUTH_INVALID_CREDENTIALS, Symptom.ACCOUNT),
        (Phase.RESOLVE, Reason.MX_ADDRESS_LITERAL, Symptom.DOMAIN),
        (Phase.TLS, Reason.MTA_STS_CERTIFICATE, Symptom.DOMAIN),
        (Phase.TLS, Reason.DANE_MISMATCH, Symptom.DOMAIN),
    ],
)
def test_pairs(phase: Phase, reason: Reason, symptom: Symptom) -> None:
    """What ended the session is read together with when."""
    assert symptom_of_pair(phase, reason) is symptom


@pytest.mark.parametrize("reason", [Reason.TIMEOUT, Reason.RESET])
def test_what_was_never_acknowledged_is_lost(reason: Reason) -> None:
    """The server may never have been asked: that is no silence of its."""
    outcome = failure(phase=Phase.GREETING, reason=reason)
    lost, silent = (
        replace(outcome, observed=replace(outcome.observed, tcp=TcpEvidence(finding)))
        for finding in (TcpFinding.UNACKNOWLEDGED, TcpFinding.SILENT)
    )
    assert symptom_of(lost) is Symptom.LOST
    assert symptom_of(silent) in (Symptom.SILENT, Symptom.CLOSED)


def test_kinds() -> None:
    """No symptom of a connection that was made is one that needs no evidence."""
    assert CONNECTED.isdisjoint(TOLD)
