"""The ASGI application: all routes, behind headers, faults, limits, passwords, target, prefix, origins."""

from __future__ import annotations

import typing
from http import HTTPStatus
from urllib.parse import unquote

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp

from exporter.model.site import Site
from exporter.web.server.auth import BasicAuth
from exporter.web.server.faults import Faults, answer_to
from exporter.web.server.headers import SecurityHeaders
from exporter.web.server.limits import RequestLimits
from exporter.web.server.origins import OwnPages
from exporter.web.server.prefix import RoutePrefix, nothing_here
from exporter.web.server.target import RequestTarget
from exporter.web.server.websettings import WebSettings

OPEN_PATHS = ("/probe", "/-/healthy", "/-/ready")
"""What Prometheus and the like ask for, beside the metrics, by whatever name they know this server."""


class Part(typing.Protocol):
    """A part of the application: `Scrape`, `Lifecycle`, `Pages`."""

    def routes(self) -> list[BaseRoute]:
        """Return its routes."""


def application(*parts: Part, settings: WebSettings | None = None) -> ASGIApp:
    """Return the ASGI application with the routes of these parts."""
    settings = settings or WebSettings()
    routes = [route for part in parts for route in part.routes()]
    routing = Starlette(routes=routes, exception_handlers={HTTPException: refuse, Exception: refuse})
    # With a slash at its end a path is another path; a redirect would use whatever Host the client has sent.
    routing.router.redirect_slashes = False
    own_pages = RoutePrefix(OwnPages(routing, settings, _open_paths(settings.hosts.site)), settings.hosts.site)
    return SecurityHeaders(Faults(RequestLimits(BasicAuth(RequestTarget(own_pages), settings))), settings)


def _open_paths(site: Site) -> frozenset[str]:
    prefix = unquote(site.route_prefix)
    return frozenset(f"{prefix}{path}" for path in (site.telemetry_path, *OPEN_PATHS))


async def refuse(request: Request, error: Exception) -> Response:
    """Answer with an error in one line; for a wrong method, `Allow` has the right ones."""
    headers = None
    if isinstance(error, HTTPException):
        status, text, headers = error.status_code, error.detail, error.headers
    else:
        status, text = answer_to(error)
    if status == 404 and text == HTTPStatus(404).phrase:  # the path has no route, so no part has a better text
        text = nothing_here(request.scope["root_path"]).rstrip()
    elif status == 405:
        text = f"{request.method} is not answered here, only {(headers or {}).get('Allow', 'other methods')}."
    return PlainTextResponse(f"{text.rstrip()}\n", status, headers)
