"""SMTP, by transcripts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from exporter.model.settings import Protocol
from exporter.probing.smtp import address_literal
from tests.probing.transcript import cases, play

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("path", cases(Protocol.SMTP), ids=lambda path: path.stem)
def test_transcript(path: Path) -> None:
    """The session matches its transcript, has the expected result, and follows the rules of all sessions."""
    play(path)


@pytest.mark.parametrize(
    ("address", "literal"),
    [("192.0.2.1", "[192.0.2.1]"), ("2001:db8::1", "[IPv6:2001:db8::1]"), ("fe80::1%eth0", "[IPv6:fe80::1]")],
)
def test_address_literal(address: str, literal: str) -> None:
    """What EHLO says of a client without a name, whatever its address."""
    assert address_literal(address) == literal
