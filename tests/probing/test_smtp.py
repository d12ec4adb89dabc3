"""SMTP by transcripts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from exporter.model.settings import Protocol
from tests.probing.transcript import cases, load, replay

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("path", [pytest.param(path, id=path.stem) for path in cases(Protocol.SMTP)])
def test_transcript(path: Path) -> None:
    """The session goes as its transcript says, and shows what it expects."""
    transcript = load(path)
    facts = replay(transcript).facts()
    assert {key: facts[key] for key in transcript.expected} == transcript.expected
