"""The tables of keys, against the settings that are made of them."""

import dataclasses

import pytest

from exporter.config.schema import ACCOUNT, DEFAULTS, ENDPOINT, MODULE, OAUTH2, PROBE, TLS
from exporter.config.table import REQUIRED, Table


@pytest.mark.parametrize(
    "table", [ACCOUNT, DEFAULTS, ENDPOINT, MODULE, OAUTH2, PROBE, TLS], ids=lambda t: t.model.__name__
)
def test_keys_are_attributes(table: Table) -> None:
    """Every key fills an attribute, and one that may be left out has a default, or follows from others."""
    attributes = {field.name: field for field in dataclasses.fields(table.model)}
    assert set(table.keys) <= set(attributes)
    for key in table.keys.values():
        field = attributes[key.name]
        has_default = field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING
        assert (key.default == REQUIRED) is not has_default or key.name == "port"


@pytest.mark.parametrize("table", [ACCOUNT, ENDPOINT, MODULE, OAUTH2, PROBE, TLS], ids=lambda t: t.model.__name__)
def test_attributes_have_keys(table: Table) -> None:
    """Every attribute has a key."""
    assert {field.name for field in dataclasses.fields(table.model)} - set(table.keys) <= {"name"}
