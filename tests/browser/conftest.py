"""The browser that all tests of this directory use."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests.servers.browser import chromium
from tests.waiting import PATIENCE


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """One for all. Its library runs an event loop in this thread while it is open: no test here can be asynchronous."""
    expect.set_options(timeout=1000 * PATIENCE)
    with chromium() as started:
        yield started
