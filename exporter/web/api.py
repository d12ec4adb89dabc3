"""For programs: `/metrics`, and the JSON API, which docs/api.md describes."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from exporter.exposition.cache import Exposition
from exporter.monitor.store import Store
from exporter.views.document import series_to_json, summary_to_json
from exporter.views.page import Filter
from exporter.views.state import state_of
from exporter.web.server.encoding import answer_once, negotiated
from exporter.web.time_slices import in_time_slices

_JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Scrape:
    """The answer to Prometheus."""

    exposition: Exposition

    def routes(self) -> list[BaseRoute]:
        """Return the routes."""
        return [Route("/metrics", self.metrics)]

    async def metrics(self, request: Request) -> Response:
        """Answer in the format and the encoding that the scraper asks for."""
        return await negotiated(request, self.exposition.pieces)


@dataclass(slots=True)
class Api:
    """The JSON API."""

    store: Store

    def routes(self) -> list[BaseRoute]:
        """Return the routes."""
        return [Route("/api/v1/endpoints", self.endpoints), Route("/api/v1/endpoints/{name}", self.endpoint)]

    async def endpoints(self, request: Request) -> Response:
        """Answer with all endpoints, or those that the query selects, without their history."""
        now = time.time()
        chosen = Filter.of(request.query_params)
        pieces = [
            json.dumps(series_to_json(series), allow_nan=False)
            async for series in in_time_slices(list(self.store))
            if chosen.admits(series, state_of(series))
        ]
        head = json.dumps(summary_to_json(self.store, now)).removesuffix("}")
        return await answer_once(request, f'{head}, "endpoints": [{", ".join(pieces)}]}}\n'.encode(), _JSON)

    async def endpoint(self, request: Request) -> Response:
        """Answer with one endpoint, with its history and its dialogues."""
        now, name = time.time(), request.path_params["name"]
        found = self.store.of_endpoint(name)
        if not found:
            return await answer_once(request, _dump({"error": f"there is no endpoint {name!r}"}), _JSON, 404)
        endpoints = [series_to_json(series, whole=True) for series in found]
        return await answer_once(request, _dump({**summary_to_json(found, now), "endpoints": endpoints}), _JSON)


def _dump(value: object) -> bytes:
    return (json.dumps(value, allow_nan=False) + "\n").encode()
