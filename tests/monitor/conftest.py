"""The event loops of these tests."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

import pytest

from tests.monitor.virtual import VirtualLoop


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Run the tests of what happens over time in virtual time, and those with servers in real time."""
    if item.path.name in {"test_schedule.py", "test_changes.py", "test_gathering.py"}:
        return {"virtual": VirtualLoop}
    return {"asyncio": asyncio.new_event_loop}
