"""Weights of what a client accepts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.exposition.qvalues import weights


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("gzip", {"gzip": 1}),
        ("GZIP;Q=0.5, identity", {"gzip": 0.5, "identity": 1}),
        ("gzip; q = 0.5 ,br;q=0,deflate;q=0.000", {"gzip": 0.5, "br": 0, "deflate": 0}),
        ("text/plain;version=0.0.4;q=0.3,text/plain;version=1.0.0;q=0.4,*/*;q=0.2", {"text/plain": 0.4, "*/*": 0.2}),
        ("a;q=1.000,b;q=7,c;q=-1,d;q=,e;q=x,f;q=1e-9", {"a": 1, "b": 1, "c": 1, "d": 1, "e": 1, "f": 1}),
        ("a;q=0;q=1", {"a": 0}),
        ("", {"": 1}),
    ],
)
def test_what_a_header_says(header: str, expected: dict[str, float]) -> None:
    """RFC 9110 §12.4.2: from 0, which is never, to 1, which is usual."""
    assert weights(header) == expected


@given(st.text())
def test_any_header_is_read(header: str) -> None:
    """Whatever a client sends; no weight is beyond the bounds."""
    assert all(0 <= weight <= 1 for weight in weights(header).values())
