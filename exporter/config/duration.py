"""Durations as Prometheus writes them: `500ms`, `30s`, `1h30m`, `1d`.

Grammar and order are those of ParseDuration and Duration.String in prometheus/common, model/time.go: whole numbers
only, the units from the largest to the smallest, each at most once, a year of 365 days and a week of 7.
"""

import re
from functools import lru_cache

_MILLISECONDS = {
    "y": 365 * 24 * 60 * 60 * 1000,
    "w": 7 * 24 * 60 * 60 * 1000,
    "d": 24 * 60 * 60 * 1000,
    "h": 60 * 60 * 1000,
    "m": 60 * 1000,
    "s": 1000,
    "ms": 1,
}
_GRAMMAR = re.compile("".join(f"(?:([0-9]+){unit})?" for unit in _MILLISECONDS))

# Prometheus keeps nanoseconds in a signed 64-bit integer.
_MAX_MILLISECONDS = (2**63 - 1) // 1_000_000
# A number with more digits is out of range in any unit; the rest of it is not read.
_MAX_DIGITS = 19


def parse_duration(text: str) -> float:
    """Return the duration in seconds.

    Raises:
        ValueError: The text is not a duration, or one of more than 292 years.
    """
    if text == "0":
        return 0.0
    match = _GRAMMAR.fullmatch(text)
    if match is None or not text:
        raise ValueError("not a duration")
    total = 0
    for digits, unit in zip(match.groups(), _MILLISECONDS.values(), strict=True):
        significant = (digits or "").lstrip("0")
        total += int(significant[: _MAX_DIGITS + 1] or "0") * unit
    if total > _MAX_MILLISECONDS:
        raise ValueError("a duration out of range")
    return total / 1000


@lru_cache(maxsize=256)
def format_duration(seconds: float) -> str:
    """Return the shortest text that Prometheus would write for the duration, to the millisecond.

    Years and weeks are used only for a whole number of them, as in Prometheus: 90d reads better than 12w6d.

    Raises:
        ValueError: The duration is negative or not a number.
    """
    if not seconds >= 0:
        raise ValueError("a duration is never negative")
    rest = round(seconds * 1000)
    if rest == 0:
        return "0s"
    text = ""
    for unit, length in _MILLISECONDS.items():
        if unit in {"y", "w"} and rest % length:
            continue
        count, rest = divmod(rest, length)
        if count:
            text += f"{count}{unit}"
    return text
