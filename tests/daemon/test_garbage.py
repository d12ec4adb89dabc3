"""The garbage collector: paused while much is built."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import suppress

import pytest

from exporter.daemon import garbage


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    """Restore the collector of the tests."""
    thresholds = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*thresholds)
    gc.enable()


@pytest.mark.parametrize("enabled", [True, False])
def test_paused_restores_the_collector(enabled: bool) -> None:
    """After a fault, too."""
    (gc.enable if enabled else gc.disable)()
    with suppress(ZeroDivisionError), garbage.paused():
        assert not gc.isenabled()
        raise ZeroDivisionError
    assert gc.isenabled() is enabled


def test_resume_freezes_all_objects() -> None:
    """And collections are rare from then on."""
    with garbage.paused():
        garbage.resume()
    assert gc.isenabled()
    assert gc.get_threshold() == garbage.THRESHOLDS
    assert gc.get_freeze_count() > 0
