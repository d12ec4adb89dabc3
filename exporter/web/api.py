"""For programs: `/metrics`, and the JSON API, which docs/api.md describes."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from exporter.exposition.cache import Exposition
from exporter.exposition.text import Format
from exporter.model.site import TELEMETRY_PATH
from exporter.monitor.mail_domains import MailDomains
from exporter.monitor.store import Store
from exporter.views.document import series_to_json, summary_to_json
from exporter.views.domain import domain_to_json, view_of
from exporter.views.page import Filter
from exporter.views.state import state_of
from exporter.web.server.bodies import Bodies
from exporter.web.server.encoding import Body, make_document, make_exposition, wanted_format, wants_gzip
from exporter.web.time_slices import in_time_slices

_JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Scrape:
    """The answer to Prometheus."""

    exposition: Exposition
    path: str = TELEMETRY_PATH
    _bodies: Bodies = field(default_factory=Bodies)

    def routes(self) -> list[BaseRoute]:
        """Return the routes."""
        return [Route(self.path, self.metrics)]

    async def metrics(self, request: Request) -> Response:
        """Answer in the format and the encoding that the scraper asks for."""
        fmt, gzip = wanted_format(request), wants_gzip(request)
        body = await self._bodies.get((fmt, gzip), partial(self._make, fmt, gzip=gzip))
        return body.answer(request)

    async def _make(self, fmt: Format, *, gzip: bool) -> Body:
        async for series in in_time_slices(self.exposition.stale()):  # after a reload, hundreds
            self.exposition.refresh(series)
        return await make_exposition(self.exposition.pieces(fmt), fmt, gzip=gzip)


@dataclass(slots=True)
class Api:
    """The JSON API."""

    store: Store
    domains: MailDomains | None = None
    _bodies: Bodies = field(default_factory=Bodies)

    def routes(self) -> list[BaseRoute]:
        """Return the routes."""
        return [Route("/api/v1/endpoints", self.endpoints), Route("/api/v1/endpoints/{name}", self.endpoint)]

    async def endpoints(self, request: Request) -> Response:
        """Answer with all endpoints, or those that the query selects, without their history."""
        chosen, gzip = Filter.of(request.query_params), wants_gzip(request)
        body = await self._bodies.get((chosen, gzip), partial(self._all, chosen, gzip=gzip))
        return body.answer(request)

    async def endpoint(self, request: Request) -> Response:
        """Answer with one endpoint, with its history and its dialogues."""
        name, gzip = request.path_params["name"], wants_gzip(request)
        if not self.store.of_endpoint(name) and not self._of_domains(name):
            error = await make_document(_dump({"error": f"there is no endpoint {name!r}"}), _JSON, gzip=gzip)
            return error.answer(request, 404)
        body = await self._bodies.get((name, gzip), partial(self._one, name, gzip=gzip))
        return body.answer(request)

    async def _all(self, chosen: Filter, *, gzip: bool) -> Body:
        now = time.time()
        pieces = [
            json.dumps(series_to_json(series), allow_nan=False)
            async for series in in_time_slices(list(self.store))
            if chosen.admits(series, state_of(series))
        ]
        summary = {**summary_to_json(self.store, now), "domains": self._of_domains()}
        head = json.dumps(summary).removesuffix("}")
        return await make_document(f'{head}, "endpoints": [{", ".join(pieces)}]}}\n', _JSON, gzip=gzip)

    async def _one(self, name: str, *, gzip: bool) -> Body:
        found = self.store.of_endpoint(name)
        endpoints = [series_to_json(series, whole=True) for series in found]
        summary = {**summary_to_json(found, time.time()), "domains": self._of_domains(name)}
        whole = {**summary, "endpoints": endpoints}
        return await make_document(_dump(whole), _JSON, gzip=gzip)

    def _of_domains(self, name: str | None = None) -> list[Mapping[str, Any]]:
        """Return the mail domains, or the one of an endpoint."""
        domains = self.domains
        if domains is None:
            return []
        chosen = [domain for domain in domains if name in (None, domain.endpoint.name)]
        return [domain_to_json(view_of(domain, domains, self.store)) for domain in chosen]


def _dump(value: object) -> str:
    return json.dumps(value, allow_nan=False) + "\n"
