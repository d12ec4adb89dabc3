"""Times and durations as people read them."""

from __future__ import annotations

from datetime import UTC, datetime


def span(seconds: float) -> str:
    """Return a duration in one unit, rounded."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"


_FIRST, _LAST = -62135596800, 253402300799  # the years 1 and 9999, which datetime ends with


def _at(unix: float) -> datetime:
    """Return the time; the first or the last that can be written where it is before or after that.

    A certificate and the file of the login budget may have any.
    """
    return datetime.fromtimestamp(round(min(max(_FIRST, unix), _LAST)), UTC)


def iso(unix: float) -> str:
    """Return a time in Unix seconds as ISO 8601."""
    return _at(unix).isoformat().removesuffix("+00:00") + "Z"


def utc(unix: float) -> str:
    """Return a time in Unix seconds with its date."""
    return _at(unix).isoformat(" ").removesuffix("+00:00") + " UTC"


def short(unix: float) -> str:
    """Return a time in Unix seconds without its year, in UTC."""
    return f"{_at(unix):%m-%d %H:%M}"


def clock(unix: float) -> str:
    """Return the time of day, in UTC."""
    return f"{_at(unix):%H:%M}"


def milliseconds(seconds: float) -> str:
    """Return a duration in milliseconds to two or three digits, a long one in seconds."""
    ms = seconds * 1000
    if ms >= 10_000:
        return f"{seconds:.1f} s"
    return f"{ms:,.0f} ms" if ms >= 10 else f"{ms:.1f} ms"
