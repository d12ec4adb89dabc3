"""The pages: all endpoints at `/`, one at `/endpoints/NAME`, and the meaning of the reasons at `/reasons`.

Where there are many endpoints, a row is rendered once per Outcome, and the rendering yields to the event loop, so that
a page of a thousand endpoints does not delay the probes.
"""

from __future__ import annotations

import asyncio
import shlex
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from markupsafe import Markup
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from exporter.model.outcome import Phase, TargetKey
from exporter.model.reason import Blame, Reason, Retry
from exporter.model.release import NOWHERE, Way
from exporter.model.settings import Protocol
from exporter.model.site import TELEMETRY_PATH
from exporter.model.verdict import Verdict
from exporter.monitor.kept import FAILURES
from exporter.monitor.mail_domains import MailDomain, MailDomains
from exporter.monitor.store import Series, Store
from exporter.views import chart, evidence, page
from exporter.views.domain import DomainView, view_of
from exporter.views.page import Filter, anchor_of, groups, last_capabilities, last_tls, not_kept, paginate, row
from exporter.views.state import Overview, State, overview, state_of
from exporter.web.assets import Assets
from exporter.web.render import CHECK, prepare, render
from exporter.web.server.bodies import Bodies
from exporter.web.server.encoding import Body, make_page, wants_gzip
from exporter.web.time_slices import in_time_slices

FULL_ROWS = 40
"""Endpoints that are shown in full; where there are more, each has one line, and each problem is shown once."""

PAGE = 100
"""Lines of a table; where there are more, it has several pages."""

PROBLEMS = 25
"""Problems that are shown, each once for all its endpoints."""

REFRESH, REFRESH_LARGE = 5, 15
"""Seconds between two refreshes of a page, and of a page of many endpoints."""

BETWEEN_PROBES = 5.0
"""Seconds between two requested probes of an endpoint."""

CACHE_SECONDS = 1.0
"""Seconds for which a page is cached."""

_HTML = "text/html; charset=utf-8"

ProbeNow = Callable[[TargetKey], Awaitable[None]]


