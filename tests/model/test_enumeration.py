"""Enumerations that are tables."""

from __future__ import annotations

import pytest

from exporter.model.enumeration import TableEnum


def test_a_member_is_its_code_and_has_its_values() -> None:
    """The values are in the order of the annotations."""

    class Colour(TableEnum):
        """A table of two rows."""

        wavelength: int
        label: str

        RED = "red", 700, "Red"
        BLUE = "blue", 450, "Blue"

    assert Colour("red") is Colour.RED
    assert (Colour.RED, Colour.RED.value) == ("red", "red")
    assert [(colour.wavelength, colour.label) for colour in Colour] == [(700, "Red"), (450, "Blue")]


def test_a_row_that_lacks_a_value_is_refused() -> None:
    """When the class is defined."""
    with pytest.raises((ValueError, TypeError)):

        class Broken(TableEnum):
            """A table whose row is too short."""

            label: str

            RED = "red"
