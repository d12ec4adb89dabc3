"""`/-/healthy`, `/-/ready` and `/config`: the state of this process; `/-/reload`: reload its files."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from exporter.config.dump import dump
from exporter.model.settings import Config
from exporter.monitor.health import Health
from exporter.monitor.store import Store
from exporter.web.server.bodies import Bodies
from exporter.web.server.encoding import Body, make_document, wants_gzip

KEPT_SECONDS = 60.0
"""Seconds for which `/config` is kept: it is the same until a reload changes the digest."""

OFF = "Reloading over HTTP is switched off: start with --web.enable-lifecycle, or send SIGHUP.\n"


@dataclass(frozen=True, slots=True)
class Lifecycle:
    """Health, readiness, and reload on request."""

    store: Store
    health: Health
    reload: Callable[[], Awaitable[Sequence[str]]] | None = None
    """Reloads, and returns the mistakes, a line each; None where it is not allowed over HTTP."""

    def routes(self) -> list[BaseRoute]:
        """Return the routes."""
        return [
            Route("/-/healthy", self.healthy),
            Route("/-/ready", self.ready),
            Route("/-/reload", self.reload_now, methods=["POST"]),
        ]

    async def healthy(self, _request: Request) -> Response:
        """Answer with 503 and the problems where probes are not completed on time."""
        if problems := self.health.problems():
            return PlainTextResponse("".join(f"{problem}\n" for problem in problems), 503)
        return PlainTextResponse("Healthy.\n")

    async def ready(self, _request: Request) -> Response:
        """Answer with 503 until every target was probed."""
        if waiting := sum(series.last is None for series in self.store):
            return PlainTextResponse(f"{waiting} of {len(self.store)} targets were not probed yet.\n", 503)
        return PlainTextResponse("Ready.\n")

    async def reload_now(self, _request: Request) -> Response:
        """Reload, and answer with the mistakes."""
        if self.reload is None:
            return PlainTextResponse(OFF, 403)
        if mistakes := await self.reload():
            return PlainTextResponse("".join(f"{mistake}\n" for mistake in mistakes), 400)
        return PlainTextResponse("Reloaded.\n")


@dataclass(frozen=True, slots=True)
class Effective:
    """The configuration in force; in place of each secret, where it is read from."""

    config: Callable[[], Config]
    _bodies: Bodies = field(default_factory=Bodies)

    def routes(self) -> list[BaseRoute]:
        """Return the route."""
        return [Route("/config", self.show)]

    async def show(self, request: Request) -> Response:
        """Answer with it in YAML, as text that a browser shows."""
        config, gzip = self.config(), wants_gzip(request)
        body = await self._bodies.get((config.digest, gzip), partial(_describe, config, gzip=gzip), KEPT_SECONDS)
        return body.answer(request)


async def _describe(config: Config, *, gzip: bool) -> Body:
    # In a thread: a thousand endpoints take a good part of a second.
    return await make_document(await asyncio.to_thread(dump, config), "text/plain; charset=utf-8", gzip=gzip)
