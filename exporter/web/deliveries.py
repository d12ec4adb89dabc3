"""The deliveries: a page at `/deliveries` with a line for each, from the sender to the folder, and the same as JSON."""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from exporter.model.site import TELEMETRY_PATH
from exporter.monitor.delivery_series import DeliverySeries
from exporter.views.deliveries import failing, history, sentence, series_to_json, state_of, steps, strip
from exporter.views.state import State
from exporter.web.render import CHECK, prepare, render
from exporter.web.server.bodies import Bodies
from exporter.web.server.encoding import Body, make_document, make_page, wants_gzip

_HTML = "text/html; charset=utf-8"
_JSON = "application/json"


@dataclass(slots=True)
class DeliveryPages:
    """The page of all deliveries, and their JSON."""

    deliveries: Iterable[DeliverySeries]
    metrics: str = TELEMETRY_PATH
    """Where the metrics are."""
    check_command: tuple[str, ...] = CHECK
    clock: Callable[[], float] = time.time
    _bodies: Bodies = field(default_factory=Bodies)

    def routes(self) -> list[BaseRoute]:
        """Return the routes."""
        return [Route("/deliveries", self.page), Route("/api/v1/deliveries", self.document)]

    async def page(self, request: Request) -> Response:
        """Answer with the page."""
        gzip = wants_gzip(request)

        async def make() -> Body:
            await prepare()
            return await make_page(self._page(), _HTML, gzip=gzip)

        return (await self._bodies.get(("page", gzip), make)).answer(request)

    async def document(self, request: Request) -> Response:
        """Answer with what is known of each delivery."""
        gzip = wants_gzip(request)

        async def make() -> Body:
            whole = {"generated_at": self.clock(), "deliveries": list(map(series_to_json, self.deliveries))}
            return await make_document(json.dumps(whole, allow_nan=False) + "\n", _JSON, gzip=gzip)

        return (await self._bodies.get(("document", gzip), make)).answer(request)

    def _page(self) -> str:
        known = list(self.deliveries)
        return render(
            "deliveries.html",
            root="",
            here="deliveries",
            icon="down" if failing(known) else "up",
            metrics=self.metrics.removeprefix("/"),
            deliveries=known,
            check_command=shlex.join(self.check_command),
            steps=steps,
            sentence=sentence,
            strip=strip,
            history=history,
            state_of=state_of,
            marks={"ok": State.UP, "bad": State.DOWN, "unknown": State.PENDING},
        )
