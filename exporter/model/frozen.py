"""A mapping that cannot change and can be hashed, so that a model that holds one can be compared and hashed too."""

from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

V = TypeVar("V")


class FrozenMapping(Mapping[str, V]):
    """An immutable mapping in insertion order; equal to any mapping with the same items."""

    __slots__ = ("_items",)

    def __init__(self, items: Mapping[str, V] | None = None) -> None:
        self._items: dict[str, V] = dict(items or {})

    def __getitem__(self, key: str) -> V:
        return self._items[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __eq__(self, other: object) -> bool:
        return self._items == dict(other) if isinstance(other, Mapping) else NotImplemented

    def __hash__(self) -> int:
        return hash(frozenset(self._items.items()))

    def __repr__(self) -> str:
        return repr(self._items)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Validate like a plain mapping of the same types, then freeze; serialise as a dict."""
        arguments = getattr(source, "__args__", (Any,))
        return core_schema.no_info_after_validator_function(
            cls,
            core_schema.no_info_before_validator_function(
                dict, core_schema.dict_schema(core_schema.str_schema(), handler.generate_schema(arguments[0]))
            ),
            serialization=core_schema.plain_serializer_function_ser_schema(dict),
        )
