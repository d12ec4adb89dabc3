"""An enumeration that is a table: each member is a row with more values than its code."""

from __future__ import annotations

from enum import StrEnum
from typing import Self


class TableEnum(StrEnum):
    """A StrEnum whose members are rows of a table: the code, then a value for each annotation of the class."""

    def __new__(cls, code: str, *values: object) -> Self:
        """Make a member whose value is `code`."""
        member = str.__new__(cls, code)
        member._value_ = code
        for name, value in zip(cls.__annotations__, values, strict=True):
            setattr(member, name, value)
        return member
