"""Style, script and icons."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
from flit_core.wheel import make_wheel_in

from exporter.web.assets import address, assets
from tests.web.conftest import Site

ROOT = Path(__file__).parent.parent.parent


@pytest.mark.parametrize(
    ("name", "kind"),
    [("style.css", "text/css"), ("page.js", "text/javascript"), ("up.svg", "image/svg+xml")],
)
async def test_caching(site: Site, name: str, kind: str) -> None:
    """A file is cached for a year under the address with its digest; under another it must be validated."""
    answer = await site.request(f"/{address(name)}")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith(kind)
    assert "immutable" in answer.headers["cache-control"]
    plain = await site.request(f"/static/{name}")
    assert plain.headers["cache-control"] == "no-cache"
    again = await site.request(f"/static/{name}", if_none_match=plain.headers["etag"])
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize("name", ["nothing.css", "..%2Fpages.py", "%2e%2e%2f%2e%2e%2fcli.py", ".", "style.css%00"])
async def test_other_files_are_not_found(site: Site, name: str) -> None:
    """Only the files of the directory are served, by name."""
    assert (await site.request(f"/static/{name}")).status_code == 404


def test_no_other_resources() -> None:
    """Style and script have no URL and no import."""
    for asset in assets().values():
        if asset.content_type != "image/svg+xml":
            assert b"url(" not in asset.body
            assert b"@import" not in asset.body


def test_wheel(tmp_path: Path) -> None:
    """The wheel that `pip install` builds has the templates and the files."""
    wheel = make_wheel_in(ROOT / "pyproject.toml", tmp_path)
    names = zipfile.ZipFile(wheel.file).namelist()
    for file in [*assets(), "../templates/index.html", "../templates/endpoint.html"]:
        assert any(name.endswith(f"web/static/{file}".replace("static/../", "")) for name in names), file
