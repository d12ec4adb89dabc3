"""What the exporter answers over HTTP, in process."""

from __future__ import annotations

from tests.web.conftest import Site


async def test_other_paths_and_methods_are_refused(site: Site) -> None:
    """404 and 405; HEAD is as GET."""
    assert (await site.request("/nothing")).status_code == 404
    assert (await site.request("/metrics", "POST")).status_code == 405
    assert (await site.request("/metrics", "HEAD")).status_code == 200
