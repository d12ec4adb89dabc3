"""What `doctor` found, and its one sentence."""

from __future__ import annotations

import pytest

from exporter.model.diagnosis import Diagnosis, Finding, Result, Step

DOWN = Finding(Step.PORTS, Result.CAUSE, "port 993 does not answer", ("timeout",), "network", "Look for a firewall.")


def diagnosis(*findings: Finding) -> Diagnosis:
    """The findings of a mailbox."""
    return Diagnosis("probe@gmail.com", 1_700_000_000.0, findings)


@pytest.mark.parametrize(
    ("findings", "sentence"),
    [
        ((DOWN,), "port 993 does not answer (network)."),
        ((Finding(Step.LOGIN, Result.CAUSE, "the login is refused"),), "the login is refused."),
        (
            (Finding(Step.DNS, Result.WELL, "x"), Finding(Step.LOGIN, Result.LEFT_OUT, "no password")),
            "Nothing is wrong up to the login, which was not tried.",
        ),
        (
            (Finding(Step.LOGIN, Result.WELL, "x"), Finding(Step.FOLDERS, Result.NOTE, "Sent is hidden")),
            "Nothing is wrong up to the mailbox: a mail client with the settings above can use it.",
        ),
    ],
)
def test_sentence(findings: tuple[Finding, ...], sentence: str) -> None:
    """It names the cause and its fault, or how far nothing is wrong."""
    assert diagnosis(*findings).sentence == sentence


def test_cause() -> None:
    """Notes are none; the first cause is the one that counts."""
    note, later = Finding(Step.DNS, Result.NOTE, "slow"), Finding(Step.LOGIN, Result.CAUSE, "refused")
    assert diagnosis(note).cause is None
    assert diagnosis(note, DOWN, later).cause is DOWN


def test_steps() -> None:
    """Every step has a heading, every result a sign of its own."""
    assert len({step.heading for step in Step}) == len(Step)
    assert len({result.sign for result in Result}) == len(Result)
    assert all(len(result.sign) == 1 for result in Result)
