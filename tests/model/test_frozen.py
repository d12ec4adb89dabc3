"""Mappings that cannot change."""

from __future__ import annotations

import pytest

from exporter.model.frozen import FrozenMapping
from exporter.model.settings import Endpoint, Protocol


def test_it_is_a_mapping_in_order() -> None:
    """As a dict is, and shown as one."""
    frozen = FrozenMapping({"b": 1, "a": 2})
    assert list(frozen) == ["b", "a"]
    assert (frozen["a"], len(frozen), repr(frozen)) == (2, 2, "{'b': 1, 'a': 2}")


def test_it_cannot_be_changed() -> None:
    """Neither itself, nor through what it was made from."""
    made_from = {"a": 1}
    frozen = FrozenMapping(made_from)
    made_from["a"] = 2
    assert frozen["a"] == 1
    with pytest.raises(TypeError):
        frozen["a"] = 2  # type: ignore[index]


def test_equal_mappings_have_equal_hashes() -> None:
    """In whatever order; and what is no mapping is not equal."""
    one, other = FrozenMapping({"a": 1, "b": 2}), FrozenMapping({"b": 2, "a": 1})
    assert one == other
    assert hash(one) == hash(other)
    assert one == {"a": 1, "b": 2}
    assert one != FrozenMapping({"a": 1})
    assert one != [("a", 1), ("b", 2)]


def test_a_model_that_holds_one_can_be_hashed() -> None:
    """And its values are checked."""
    endpoint = Endpoint(name="imap", protocol=Protocol.IMAP, host="x", port=1, labels={"tenant": "acme"})
    assert isinstance(endpoint.labels, FrozenMapping)
    assert hash(endpoint) == hash(endpoint.model_copy())
    with pytest.raises(ValueError, match="labels"):
        Endpoint(name="imap", protocol=Protocol.IMAP, host="x", port=1, labels={"tenant": 1})
