"""IMAP, by transcripts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from exporter.model.settings import Protocol
from tests.probing.transcript import cases, play

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("path", cases(Protocol.IMAP), ids=lambda path: path.stem)
def test_transcript(path: Path) -> None:
    """The session matches its transcript, has the expected result, and follows the rules of all sessions."""
    play(path)
