"""When Python's cyclic garbage collector may run.

It looks for groups of objects that only refer to each other. Imports, the nodes of a configuration file and all that
the daemon is built of are hundreds of thousands of objects that stay: the collector would visit them over and over and
find nothing, for a third of the time of loading 5,000 endpoints. A probe that goes well leaves no such group;
one that fails may, and a collection is a pause for everything else.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

THRESHOLDS = (10_000, 10, 10)
"""Of the three generations, while the daemon runs."""


@contextmanager
def paused() -> Iterator[None]:
    """Disable the collector inside the block, where many objects are created."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def resume() -> None:
    """Enable the collector, to run rarely, and exclude all objects that exist now."""
    gc.set_threshold(*THRESHOLDS)
    gc.freeze()
    gc.enable()
