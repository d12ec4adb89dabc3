"""What a key of a configuration file is declared with. `schema.py` has the declarations, `section.py` reads by them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from exporter.config.document import Node
    from exporter.config.section import Section

Kind: TypeAlias = "Value | ListOf | Names | Table"
"""What can stand behind a key."""

REQUIRED = "required"


@dataclass(frozen=True, slots=True)
class Value:
    """A single value.

    Attributes:
        words: Its type, for the documentation.
        read: Returns the value of a node in a section; raises `Unacceptable`.
        write: Returns how a file spells a value.
        is_secret: Whether a secret, or the reference to one, stands there: nothing of it is shown in a mistake.
    """

    words: str
    read: Callable[[Node, Section], Any]
    write: Callable[[Any], Any] = str
    is_secret: bool = False


@dataclass(frozen=True, slots=True)
class ListOf:
    """A list of values, each once if it is `unique`. The `example` is part of the mistake of what is no list."""

    words: str
    of: Value
    example: str = ""
    unique: bool = False


@dataclass(frozen=True, slots=True)
class Names:
    """A mapping whose keys are names that the operator chose.

    Attributes:
        check: Raises `Unacceptable` for what cannot be such a name.
        if_null: The mistake of a name without a value; without it, such a name is one that is not given.
    """

    words: str
    of: Value | Table
    check: Callable[[str], None]
    if_null: str = ""


@dataclass(frozen=True, slots=True)
class Key:
    """A key of a table.

    Attributes:
        default: REQUIRED; or the default, for the documentation, if it is not that of the table's model.
        doc: The meaning, for the documentation.
        refused: The mistake of a key that is known but not supported.
        in_effect: Whether the key has any effect, given a whole settings object; if not, it is not written.
    """

    name: str
    kind: Kind
    default: str
    doc: str
    refused: str = ""
    in_effect: Callable[[Any], bool] = lambda _: True


class Table:
    """A mapping with these keys, in the order in which they are written and documented.

    Args:
        model: The settings class with an attribute for each key, whose defaults are those of the keys; None if there is
            no such class.
        keys: The keys.
    """

    words = "mapping"

    def __init__(self, model: Any, *keys: Key) -> None:
        self.model = model
        self.keys: Mapping[str, Key] = MappingProxyType({key.name: key for key in keys})
        self.defaults = {} if model is None else {field.name: _default(field) for field in dataclasses.fields(model)}


def _default(field: dataclasses.Field[Any]) -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return None if field.default is dataclasses.MISSING else field.default
