"""`/config`: the configuration in effect, as `gmail-exporter config` prints it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from exporter.config import Config, dump


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
