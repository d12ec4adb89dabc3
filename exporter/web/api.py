"""What programs read: `/metrics`, and the JSON API, which docs/api.md describes."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from exporter.exposition.text import Exposition
from exporter.model.outcome import Outcome
from exporter.monitor.history import Glimpse
from exporter.monitor.store import Series, Store
from exporter.views.document import outcome_to_json
from exporter.views.page import Filter
from exporter.views.state import overview, state_of
from exporter.web.server.encoding import answer_once, negotiated
from exporter.web.yielding import in_turns

_JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Scrape:
    """The answer to Prometheus."""

    exposition: Exposition

    def routes(self) -> list[BaseRoute]:
        """Return what is answered where."""
        return [Route("/metrics", self.metrics)]

    async def metrics(self, request: Request) -> Response:
        """Answer in the format and the encoding that the scraper asks for."""
        return await negotiated(request, *self.exposition.pieces(request.headers.get("accept", "")))


@dataclass(slots=True)
class Api:
    """The answers to programs."""

    store: Store

    def routes(self) -> list[BaseRoute]:
        """Return what is answered where."""
        return [Route("/api/v1/endpoints", self.endpoints), Route("/api/v1/endpoints/{name}", self.endpoint)]

    async def endpoints(self, request: Request) -> Response:
        """Answer with all endpoints, or those that the query admits, without their past."""
        now = time.time()
        chosen = Filter.of(request.query_params)
        pieces = [
            json.dumps(series_to_json(series, now), allow_nan=False)
            async for series in in_turns(list(self.store))
            if chosen.admits(series, state_of(series, now))
        ]
        opened = json.dumps(_head(self.store, now)).removesuffix("}")
        return await answer_once(request, f'{opened}, "endpoints": [{", ".join(pieces)}]}}\n'.encode(), _JSON)

    async def endpoint(self, request: Request) -> Response:
        """Answer with one endpoint, with its past and what was said."""
        now, name = time.time(), request.path_params["name"]
        found = [series for series in self.store if series.target.endpoint.name == name]
        if not found:
            return await answer_once(request, _dump({"error": f"there is no endpoint {name!r}"}), _JSON, 404)
        endpoints = [series_to_json(series, now, whole=True) for series in found]
        return await answer_once(request, _dump({**_head(found, now), "endpoints": endpoints}), _JSON)


def _head(all_series: Iterable[Series], now: float) -> Mapping[str, Any]:
    """What is said of all of them together."""
    summed = overview(all_series, now)
    return {
        "generated_at": now,
        "summary": str(summed.sentence),
        "counts": {state.value: count for state, count in summed.counts.items()},
    }


def series_to_json(series: Series, now: float, *, whole: bool = False) -> dict[str, Any]:
    """Return what is known of a target as JSON values; with its past where it is `whole`.

    Times are Unix seconds, durations seconds.
    """
    target = series.target
    endpoint = target.endpoint
    return {
        "endpoint": endpoint.name,
        "protocol": endpoint.protocol.value,
        "host": endpoint.host,
        "port": endpoint.port,
        "security": endpoint.security.value,
        "ip_family": target.ip_family.value,
        "account": endpoint.account.name if endpoint.account else None,
        "labels": dict(endpoint.labels),
        "interval_seconds": endpoint.interval,
        "timeout_seconds": endpoint.timeout,
        "state": state_of(series, now).value,
        "since": series.since,
        "failing": [_failure(outcome) for outcome in series.failing],
        "probes": {"success": series.successes, "failure": series.failures.total()},
        "login": _login(series) if endpoint.account else None,
        "last": _outcome(series.last, series, whole=whole),
        "last_login": _outcome(series.last_login, series, whole=whole),
        "last_success": _outcome(series.last_success, series, whole=True) if whole else None,
        "failures": [_outcome(outcome, series, whole=True) for outcome in series.kept_failures] if whole else None,
        "history": [_glimpse(glimpse) for glimpse in series.history] if whole else None,
    }


def _failure(outcome: Outcome) -> Mapping[str, Any]:
    return {
        "phase": outcome.phase.value,
        "reason": outcome.reason.value,
        "blame": outcome.blame.value,
        "detail": outcome.detail,
        "remedy": outcome.reason.remedy,
    }


def _login(series: Series) -> Mapping[str, Any]:
    standing, account = series.standing, series.target.endpoint.account
    finite = standing is not None and math.isfinite(standing.next_login_at)
    return {
        "success": series.logins[True],
        "failure": series.logins[False],
        "held_by": standing.held_by.value if standing and standing.held_by else None,
        "next_at": standing.next_login_at if standing and finite else None,
        "account_logins_of_day": standing.logins_of_day if standing else None,
        "account_max_logins_per_day": account.max_logins_per_day if account else None,
    }


def _outcome(outcome: Outcome | None, series: Series, *, whole: bool) -> Mapping[str, Any] | None:
    return None if outcome is None else outcome_to_json(outcome, series.standing, dialogue=whole)


def _glimpse(glimpse: Glimpse) -> Mapping[str, Any]:
    return {
        "started_at": glimpse.started_at,
        "phases": {phase.value: round(seconds, 7) for phase, seconds in glimpse.phases.items()},
        "phase": glimpse.phase.value,
        "reason": glimpse.reason.value,
    }


def _dump(value: object) -> bytes:
    return (json.dumps(value, allow_nan=False) + "\n").encode()
