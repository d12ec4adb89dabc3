"""Tokens: only who has the key makes one that is known."""

from __future__ import annotations

from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.deliveries.tokens import Tokens

TOKENS = Tokens(b"key")
TOKEN = TOKENS.new(1_700_000_000.7)


def header(message_id: str) -> bytes:
    """A header with this Message-ID."""
    return f"Received: by a; x\r\nMESSAGE-id: {message_id}\r\n\r\n".encode()


def test_ours() -> None:
    """A token is known again, with its time, also where the field is folded."""
    assert TOKENS.read(header(f"<{TOKEN}@example.com>")) == (TOKEN, 1_700_000_000.0)
    assert TOKENS.read(header(f"\r\n <{TOKEN}@example.com>")) == (TOKEN, 1_700_000_000.0)
    assert Tokens(b"key").read(header(f"<{TOKEN}@example.com>")) is not None
    assert TOKENS.new(1) != TOKENS.new(1)


@pytest.mark.parametrize(
    "message_id",
    [
        "",
        TOKEN,
        f"<{TOKEN}>",
        f"<{TOKEN}@>",
        f"<x{TOKEN}@example.com>",
        f"<{TOKEN}0@example.com>",
        f"<{TOKEN}@example.com> <other@example.com>",
        f"<{TOKEN.replace('1700000000', '1700000001')}@example.com>",
        f"<{TOKEN[:-1]}{'0' if TOKEN[-1] != '0' else '1'}@example.com>",
        f"<{Tokens(b'other').new(1_700_000_000)}@example.com>",
        f"<{TOKEN}@example.com>\r\nMessage-ID: <{TOKEN}@example.com>",
    ],
    ids=map(str, count()),  # the processes of one run have different tokens, and must have the same tests
)
def test_not_ours(message_id: str) -> None:
    """Another key, another time, more than one Message-ID: not one of ours."""
    assert TOKENS.read(header(message_id)) is None


def test_a_token_elsewhere() -> None:
    """A token in another field, as in an answer to our message, or in the text, makes no message ours."""
    assert TOKENS.read(f"In-Reply-To: <{TOKEN}@example.com>\r\nMessage-ID: <a@b>\r\n\r\n".encode()) is None
    assert TOKENS.read(f"Subject: x\r\n\r\nMessage-ID: <{TOKEN}@example.com>\r\n".encode()) is None


@given(st.binary(max_size=500))
def test_anything(octets: bytes) -> None:
    """Any header is read without a fault, and is not ours."""
    assert TOKENS.read(octets) is None
    assert TOKENS.read(b"Message-ID: " + octets) is None
