"""What people look at."""

from __future__ import annotations

from tests.web.conftest import Site


async def test_the_index_links_to_the_rest(site: Site) -> None:
    """Every page that there is."""
    answer = await site.request("/")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")
    for path in ("/metrics", "/-/healthy", "/-/ready"):
        assert f'href="{path}"' in answer.text
        assert (await site.request(path)).status_code in (200, 503)
