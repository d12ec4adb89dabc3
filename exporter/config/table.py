"""How keys of a configuration file are declared. The declarations are in `schema.py`; `section.py` reads by them."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TypeAlias

from exporter.config.mistake import Position
from exporter.config.nodes import Node
from exporter.config.source import ConfigFiles

Kind: TypeAlias = "Value | ListOf | Names | Table"
"""What the value of a key can be."""

REQUIRED = "required"


class Context(typing.Protocol):
    """What the reader of a value may ask of the section that the value is in."""

    @property
    def files(self) -> ConfigFiles:
        """The files that the configuration file names."""

    def given(self, key: str) -> bool:
        """Return whether the key has a value in this section."""

    def is_trap(self, position: Position) -> bool:
        """Return whether a mistake is reported at the position already."""


@dataclass(frozen=True, slots=True)
class Value:
    """A single value.

    Attributes:
        doc_type: Its type, for the documentation.
        read: Returns the value of a node in a section; raises `Unacceptable`.
        write: Returns how a file spells a value.
        is_secret: Whether it is a secret, or the reference to one: nothing of it is shown in a mistake.
    """

    doc_type: str
    read: Callable[[Node, Context], Any]
    write: Callable[[Any], Any] = str
    is_secret: bool = False


@dataclass(frozen=True, slots=True)
class ListOf:
    """A list of values.

    Attributes:
        example: Shown in the mistake of a value that is no list.
        unique: Whether each value may be there only once.
    """

    doc_type: str
    of: Value
    example: str = ""
    unique: bool = False


@dataclass(frozen=True, slots=True)
class Names:
    """A mapping whose keys are names that the operator chose.

    Attributes:
        check: Raises `Unacceptable` for a name that is not allowed.
        if_null: The mistake of a name without a value; "" if such a name counts as one that is not given.
    """

    doc_type: str
    of: Value | Table
    check: Callable[[str], None]
    if_null: str = ""


@dataclass(frozen=True, slots=True)
class Key:
    """A key of a table.

    Attributes:
        default: REQUIRED; or the default, for the documentation; "" for the default of the table's model.
        doc: The meaning, for the documentation.
        refused: The mistake of a key that is known but not supported.
        in_effect: Whether the key has any effect, given a whole settings object; if not, it is not written.
        field: The attribute of the table's model, where that has another name.
    """

    name: str
    kind: Kind
    default: str
    doc: str
    refused: str = ""
    in_effect: Callable[[Any], bool] = lambda _: True
    field: str = ""

    @property
    def attribute(self) -> str:
        """The attribute of the model that has its value."""
        return self.field or self.name


class Table:
    """A mapping with these keys, in the order in which they are written and documented.

    Args:
        model: The settings class with an attribute for each key, whose defaults are those of the keys; None if there is
            no such class.
        keys: The keys.
    """

    doc_type = "mapping"

    def __init__(self, model: Any, *keys: Key) -> None:
        self.model = model
        self.keys: Mapping[str, Key] = MappingProxyType({key.name: key for key in keys})
        self.defaults = {} if model is None else {field.name: _default(field) for field in dataclasses.fields(model)}


def _default(field: dataclasses.Field[Any]) -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return None if field.default is dataclasses.MISSING else field.default
