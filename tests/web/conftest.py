"""The application, in process."""

from __future__ import annotations

import httpx
import pytest

from exporter.health import Health
from exporter.metrics import ExporterMetrics, Exposition
from exporter.store import Store
from exporter.web.app import application
from exporter.web.lifecycle import Lifecycle
from exporter.web.pages import Pages
from exporter.web.scrape import Scrape


class Site:
    """The pages over a store of the test's own."""

    def __init__(self) -> None:
        self.store = Store()
        self.overdue: list[str] = []
        scrape = Scrape(Exposition(self.store, ExporterMetrics()))
        lifecycle = Lifecycle(self.store, Health(lambda: self.overdue, lambda: 0.0))
        self.transport = httpx.ASGITransport(application(scrape, lifecycle, Pages()))

    async def request(self, path: str, method: str = "GET", **headers: str) -> httpx.Response:
        """Ask for a page."""
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        async with httpx.AsyncClient(transport=self.transport, base_url="http://exporter") as client:
            return await client.request(method, path, headers={"accept-encoding": "identity", **names})


@pytest.fixture
def site() -> Site:
    """Pages with nothing to show yet."""
    return Site()
