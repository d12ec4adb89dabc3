"""Everything that is answered over HTTP, as one ASGI application."""

from __future__ import annotations

from typing import Protocol

from starlette.applications import Starlette
from starlette.routing import BaseRoute


class Part(Protocol):
    """One part of what is answered: `scrape.py`, `lifecycle.py`, `pages.py`."""

    def routes(self) -> list[BaseRoute]:
        """Return what is answered where."""


def application(*parts: Part) -> Starlette:
    """Return the ASGI application that is made of these parts."""
    return Starlette(routes=[route for part in parts for route in part.routes()])
