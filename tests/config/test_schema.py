"""The tables of keys, against the settings that are made of them."""

import dataclasses

import pytest

from exporter.config.schema import (
    ACCOUNT,
    CONTROL,
    DEFAULTS,
    ENDPOINT,
    MODULE,
    OAUTH2,
    PROBE,
    STATUS,
    TLS,
    TRACE,
    VERDICT,
)
from exporter.config.table import REQUIRED, Table

WHOLE = [ACCOUNT, CONTROL, ENDPOINT, MODULE, OAUTH2, PROBE, STATUS, TLS, TRACE, VERDICT]
"""The tables that have every attribute of their settings."""


@pytest.mark.parametrize("table", [*WHOLE, DEFAULTS], ids=lambda t: t.model.__name__)
def test_keys_are_attributes(table: Table) -> None:
    """Every key fills an attribute, and one that may be left out has a default, or follows from others."""
    attributes = {field.name: field for field in dataclasses.fields(table.model)}
    assert set(table.keys) <= set(attributes)
    for key in table.keys.values():
        field = attributes[key.name]
        has_default = field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING
        assert (key.default == REQUIRED) is not has_default or (key.name == "port" and table is not CONTROL)


@pytest.mark.parametrize("table", WHOLE, ids=lambda t: t.model.__name__)
def test_attributes_have_keys(table: Table) -> None:
    """Every attribute has a key, but for the name, which is one, and for what a command asks for."""
    assert {field.name for field in dataclasses.fields(table.model)} - set(table.keys) <= {"name", "newest"}
