"""The pages: all endpoints at `/`, one at `/endpoints/NAME`, and what the reasons mean at `/reasons`.

A row is rendered once per outcome where there are many, and in turns with the probes: a page of a thousand endpoints
must not hold up what it tells of.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from exporter.model.outcome import Phase, TlsFacts
from exporter.model.reason import Blame, Reason
from exporter.model.settings import Protocol
from exporter.monitor.store import FAILURES, Key, Series, Store
from exporter.views import chart, page
from exporter.views.page import Filter, anchor_of, explain, groups, row
from exporter.views.state import STATES, WHOSE, State, overview, state_of
from exporter.views.words import RETRIES, WHO
from exporter.web.assets import Assets
from exporter.web.render import prepare, render
from exporter.web.server.encoding import answer
from exporter.web.yielding import in_turns

FULL_ROWS = 40
"""Endpoints that are shown in full; where there are more, each has one line, and what fails is told once."""

PROBLEMS = 25
"""Problems that are told where there are many endpoints."""

EVERY, EVERY_LARGE = 5, 15
"""Seconds after which a page renews itself, and one of many endpoints."""

BETWEEN_PROBES = 5.0
"""Seconds between two probes of an endpoint that somebody asked for."""

FRESH = 1.0
"""Seconds for which a page serves everybody who asks for the same."""

MADE = 8
"""Pages that are kept for that."""

_HTML = "text/html; charset=utf-8"

ProbeNow = Callable[[Key], Awaitable[None]]


@dataclass(slots=True)
class Pages:
    """The pages. `probe` probes a target now; without it nobody can ask for that."""

    store: Store
    probe: ProbeNow | None = None
    _lines: dict[Key, tuple[Series, tuple[object, ...], Markup]] = field(default_factory=dict)
    """The line of each target, and what it was made of."""
    _made: dict[Filter, tuple[float, bytes]] = field(default_factory=dict)
    """The pages of the last second, and when they were made."""
    _asked: dict[str, float] = field(default_factory=dict)
    """When somebody last asked for a probe of an endpoint."""

    def __post_init__(self) -> None:
        prepare()

    def routes(self) -> list[BaseRoute]:
        """Return what is answered where."""
        return [
            Route("/", self.index),
            Route("/reasons", self.reasons),
            Route("/endpoints/{name}", self.endpoint),
            Route("/endpoints/{name}/probe", self.probe_now, methods=["POST"]),
            *Assets().routes(),
        ]

    async def index(self, request: Request) -> Response:
        """Answer with the status page."""
        chosen = Filter.of(request.query_params)
        made_at, body = self._made.get(chosen, (0.0, b""))
        if time.monotonic() - made_at > FRESH:
            body = (await self._index(chosen)).encode()
            now = time.monotonic()
            fresh = [(key, made) for key, made in self._made.items() if now - made[0] < FRESH]
            self._made = dict([*fresh[-MADE:], (chosen, (now, body))])
        return await answer(request, body, _HTML)

    async def _index(self, chosen: Filter) -> str:
        now = time.time()
        everything = list(self.store)
        shown: list[tuple[Series, State]] = []
        async for series in in_turns(everything):
            state = state_of(series, now)
            if chosen.admits(series, state):
                shown.append((series, state))
        summed = overview(everything, now)
        compact = len(shown) > FULL_ROWS
        grouped = []
        for group in groups(shown, chosen.group):
            fragments = await self._fragments(group.members, now, compact=compact)
            grouped.append({"key": group.key, "title": group.title, "members": group.members, "fragments": fragments})
        return render(
            "index.html",
            **_frame("", "status", summed.worst),
            every=EVERY_LARGE if compact else EVERY,
            chosen=chosen,
            overview=summed,
            groups=grouped,
            shown=len(shown),
            compact=compact,
            logins=any(series.target.endpoint.account for series in everything),
            full_rows=FULL_ROWS,
            problems_shown=PROBLEMS,
            states=STATES,
            protocols=list(Protocol),
            phases=list(Phase),
            who=WHO,
            whose=WHOSE,
        )

    async def _fragments(self, members: Sequence[tuple[Series, State]], now: float, *, compact: bool) -> list[Markup]:
        if not compact:
            return [
                Markup(render("row.html", row=row(series, now, state), anchor_of=anchor_of))  # noqa: S704 (rendered)
                async for series, state in in_turns(members)
            ]
        if len(self._lines) > 2 * len(self.store):
            self._lines.clear()
        logins = any(series.target.endpoint.account for series in self.store)
        return [self._line(series, state, now, logins=logins) async for series, state in in_turns(members)]

    def _line(self, series: Series, state: State, now: float, *, logins: bool) -> Markup:
        hour = int(now // 3600)  # its certificate's time goes on without a probe
        made_of = series.version, state, hour, logins
        known = self._lines.get(series.target.key)
        if known and known[0] is series and known[1] == made_of:
            return known[2]
        made = Markup(render("compact.html", row=row(series, now, state), logins=logins))  # noqa: S704 (rendered)
        self._lines[series.target.key] = series, made_of, made
        return made

    async def endpoint(self, request: Request) -> Response:
        """Answer with everything that is known of one endpoint."""
        all_series = self._series_of(request)
        if not all_series:
            return _unknown(request)
        now = time.time()
        rows = [row(series, now) for series in all_series]
        glimpses = [list(series.history) for series in all_series]
        body = render(
            "endpoint.html",
            **_frame("../", "endpoint", min((each.state for each in rows), key=list(State).index)),
            every=EVERY,
            endpoint=all_series[0].target.endpoint,
            rows=rows,
            glimpses=glimpses,
            charts=[chart.latency(each) for each in glimpses],
            now=now,
            soon=page.SOON,
            can_probe=self.probe is not None,
            kept_most=FAILURES,
            explain=explain,
            anchor_of=anchor_of,
            tls_of=_tls_of,
            offered_by=_offered_by,
        )
        return await answer(request, body.encode(), _HTML)

    async def probe_now(self, request: Request) -> Response:
        """Probe an endpoint now, and lead back to its page."""
        if self.probe is None:
            return PlainTextResponse("Probing on request is switched off: start with --web.enable-lifecycle.\n", 403)
        all_series = self._series_of(request)
        if not all_series:
            return _unknown(request)
        name, now = request.path_params["name"], time.monotonic()
        self._asked = {asked: at for asked, at in self._asked.items() if now - at < BETWEEN_PROBES}
        if name in self._asked:
            wait = max(1, round(BETWEEN_PROBES - (now - self._asked[name])))
            message = f"{name} was probed a moment ago: once in {BETWEEN_PROBES:g} s is the most.\n"
            return PlainTextResponse(message, 429, {"Retry-After": str(wait)})
        self._asked[name] = now  # before it is made: a second one must not slip in beside it
        for series in all_series:
            with suppress(KeyError):  # a reload has removed it meanwhile
                await self.probe(series.target.key)
        self._made.clear()
        return RedirectResponse(f"../{name}", 303)

    async def reasons(self, request: Request) -> Response:
        """Answer with what every reason means."""
        body = render(
            "reasons.html",
            **_frame("", "reasons", State.UP),
            reasons=[reason for reason in Reason if reason is not Reason.OK],
            blames=list(Blame),
            retries=RETRIES,
            who=WHO,
        )
        return await answer(request, body.encode(), _HTML)

    def _series_of(self, request: Request) -> list[Series]:
        name = request.path_params["name"]
        return [series for series in self.store if series.target.endpoint.name == name]


def _unknown(request: Request) -> Response:
    return PlainTextResponse(f"No endpoint is called {request.path_params['name']!r}; all of them are at /.\n", 404)


def _frame(root: str, here: str, worst: State) -> dict[str, Any]:
    """Where a page is, and the icon of the worst that it tells."""
    return {"root": root, "here": here, "icon": {State.DOWN: "down", State.UP: "up"}.get(worst, "login")}


def _tls_of(series: Series) -> TlsFacts | None:
    """What was last presented."""
    seen = [outcome.observed.tls for outcome in (series.last, series.last_success) if outcome]
    return next((facts for facts in seen if facts), None)


class _Offered(NamedTuple):
    capabilities: Sequence[str]
    login_capabilities: Sequence[str]


def _offered_by(series: Series) -> _Offered:
    """What the server last offered before login, and after it."""
    seen = [outcome.observed for outcome in (series.last, series.last_success, series.last_login) if outcome]
    return _Offered(
        next((one.capabilities for one in seen if one.capabilities), ()),
        next((one.login_capabilities for one in reversed(seen) if one.login_capabilities), ()),
    )