@dataclass(slots=True)
class Pages:
    """The pages. `probe` probes a target now; without it, a probe cannot be requested."""

    store: Store
    probe: ProbeNow | None = None
    metrics: str = TELEMETRY_PATH
    """Where the metrics are."""
    domains: MailDomains | None = None
    way: Way = NOWHERE
    """How an account is released on the exporter's host."""
    check_command: tuple[str, ...] = CHECK
    permits_release: Callable[[Request], bool] = lambda _request: False
    """Whether a client may release an account with a button."""
    _lines: dict[TargetKey, tuple[Series, tuple[object, ...], Markup]] = field(default_factory=dict)
    """The rendered line of each target, and the values that it was rendered from."""
    _bodies: Bodies = field(default_factory=Bodies)
    _requested: dict[str, float] = field(default_factory=dict)
    """When a probe of an endpoint was last requested."""

    def routes(self) -> list[BaseRoute]:
        """Return the routes."""
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
        return await self._answer(request, chosen, partial(self._index, chosen), CACHE_SECONDS)

    async def _answer(
        self, request: Request, key: object, make: Callable[[], Awaitable[str]], seconds: float = 0.0
    ) -> Response:
        gzip = wants_gzip(request)

        async def make_body() -> Body:
            await prepare()
            return await make_page(await make(), _HTML, gzip=gzip)

        return (await self._bodies.get((key, gzip), make_body, seconds)).answer(request)

    async def _index(self, chosen: Filter) -> str:
        now = time.time()
        everything = list(self.store)
        shown: list[tuple[Series, State]] = []
        async for series in in_time_slices(everything):
            state = state_of(series)
            if chosen.admits(series, state):
                shown.append((series, state))
        summary = overview(everything)
        compact = len(shown) > FULL_ROWS
        on_page, pagination = paginate(groups(shown, chosen.group), chosen.page, PAGE if compact else FULL_ROWS)
        grouped = []
        for group in on_page:
            fragments = await self._render_members(group.members, now, summary, compact=compact)
            grouped.append({"key": group.key, "title": group.title, "members": group.members, "fragments": fragments})
        problems = [problem for problem in summary.problems if compact or len(problem.outcomes) > 1]
        return render(
            "index.html",
            **self._frame("", "status", self._worst(summary.shade)),
            domains=[view for view in self._views() if view.findings or view.state is State.DOWN],
            every=REFRESH_LARGE if compact else REFRESH,
            chosen=chosen,
            overview=summary,
            problems=problems,
            groups=grouped,
            pagination=pagination,
            shown=len(shown),
            compact=compact,
            logins=any(series.target.endpoint.account for series in everything),
            full_rows=FULL_ROWS,
            problems_shown=PROBLEMS,
            states=list(State),
            protocols=list(Protocol),
            phases=list(Phase),
        )

    async def _render_members(
        self, members: Sequence[tuple[Series, State]], now: float, summary: Overview, *, compact: bool
    ) -> list[Markup]:
        if not compact:
            values = {"anchor_of": anchor_of, "shared_problem": summary.shared_problem}
            return [
                Markup(render("row.html", row=row(series, now, state), **values))  # noqa: S704 (rendered)
                async for series, state in in_time_slices(members)
            ]
        if len(self._lines) > 2 * len(self.store):
            self._lines.clear()
        logins = any(series.target.endpoint.account for series in self.store)
        return [self._line(series, state, now, logins=logins) async for series, state in in_time_slices(members)]

    def _line(self, series: Series, state: State, now: float, *, logins: bool) -> Markup:
        hour = int(now // 3600)  # the time until its certificate expires changes without a probe
        values = series.version, state, hour, logins
        cached = self._lines.get(series.target.key)
        if cached and cached[0] is series and cached[1] == values:
            return cached[2]
        line = Markup(render("compact.html", row=row(series, now, state), logins=logins))  # noqa: S704 (rendered)
        self._lines[series.target.key] = series, values, line
        return line

    async def endpoint(self, request: Request) -> Response:
        """Answer with all details of one endpoint."""
        name, host = request.path_params["name"], request.query_params.get("host", "")
        await prepare()
        if not self._has(name) or (host and not self.store.of_endpoint(name, host)):
            return self._unknown(request, "../")
        early, may_release = "early" in request.query_params, self.permits_release(request)
        key = "endpoint", name, host, early, may_release
        if self._domain(name) and not host:
            return await self._answer(request, key, partial(self._domain_page, name, early=early))
        make = partial(self._endpoint, name, host, early=early, may_release=may_release)
        return await self._answer(request, key, make)

    def _domain(self, name: str) -> MailDomain | None:
        return self.domains.get(name) if self.domains else None

    def _has(self, name: str) -> bool:
        return bool(self.store.of_endpoint(name)) or self._domain(name) is not None

    def _views(self) -> list[DomainView]:
        return [view_of(domain, self.domains, self.store) for domain in self.domains] if self.domains else []

    def _worst(self, worst: State) -> State:
        states = [worst, *(view.state for view in self._views() if view.state is State.DOWN)]
        return min(states, key=list(State).index)

    async def _domain_page(self, name: str, *, early: bool) -> str:
        domain, now = self._domain(name), time.time()
        if domain is None or self.domains is None:
            raise HTTPException(404)  # a reload has removed it meanwhile
        view = view_of(domain, self.domains, self.store)
        values = {"anchor_of": anchor_of, "shared_problem": lambda _failure: None, "pages": ""}
        rows = [render("row.html", row=row(series, now), **values) for series in self.store.of_endpoint(name)]
        return render(
            "domain_page.html",
            **self._frame("../", "endpoint", view.state),
            every=REFRESH,
            view=view,
            fragments=[Markup(each) for each in rows],  # noqa: S704 (rendered)
            can_probe=self.probe is not None,
            early=early,
            between=BETWEEN_PROBES,
        )

    async def _endpoint(self, name: str, host: str, *, early: bool, may_release: bool) -> str:
        all_series, now = self.store.of_endpoint(name, host), time.time()
        if not all_series:
            raise HTTPException(404)  # a reload has removed it meanwhile
        rows = [row(series, now) for series in all_series]
        histories = [list(series.history) for series in all_series]
        return render(
            "endpoint.html",
            **self._frame("../", "endpoint", min((each.state for each in rows), key=list(State).index)),
            every=REFRESH,
            endpoint=all_series[0].target.endpoint,
            rows=rows,
            histories=histories,
            charts=[chart.latency(each) for each in histories],
            now=now,
            soon=page.EXPIRY_WARNING,
            known={series.target.endpoint.name for series in self.store},
            can_probe=self.probe is not None,
            check_command=shlex.join(self.check_command),
            may_release=may_release,
            way=self.way,
            early=early,
            between=BETWEEN_PROBES,
            kept_most=FAILURES,
            anchor_of=anchor_of,
            evidence_of=evidence.items,
            paths_of=evidence.paths,
            last_tls=last_tls,
            last_capabilities=last_capabilities,
            not_kept=not_kept,
        )

    async def probe_now(self, request: Request) -> Response:
        """Probe an endpoint now, and redirect to its page."""
        if self.probe is None:
            return PlainTextResponse("Probing on request is switched off: start with --web.enable-lifecycle.\n", 403)
        await prepare()
        name = request.path_params["name"]
        if not self._has(name):
            return self._unknown(request, "../../")
        # Where it is too early, its page has the result of the probe before.
        return RedirectResponse(f"../{name}" if await self.probe_endpoint(name) else f"../{name}?early", 303)

    async def probe_endpoint(self, name: str) -> bool:
        """Probe an endpoint now; return whether that was done: not more often than once in `BETWEEN_PROBES`."""
        now = time.monotonic()
        keys = [series.target.key for series in self.store.of_endpoint(name)]
        if (domain := self._domain(name)) is not None:
            keys.append(domain.look_up.key)
        self._requested = {requested: at for requested, at in self._requested.items() if now - at < BETWEEN_PROBES}
        if self.probe is None or name in self._requested:
            return False
        self._requested[name] = now  # before the probe: a second request must not start another one
        await asyncio.gather(*map(self._probe, keys))
        self._bodies.forget()
        return True

    async def _probe(self, key: TargetKey) -> None:
        if self.probe is not None:
            with suppress(KeyError):  # a reload has removed it meanwhile
                await self.probe(key)

    async def reasons(self, request: Request) -> Response:
        """Answer with the meaning of every reason, or of those that the query selects."""
        text = request.query_params.get("q", "").strip()[:100]
        return await self._answer(request, ("reasons", text), partial(self._reasons, text))

    async def _reasons(self, text: str) -> str:
        listed = [reason for reason in Reason if reason is not Reason.OK]
        return render(
            "reasons.html",
            **self._frame("", "reasons", State.UP),
            text=text,
            total=len(listed),
            reasons=page.matching(listed, text),
            blames=list(Blame),
            verdicts=list(Verdict),
            retries=list(Retry),
            remedies=page.remedies,
        )

    def _unknown(self, request: Request, root: str) -> Response:
        page = render("missing.html", **self._frame(root, "endpoint", State.LOGIN), name=request.path_params["name"])
        return Response(page, 404, media_type=_HTML)

    def _frame(self, root: str, here: str, worst: State) -> dict[str, Any]:
        """The values of the frame of a page: where it is, and the icon of the worst state on it."""
        icon = {State.DOWN: "down", State.UP: "up"}.get(worst, "login")
        return {"root": root, "here": here, "icon": icon, "metrics": self.metrics.removeprefix("/")}
