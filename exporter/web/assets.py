"""Style, script and icons: a few small files, read once; the address of each has a digest of its content."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

_TYPES: Mapping[str, str] = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


@dataclass(frozen=True, slots=True)
class Asset:
    """A file, with a short digest of its content."""

    body: bytes
    content_type: str
    digest: str


@cache
def assets() -> Mapping[str, Asset]:
    """Return the files by name."""
    found = {}
    for file in (resources.files("exporter.web") / "static").iterdir():
        suffix = file.name[file.name.rfind(".") :]
        if suffix in _TYPES:
            body = file.read_bytes()
            found[file.name] = Asset(body, _TYPES[suffix], hashlib.sha256(body).hexdigest()[:12])
    return found


def address(name: str) -> str:
    """Return the address of a file, relative to the root; it changes with the content, so that it may be cached."""
    return f"static/{name}?v={assets()[name].digest}"


class Assets:
    """Serves the files."""

    def routes(self) -> list[BaseRoute]:
        """Return the route; the files are read now, for later there may be no descriptor for them."""
        assets()
        return [Route("/static/{name}", self.file)]

    async def file(self, request: Request) -> Response:
        """Answer with a file, which may be cached for a year if its address has the digest."""
        asset = assets().get(request.path_params["name"])
        if asset is None:
            raise HTTPException(404)
        named = request.query_params.get("v") == asset.digest
        headers = {
            "ETag": f'"{asset.digest}"',
            "Cache-Control": "public, max-age=31536000, immutable" if named else "no-cache",
        }
        if request.headers.get("if-none-match") == headers["ETag"]:
            return Response(status_code=304, headers=headers)
        return Response(asset.body, headers=headers, media_type=asset.content_type)
