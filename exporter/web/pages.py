"""What people look at."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Route

from exporter import __version__

_INDEX = f"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>gmail-exporter</title>
<h1>gmail-exporter {__version__}</h1>
<ul>
<li><a href="/metrics">Metrics</a></li>
<li><a href="/-/healthy">Healthy?</a></li>
<li><a href="/-/ready">Ready?</a></li>
</ul>
"""


@dataclass(frozen=True, slots=True)
class Pages:
    """The pages."""

    def routes(self) -> list[BaseRoute]:
        """Return what is answered where."""
        return [Route("/", self.index)]

    async def index(self, _request: Request) -> Response:
        """Link to the rest."""
        return HTMLResponse(_INDEX)
