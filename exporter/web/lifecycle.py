"""`/-/healthy` and `/-/ready`, for whoever decides whether this process lives and is asked."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from exporter.health import Health
from exporter.store import Store


@dataclass(frozen=True, slots=True)
class Lifecycle:
    """What this process says of itself."""

    store: Store
    health: Health

    def routes(self) -> list[BaseRoute]:
        """Return what is answered where."""
        return [Route("/-/healthy", self.healthy), Route("/-/ready", self.ready)]

    async def healthy(self, _request: Request) -> Response:
        """Say whether probes are being completed on time."""
        if problems := self.health.problems():
            return PlainTextResponse("".join(f"{problem}\n" for problem in problems), 503)
        return PlainTextResponse("Healthy.\n")

    async def ready(self, _request: Request) -> Response:
        """Say whether every target was probed."""
        if waiting := sum(series.last is None for series in self.store):
            return PlainTextResponse(f"{waiting} of {len(self.store)} targets were not probed yet.\n", 503)
        return PlainTextResponse("Ready.\n")
