"""The value of a plain YAML scalar by YAML 1.2, and whether YAML 1.1 reads another: a trap.

YAML 1.2.2 §10.3.2 (core schema) against the YAML 1.1 type repository (bool, int, float, timestamp, value, merge).
"""

import re
from functools import lru_cache
from typing import NamedTuple

PlainValue = str | int | float | bool | None

# YAML 1.2.2 §10.3.2, "Tag Resolution".
_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_BOOL = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INT = re.compile(r"[-+]?[0-9]+")
_OCTAL_OR_HEX = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(
    r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"
)

# More digits than any key needs; Python refuses to convert thousands of them.
_MAX_DIGITS = 40

# https://yaml.org/type/: how 1.1 reads a scalar that 1.2 reads in another way; the first that fits counts.
_FALSE = re.compile(r"n|no|off", re.IGNORECASE)
_TRUE = re.compile(r"y|yes|on", re.IGNORECASE)
_TRAPS = (
    (re.compile(r"[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?"), "as a number to the base 60", "put it in quotes"),
    (re.compile(r"[-+]?0_*[0-9][0-9_]*"), "as an octal number", "drop the leading zero, or put it in quotes"),
    (re.compile(r"0o[0-7]+"), "as text", "write the number to the base 10, or put it in quotes"),
    (re.compile(r"[-+]?0b[01_]+"), "as a binary number", "put it in quotes"),
    (re.compile(r"[-+]0x[0-9a-fA-F_]+|0x(?=.*_)[0-9a-fA-F_]+"), "as a number", "put it in quotes"),
    (
        re.compile(r"(?=.*_)[-+]?(?:[0-9][0-9_]*(?:\.[0-9_]*)?|\.[0-9][0-9_]*)(?:[eE][-+]?[0-9]+)?"),
        "as a number",
        "drop the underscores, or put it in quotes",
    ),
    (
        re.compile(
            r"[-+]?(?:[0-9]+(?:\.[0-9]*)?[eE][0-9]+|[0-9]+[eE][-+][0-9]+|[-+]\.[0-9]+(?:[eE][-+]?[0-9]+)?|\.[0-9]+[eE][0-9]+)"
        ),
        "as text",
        "write the number in full, or put it in quotes",
    ),
    (
        re.compile(
            r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
            r"|[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:[Tt]|[ \t]+)[0-9]{1,2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]*)?"
            r"(?:[ \t]*(?:Z|[-+][0-9]{1,2}(?::?[0-9]{2})?))?"
        ),
        "as a date",
        "put it in quotes",
    ),
    (re.compile(r"="), "as a default value", "put it in quotes"),
    (re.compile(r"<<"), "as a merge key", "put it in quotes"),
)
_SUSPECTS = frozenset("0123456789+-.=<~ynotfYNOTF")  # what anything but text can start with
_MAX_TRAP_LENGTH = 64


class Plain(NamedTuple):
    """A plain scalar as YAML 1.2 reads it; `trap` is the mistake to report if YAML 1.1 reads it differently."""

    value: PlainValue
    trap: str | None = None


@lru_cache(maxsize=4096)
def read_plain(text: str) -> Plain:
    """Return the value of a plain scalar, and its trap, in a text that does not repeat the scalar."""
    if text and text[0] not in _SUSPECTS:
        return Plain(text)
    if text in _NULL:
        return Plain(None)
    if text in _BOOL:
        return Plain(_BOOL[text])
    return Plain(_number(text), _trap(text))


def _number(text: str) -> PlainValue:
    if len(text) <= _MAX_DIGITS:
        if _INT.fullmatch(text):
            return int(text)
        if _OCTAL_OR_HEX.fullmatch(text):
            return int(text, 0)
    if _FLOAT.fullmatch(text):
        # Python writes these two without the dot.
        return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
    return text


def _trap(text: str) -> str | None:
    if len(text) > _MAX_TRAP_LENGTH:
        return None
    if _FALSE.fullmatch(text):
        return "is read as false by some YAML parsers; put it in quotes"
    if _TRUE.fullmatch(text):
        return "is read as true by some YAML parsers; put it in quotes"
    for pattern, reading, advice in _TRAPS:
        if pattern.fullmatch(text):
            return f"is read {reading} by some YAML parsers; {advice}"
    return None
