"""Content negotiation: what a client accepts, and how much (RFC 9110 §12)."""

from __future__ import annotations

import re
from collections.abc import Mapping

from exporter.exposition.text import Format

_QVALUE = re.compile(r"q *= *([0-9](?:\.[0-9]*)?)")


def qvalues(header: str) -> Mapping[str, float]:
    """Return the qvalue of each name in Accept or Accept-Encoding, from 0 (never) to 1 (RFC 9110 §12.4.2).

    Names are in small letters, without parameters. A name without a valid qvalue has 1; one that is named several
    times, for each of its versions, has the largest.
    """
    found: dict[str, float] = {}
    for element in header.lower().split(","):
        name, *parameters = (part.strip() for part in element.split(";"))
        qvalue = next((float(match[1]) for match in map(_QVALUE.fullmatch, parameters) if match), 1.0)
        found[name] = max(found.get(name, 0.0), min(qvalue, 1.0))
    return found


def accepts_gzip(accept_encoding: str) -> bool:
    """Whether gzip is named, and its qvalue is neither 0 nor below that of no coding at all (RFC 9110 §12.5.3)."""
    accepted = qvalues(accept_encoding)
    gzip = accepted.get("gzip", 0)
    return gzip > 0 and gzip >= accepted.get("identity", 0)


def exposition_format(accept: str) -> Format:
    """Return OpenMetrics where it is named and its qvalue is not below that of text (RFC 9110 §12.5.1), else text."""
    accepted = qvalues(accept)
    openmetrics = accepted.get("application/openmetrics-text", 0)
    text = next((accepted[name] for name in ("text/plain", "text/*", "*/*") if name in accepted), 0)
    return Format.OPENMETRICS if openmetrics > 0 and openmetrics >= text else Format.TEXT
