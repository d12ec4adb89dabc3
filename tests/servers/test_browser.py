"""The site that a browser looks at. The browser itself is used by the tests of the pages."""

from __future__ import annotations

import asyncio

import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse

from tests.servers.browser import Site
from tests.waiting import PATIENCE


def test_it_answers_until_it_is_stopped() -> None:
    """On its own port, from its own event loop, in which work can be done meanwhile."""
    app = Starlette()
    app.add_route("/", lambda _: PlainTextResponse("here"))
    with Site(app) as site:
        assert httpx.get(site.url, timeout=PATIENCE).text == "here"
        loop = site.do(asyncio.get_running_loop)
        assert site.do(asyncio.get_running_loop) is loop
        site.stop()
        with pytest.raises(httpx.ConnectError):
            httpx.get(site.url)


def test_a_fault_is_raised_where_it_is_waited_for() -> None:
    """And the site goes on."""
    with Site(Starlette()) as site:
        with pytest.raises(ZeroDivisionError):
            site.do(lambda: 1 // 0)
        assert site.do(lambda: 2) == 2
