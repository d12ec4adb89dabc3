"""The headers in which a real browser sends the origin of a form; forms of our own pages are accepted."""

from __future__ import annotations

from urllib.parse import urlsplit

from playwright.sync_api import Browser
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from exporter.model.address import HostPattern
from exporter.model.site import Site as Flags
from exporter.web.server.application import application
from exporter.web.server.origins import FOREIGN, UNKNOWN_NAME
from exporter.web.server.websettings import WebSettings
from tests.servers.browser import Site


def known(*names: str) -> WebSettings:
    """What lets an application be asked for by these names."""
    return WebSettings(site=Flags(allowed_hosts=tuple(map(HostPattern, names))))


class Button:
    """A page with a button, and the route that the button posts to."""

    def __init__(self, action: str, **headers: str) -> None:
        self.pressed: list[str | None] = []
        self._form = f'<form method="post" action="{action}"><button>press</button></form>'
        self._headers = headers

    def routes(self) -> list[BaseRoute]:
        """Return its routes."""
        return [Route("/", self.page), Route("/press", self.press, methods=["POST"])]

    async def page(self, _request: Request) -> Response:
        """Show the button."""
        return HTMLResponse(self._form, headers=self._headers)

    async def press(self, request: Request) -> Response:
        """Record the Sec-Fetch-Site header."""
        self.pressed.append(request.headers.get("sec-fetch-site"))
        return PlainTextResponse("pressed")


def test_the_headers_of_a_browser_decide(browser: Browser) -> None:
    """A form of our own page is accepted by one header or the other; that of another site is refused."""
    button = Button("/press")
    with Site(application(button, settings=known("exporter.test"))) as ours:
        port = urlsplit(ours.url).port
        evil = Button(f"http://exporter.test:{port}/press", **{"Content-Security-Policy": "default-src 'none'"})
        with Site(application(evil, settings=known("evil.test"))) as theirs, browser.new_page() as page:
            for url, answer in (
                # Not a host that a browser trusts in the clear: it leaves out Sec-Fetch-Site.
                (f"http://exporter.test:{port}/", "pressed"),
                (f"{ours.url}/", "pressed"),
                (f"http://evil.test:{urlsplit(theirs.url).port}/", FOREIGN.strip()),
            ):
                page.goto(url)
                page.click("button")
                page.wait_for_url("**/press")
                assert page.inner_text("body").strip() == answer
    assert button.pressed == [None, "same-origin"]


def test_a_rebound_name_reads_nothing(browser: Browser) -> None:
    """A page of another site, whose name leads to this server now: a browser lets its script read every answer."""
    button = Button("/press")
    with Site(application(button, settings=known("exporter.test"))) as ours, browser.new_page() as page:
        url = f"http://evil.test:{urlsplit(ours.url).port}"
        page.goto(f"{url}/metrics")  # as if it had come from the name's old address: it is of that site
        answers = page.evaluate(
            """async () => Promise.all([["/", "GET"], ["/press", "POST"]].map(async ([path, method]) => {
                const answer = await fetch(path, {method});
                return [answer.status, await answer.text()];
            }))"""
        )
    assert answers == [[421, UNKNOWN_NAME.format(name=f'"{url.removeprefix("http://")}"')]] * 2
    assert button.pressed == []
