"""Plain scalars by YAML 1.2, and the traps of 1.1."""

import math

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from exporter.config.scalar import PlainValue, read_plain


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None), ("~", None), ("null", None), ("Null", None), ("NULL", None), ("nUll", "nUll"),
        ("true", True), ("True", True), ("FALSE", False), ("tRue", "tRue"),
        ("0", 0), ("993", 993), ("-1", -1), ("+7", 7), ("0x1F", 31), ("9" * 50, float("9" * 50)),
        ("1.5", 1.5), (".5", 0.5), ("1.", 1.0), ("1.5e+3", 1500.0), ("-.inf", -math.inf), (".INF", math.inf),
        ("imap", "imap"), ("30s", "30s"), ("127.0.0.1", "127.0.0.1"), ("::1", "::1"), ("no way", "no way"),
        ("1h30m", "1h30m"), ("0x", "0x"), ("-", "-"), ("none", "none"), ("only", "only"), ("<", "<"), ("==", "=="),
        ("2001:db8::1", "2001:db8::1"), ("0xfg", "0xfg"), ("1" * 70 + ":", "1" * 70 + ":"),
    ],
)  # fmt: skip
def test_value(text: str, value: PlainValue) -> None:
    """Scalars that all parsers agree on have the value of YAML 1.2 and are no traps."""
    plain = read_plain(text)
    assert plain.value == value
    assert plain.trap is None
    assert type(plain.value) is type(value)


def test_nan() -> None:
    """YAML's .nan is a number."""
    assert math.isnan(read_plain(".nan").value)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "reading"),
    [
        ("no", "as false"), ("NO", "as false"), ("nO", "as false"), ("n", "as false"), ("off", "as false"),
        ("yes", "as true"), ("Y", "as true"), ("on", "as true"), ("oN", "as true"),
        ("10:30", "as a number to the base 60"), ("1:2:3", "as a number to the base 60"),
        ("-10:30", "as a number to the base 60"), ("10:30.5", "as a number to the base 60"),
        ("010", "as an octal number"), ("-010", "as an octal number"), ("09", "as an octal number"),
        ("00", "as an octal number"), ("0o17", "as text"), ("0b101", "as a binary number"),
        ("0x1_f", "as a number"), ("+0x1f", "as a number"), ("1_000", "as a number"), ("1_0.5", "as a number"),
        ("1e3", "as text"), ("1.5e3", "as text"), (".5e3", "as text"), ("1e-3", "as text"), ("-.5", "as text"),
        ("2026-01-01", "as a date"), ("2026-1-1 10:00:00", "as a date"), ("2026-01-01T10:00:00.5Z", "as a date"),
        ("2026-01-01 10:00:00 +01:00", "as a date"), ("=", "as a default value"), ("<<", "as a merge key"),
    ],
)  # fmt: skip
def test_trap(text: str, reading: str) -> None:
    """A scalar that YAML 1.1 reads differently is a trap; its text does not repeat the scalar."""
    trap = read_plain(text).trap
    assert trap is not None
    assert trap.startswith(f"is read {reading} by some YAML parsers; ")
    assert text not in trap.split(" by some")[0].split()


@given(st.text("0123456789+-._:eExobnNyYofstrue<=~ T", max_size=8))
def test_no_trap_goes_unseen(text: str) -> None:
    """Every scalar that a YAML 1.1 parser reads differently is a trap."""
    plain = read_plain(text)
    try:
        events = list(yaml.parse(f"[{text}]", Loader=yaml.SafeLoader))
        old = yaml.safe_load(f"[{text}]")
    except (yaml.YAMLError, ValueError):
        return
    if len(events) != 7 or getattr(events[3], "value", None) != text or len(old) != 1:
        return  # not one scalar, or not this one
    same = old[0] == plain.value and type(old[0]) is type(plain.value)
    assert same or plain.trap is not None or text.lower().endswith(".nan")
