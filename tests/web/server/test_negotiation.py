"""Content negotiation: qvalues, gzip, and the format of an exposition."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.exposition.text import Format
from exporter.web.server.negotiation import accepts_gzip, exposition_format, qvalues

NAMED = "application/openmetrics-text; version=1.0.0"


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
def test_qvalues(header: str, expected: dict[str, float]) -> None:
    """RFC 9110 §12.4.2."""
    assert qvalues(header) == expected


@given(st.text())
def test_any_header_is_read(header: str) -> None:
    """Every qvalue is between 0 and 1."""
    assert all(0 <= qvalue <= 1 for qvalue in qvalues(header).values())


@pytest.mark.parametrize(
    ("accept_encoding", "accepted"),
    [
        ("", False),
        ("identity", False),
        ("gzip", True),
        ("GZIP", True),
        ("deflate, gzip;q=0.5", True),
        ("gzip;q=0", False),
        ("gzip; q=0.0", False),
        ("x-gzipped", False),
        ("gzip;q = 0", False),
        ("identity, gzip;q=0.5", False),
        ("gzip, identity;q=0.5, *;q=0", True),
    ],
)
def test_gzip_is_negotiated(accept_encoding: str, accepted: bool) -> None:
    """Named, its qvalue neither 0 nor below that of no coding."""
    assert accepts_gzip(accept_encoding) is accepted


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        ("", Format.TEXT),
        ("text/plain", Format.TEXT),
        ("*/*", Format.TEXT),
        (f"{NAMED},text/plain;version=0.0.4;q=0.3", Format.OPENMETRICS),
        (f"{NAMED};q=0.6,text/plain;version=0.0.4;q=0.6", Format.OPENMETRICS),
        # Prometheus 3 with scrape_protocols: [PrometheusText0.0.4, OpenMetricsText1.0.0].
        (f"text/plain;version=0.0.4;q=0.6,{NAMED};q=0.5,*/*;q=0.2", Format.TEXT),
        (f"{NAMED};q=0.1,*/*;q=0.5", Format.TEXT),
        (f"{NAMED};q=0.1,*/*;q=0.5,text/plain;q=0", Format.OPENMETRICS),
    ],
)
def test_the_format_follows_the_accept_header(accept: str, chosen: Format) -> None:
    """Text 0.0.4 unless OpenMetrics is named, and its qvalue is not below that of text."""
    assert exposition_format(accept) is chosen
