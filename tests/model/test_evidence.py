"""The words for what TCP saw."""

from __future__ import annotations

import pytest

from exporter.model.evidence import TcpEvidence, TcpFinding


@pytest.mark.parametrize("finding", TcpFinding)
def test_sentence(finding: TcpFinding) -> None:
    """Each finding is one sentence, and each number that is known stands behind it."""
    assert finding.sentence.endswith(".")
    assert str(TcpEvidence(finding)) == finding.sentence
    assert str(TcpEvidence(finding, received=1234)) == f"{finding.sentence} (1,234 octets received)"
