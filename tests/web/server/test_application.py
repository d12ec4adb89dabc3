"""The application, in process."""

from __future__ import annotations

import pytest

from tests.web.conftest import Site


@pytest.mark.parametrize("path", ["/nothing", "/metrics/", "/-/", "/metrics/..%2f", "/%00", "/probe%0a"])
async def test_an_unknown_path_is_one_clear_line(site: Site, path: str) -> None:
    """404, and no redirect to the Host that the client has sent."""
    answer = await site.request(path)
    assert (answer.status_code, answer.text) == (404, "There is nothing here: the pages begin at /.\n")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "QUERY"])
async def test_other_methods_are_refused(site: Site, method: str) -> None:
    """405, with the methods that are allowed."""
    for path in ("/", "/metrics", "/-/healthy", "/-/ready"):
        answer = await site.request(path, method)
        assert answer.status_code == 405
        assert set(answer.headers["allow"].split(", ")) == {"GET", "HEAD"}
        assert answer.text.startswith(f"{method} is not answered here, only ")
    answer = await site.request("/-/reload", "GET")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


async def test_head_is_as_get(site: Site) -> None:
    """Without the body."""
    for path in ("/", "/metrics", "/-/healthy"):
        answer = await site.request(path, "HEAD")
        assert answer.status_code == 200
        assert answer.headers["content-type"] == (await site.request(path)).headers["content-type"]
