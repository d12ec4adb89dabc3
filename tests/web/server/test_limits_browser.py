"""The headers in which a real browser sends the origin of a form; forms of our own pages are accepted."""

from __future__ import annotations

from playwright.async_api import async_playwright
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from exporter.web.server.application import application
from exporter.web.server.limits import FOREIGN
from tests.servers.process import find_program
from tests.web.conftest import Serve


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


async def test_the_headers_of_a_browser_decide(serve: Serve) -> None:
    """A form of our own page is accepted by one header or the other; that of another site is refused."""
    button = Button("/press")
    ours = await serve(application(button))
    evil = Button(f"http://exporter.test:{ours.port}/press", **{"Content-Security-Policy": "default-src 'none'"})
    theirs = await serve(application(evil))
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=find_program("chromium", "chromium"),
            args=["--no-sandbox", "--host-resolver-rules=MAP *.test 127.0.0.1"],
        )
        page = await browser.new_page()
        for url, answer in (
            # Not a host that a browser trusts in the clear: it leaves out Sec-Fetch-Site.
            (f"http://exporter.test:{ours.port}/", "pressed"),
            (f"http://127.0.0.1:{ours.port}/", "pressed"),
            (f"http://evil.test:{theirs.port}/", FOREIGN.strip()),
        ):
            await page.goto(url)
            await page.click("button")
            await page.wait_for_url("**/press")
            assert (await page.inner_text("body")).strip() == answer
        await browser.close()
    assert button.pressed == [None, "same-origin"]
