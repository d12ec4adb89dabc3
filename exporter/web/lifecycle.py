"""`/-/healthy`, `/-/ready`, `/config`: what this process says of itself; `/-/reload`: that it read its files anew."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from exporter.config.dump import dump
from exporter.model.settings import Config
from exporter.monitor.health import Health
from exporter.monitor.store import Store

OFF = "Reloading over HTTP is switched off: start with --web.enable-lifecycle, or send SIGHUP.\n"


@dataclass(frozen=True, slots=True)
class Lifecycle:
    """What this process says of itself, and how it is told to load its configuration anew."""

    store: Store
    health: Health
    reload: Callable[[], Awaitable[Sequence[str]]] | None = None
    """Reloads, and returns the mistakes, a line each; None where nobody may over HTTP."""

    def routes(self) -> list[BaseRoute]:
        """Return what is answered where."""
        return [
            Route("/-/healthy", self.healthy),
            Route("/-/ready", self.ready),
            Route("/-/reload", self.reload_now, methods=["POST"]),
        ]

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

    async def reload_now(self, _request: Request) -> Response:
        """Load the configuration anew, and say what is wrong with it."""
        if self.reload is None:
            return PlainTextResponse(OFF, 403)
        if mistakes := await self.reload():
            return PlainTextResponse("".join(f"{mistake}\n" for mistake in mistakes), 400)
        return PlainTextResponse("Reloaded.\n")


@dataclass(frozen=True, slots=True)
class Effective:
    """What is in effect. A secret is the place where it is, never the secret."""

    config: Callable[[], Config]

    def routes(self) -> list[BaseRoute]:
        """Return what is answered where."""
        return [Route("/config", self.show)]

    async def show(self, _request: Request) -> Response:
        """Print it: text that a browser shows, and that is YAML."""
        # In a thread: a thousand endpoints take a good part of a second.
        return PlainTextResponse(await asyncio.to_thread(dump, self.config()))
