"""Everything that is answered over HTTP, as one ASGI application."""

from __future__ import annotations

from http import HTTPStatus
from typing import Protocol

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp

from exporter.web.server.auth import BasicAuth
from exporter.web.server.headers import SecurityHeaders
from exporter.web.server.limits import Guard
from exporter.web.server.websettings import WebSettings


class Part(Protocol):
    """One part of what is answered: `scrape.py`, `lifecycle.py`, `pages.py`."""

    def routes(self) -> list[BaseRoute]:
        """Return what is answered where."""


def application(*parts: Part, settings: WebSettings | None = None) -> ASGIApp:
    """Return the ASGI application that is made of these parts, behind what the web configuration asks for."""
    settings = settings or WebSettings()
    routes = [route for part in parts for route in part.routes()]
    answering = Starlette(routes=routes, exception_handlers={HTTPException: refuse})
    # A path with a slash too many is another path; a redirect would go by whatever Host the client has sent.
    answering.router.redirect_slashes = False
    return SecurityHeaders(Guard(BasicAuth(answering, settings)), settings)


async def refuse(request: Request, error: Exception) -> Response:
    """Say in one line why a request is not answered; `Allow` names the methods that would be."""
    status, text, headers = 500, "", None
    if isinstance(error, HTTPException):
        status, text, headers = error.status_code, error.detail, error.headers
    if status == 404 and text == HTTPStatus(404).phrase:  # no part has said it better
        text = "There is nothing here: the pages begin at /."
    elif status == 405:
        text = f"{request.method} is not answered here, only {(headers or {}).get('Allow', 'other methods')}."
    return PlainTextResponse(f"{text}\n", status, headers)
