"""How much a client wants what, as Accept and Accept-Encoding say it (RFC 9110 §12.4.2)."""

from __future__ import annotations

import re
from collections.abc import Mapping

_WEIGHT = re.compile(r"q *= *([0-9](?:\.[0-9]*)?)")


def weights(header: str) -> Mapping[str, float]:
    """Return the weights, from 0 (never) to 1, of what a header names: in small letters and without parameters.

    What has no weight, or one that is none, has 1; what is named several times, for each of its versions, the largest.
    """
    found: dict[str, float] = {}
    for element in header.lower().split(","):
        name, *parameters = (part.strip() for part in element.split(";"))
        weight = next((float(match[1]) for match in map(_WEIGHT.fullmatch, parameters) if match), 1.0)
        found[name] = max(found.get(name, 0.0), min(weight, 1.0))
    return found
