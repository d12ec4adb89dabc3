"""The pages in a real browser, under the Content-Security-Policy that every answer has."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from exporter.model.outcome import Phase
from exporter.model.reason import Reason
from exporter.monitor.store import Key
from exporter.web.api import Api
from exporter.web.pages import FULL_ROWS, Pages
from exporter.web.server.application import application
from tests.examples import ACCOUNT, target
from tests.scenes import HOSTILE, Scene, every_failure, every_state, many
from tests.servers.browser import Site, chromium

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
SUBMISSION = "#submission-any"


def strict(app: ASGIApp) -> ASGIApp:
    """The application, with the policy on every answer."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_policy(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"content-security-policy", POLICY.encode())]
            await send(message)

        await app(scope, receive, send_with_policy)

    return answer


class Shown:
    """A scene that is served, and pages of it that a browser has open."""

    def __init__(self, scene: Scene, browser: Browser) -> None:
        self.scene = scene
        self.pages = Pages(scene.store, self._probe)
        self.site = Site(strict(application(self.pages, Api(scene.store))))
        self.complaints: list[str] = []
        self._browser = browser
        self._contexts: list[Any] = []

    def open(self, path: str = "/", **options: Any) -> Page:
        """Open a page; whatever it complains of is remembered."""
        context = self._browser.new_context(**{"viewport": {"width": 1280, "height": 800}, **options})
        self._contexts.append(context)
        page: Page = context.new_page()
        page.on("console", lambda message: self.complaints.append(message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: self._note_origin(request.url))
        page.goto(self.site.url + path)
        return page

    def add(self, name: str, failed: tuple[Phase, Reason] | None = None, detail: str | None = None) -> None:
        """Let a probe of an endpoint end now."""

        def add() -> None:
            series = next(series for series in self.scene.store if series.target.endpoint.name == name)
            self.scene.add(self.scene.outcome(series.target, self.scene.now, failed=failed, detail=detail))
            self.pages._made.clear()  # or the page of a second ago would do

        self.site.do(add)

    def close(self) -> None:
        """Close every page: one that is open goes on renewing itself."""
        while self._contexts:
            self._contexts.pop().close()

    async def _probe(self, key: Key) -> None:
        self.scene.add(self.scene.outcome(self.scene.store[key].target, self.scene.now + 1))

    def _note_origin(self, url: str) -> None:
        if not url.startswith(self.site.url):
            self.complaints.append(f"a request to {urlsplit(url).netloc}")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One for all tests of this file: its library holds an event loop as long as it is open."""
    with chromium() as started:
        yield started


@contextmanager
def showing(scene: Scene, browser: Browser) -> Iterator[Shown]:
    """A scene on show."""
    shown = Shown(scene, browser)
    with shown.site:
        yield shown
        shown.close()


def looking(shown: Shown) -> Iterator[Shown]:
    """Pages for one test, of which none may complain."""
    yield shown
    shown.close()
    assert shown.complaints == []


@pytest.fixture(scope="module")
def five(browser: Browser) -> Iterator[Shown]:
    """Five endpoints in every state."""
    with showing(every_state(), browser) as shown:
        yield shown


@pytest.fixture(scope="module")
def failing(browser: Browser) -> Iterator[Shown]:
    """Every kind of failure."""
    with showing(every_failure(), browser) as shown:
        yield shown


@pytest.fixture
def states(five: Shown) -> Iterator[Shown]:
    """Five endpoints in every state, which no test changes."""
    yield from looking(five)


@pytest.fixture
def failures(failing: Shown) -> Iterator[Shown]:
    """Every kind of failure, which no test changes."""
    yield from looking(failing)


@pytest.fixture
def living(browser: Browser) -> Iterator[Shown]:
    """Five endpoints in every state, for a test to change."""
    with showing(every_state(), browser) as shown:
        yield from looking(shown)


def renew(page: Page) -> None:
    """Let the page renew itself now: its turn comes when it is looked at again."""
    with page.expect_response(lambda response: response.request.resource_type == "fetch"):
        page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    page.wait_for_timeout(50)


def faults(page: Page) -> list[str]:
    """What axe-core calls serious or critical."""
    found = Axe().run(page).response["violations"]
    return [
        f"{one['id']}: {node['target']} {node['failureSummary']}"
        for one in found
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"]
    ]


def is_within(page: Page) -> bool:
    """Whether nothing sticks out at the side."""
    return bool(page.evaluate("document.documentElement.scrollWidth <= innerWidth"))


WIDE, NARROW = {"width": 1280, "height": 800}, {"width": 390, "height": 844}


@pytest.mark.parametrize("path", ["/", "/endpoints/imap-legacy", "/reasons"])
@pytest.mark.parametrize(("scheme", "size"), [("light", WIDE), ("dark", NARROW)], ids=["light-wide", "dark-narrow"])
def test_anybody_can_use_it(states: Shown, path: str, scheme: str, size: dict[str, int]) -> None:
    """No serious fault of accessibility, light and dark, wide and narrow; nothing sticks out."""
    page = states.open(path, color_scheme=scheme, viewport=size)
    assert faults(page) == []
    assert is_within(page)


@pytest.mark.parametrize(
    ("path", "scheme"), [("/", "dark"), ("/", "light"), ("/endpoints/hostile", "dark"), ("/endpoints/both", "light")]
)
def test_anybody_can_read_what_fails(failures: Shown, path: str, scheme: str) -> None:
    """With everything open."""
    page = failures.open(path, color_scheme=scheme, viewport=NARROW if scheme == "light" else WIDE)
    page.evaluate("document.querySelectorAll('details').forEach(details => details.open = true)")
    assert faults(page) == []
    assert is_within(page)


def test_a_server_s_words_are_text(failures: Shown) -> None:
    """As they were said, and nothing of them has run."""
    page = failures.open("/?q=hostile")
    expect(page.locator(".why .said")).to_have_text(HOSTILE)
    page.goto(f"{failures.site.url}/endpoints/hostile")
    expect(page.locator(".why .said")).to_have_text(HOSTILE)
    assert page.locator("img, script:not([src])").count() == 0


def test_without_a_script_it_reloads(states: Shown) -> None:
    """All of it is there, times in UTC; filters are a form that is sent."""
    page = states.open(java_script_enabled=False)
    assert page.locator("li.row").count() == 5
    assert page.locator("meta[http-equiv=refresh]").count() == 1
    assert page.locator(".since time").first.inner_text().endswith(" UTC")
    page.get_by_label("Search").fill("submission")
    page.get_by_role("button", name="Show").click()
    assert "q=submission" in page.url
    assert page.locator("li.row").count() == 1
    box = states.open(java_script_enabled=False, viewport=NARROW).locator("main").bounding_box()
    assert box is not None
    assert box["width"] <= NARROW["width"]


def test_times_are_the_viewer_s(states: Shown) -> None:
    """In the browser's zone, with the exact UTC on hover."""
    texts = set()
    for zone in ("Asia/Tokyo", "America/New_York"):
        time = states.open("/?q=pop3", timezone_id=zone).locator(".since time")
        texts.add(time.inner_text())
        assert time.get_attribute("title") == time.get_attribute("datetime").replace("T", " ").replace("Z", " UTC")  # type: ignore[union-attr]
    assert len(texts) == 2


def test_colour_is_never_alone(states: Shown) -> None:
    """Every state has a shape and a word; every phase a name and a number on hover and for who listens."""
    page = states.open()
    rows = page.locator("li.row")
    marks = {rows.nth(number).locator(".state use").get_attribute("href") for number in range(5)}
    words = {rows.nth(number).locator(".state strong").inner_text() for number in range(5)}
    assert len(marks) == len(words) == 5
    bar = page.locator("#imap-any .bar")
    assert "connect" in (bar.get_attribute("aria-label") or "")
    assert bar.locator("rect title").count() == 8


def test_a_failure_in_the_strip_leads_to_what_was_said(states: Shown) -> None:
    """By a click, to the kept failure, which is open."""
    page = states.open()
    page.locator("#imap-any .strip a").first.click()
    assert "/endpoints/imap#failure-" in page.url
    expect(page.locator("details.failure:target")).to_have_attribute("open", "")


def test_filters_are_instant_and_in_the_address(states: Shown) -> None:
    """Without a reload; who opens the address sees the same."""
    page = states.open()
    page.evaluate("window.stayed = true")
    page.get_by_label("Search").fill("gmail smtp")
    expect(page.locator("li.row")).to_have_count(2)
    page.locator(".chips label", has_text="Down").click()
    expect(page.locator("li.row")).to_have_count(1)
    assert page.evaluate("window.stayed") is True
    assert page.url.endswith("/?state=down&q=gmail+smtp")
    again = states.open(page.url.removeprefix(states.site.url))
    assert again.locator("li.row").count() == 1
    assert again.get_by_label("Search").input_value() == "gmail smtp"
    page.get_by_label("Search").fill("nothing like it")
    expect(page.get_by_text("No endpoint matches")).to_be_visible()


def test_it_renews_itself(living: Shown) -> None:
    """By itself, in a few seconds: sentence, title, icon, row."""
    page = living.open("/?q=imap")
    assert page.locator("#imap-any .state strong").inner_text() == "Up"
    living.add("imap", (Phase.CONNECT, Reason.REFUSED))
    expect(page.locator("#imap-any .state strong")).to_have_text("Down", timeout=15_000)
    expect(page.locator("h1")).to_contain_text("imap and submission: the connection was refused")
    assert page.title().startswith("2 down")
    assert "down.svg" in (page.locator("link[rel=icon]").get_attribute("href") or "")
    assert page.url.endswith("?q=imap")


def test_renewal_disturbs_nobody(living: Shown) -> None:
    """Scroll, focus, what is open and what is typed stay; rows that did not change are the same elements."""
    page = living.open("/?group=none", viewport={"width": 900, "height": 400})
    page.locator(f"{SUBMISSION} summary").click()
    page.locator("#imap-any summary").click()
    link = page.locator(f"{SUBMISSION} .why a", has_text="About refused")
    link.focus()
    page.evaluate("document.querySelector('#pop3-any').mine = true; scrollTo(0, 300)")
    before = page.evaluate("scrollY")
    living.add("submission", (Phase.CONNECT, Reason.UNREACHABLE), "no route")
    living.add("submission", (Phase.CONNECT, Reason.REFUSED), "once more")
    renew(page)
    expect(page.locator(f"{SUBMISSION} .said")).to_have_text("once more")
    assert page.evaluate("document.activeElement.textContent") == "About refused"
    assert page.locator(f"{SUBMISSION} details").get_attribute("open") == ""
    assert page.locator("#imap-any details").get_attribute("open") == ""
    assert page.evaluate("document.querySelector('#pop3-any').mine") is True
    assert page.evaluate("scrollY") == before
    page.get_by_label("Search").press_sequentially("sub")
    renew(page)
    assert page.get_by_label("Search").input_value() == "sub"
    assert page.evaluate("document.activeElement.name") == "q"


def test_a_selection_is_left_alone(living: Shown) -> None:
    """A row of which somebody copies the words is renewed later."""
    page = living.open()
    page.evaluate("getSelection().selectAllChildren(document.querySelector('#submission-any .said'))")
    living.add("submission", (Phase.CONNECT, Reason.REFUSED), "other words")
    renew(page)
    assert page.evaluate("getSelection().toString()") == "Connection refused"
    page.evaluate("getSelection().removeAllRanges()")
    renew(page)
    expect(page.locator(f"{SUBMISSION} .said")).to_have_text("other words")


def test_an_endpoint_comes_and_goes(living: Shown) -> None:
    """After a reload of the configuration, in its place; the state's chip comes with it."""
    page = living.open()
    kept = [series.target for series in living.scene.store]
    living.site.do(lambda: living.scene.configure(*kept[1:], target("new", account=ACCOUNT)))
    living.pages._made.clear()
    renew(page)
    expect(page.locator("#imap-any")).to_have_count(0)
    expect(page.locator("#new-any .state strong")).to_have_text("Not probed yet")
    names = page.locator("li.row h3").all_inner_texts()
    assert names == ["submission", "smtps", "imap-legacy", "pop3", "new"]


def test_it_says_that_nobody_answers(living: Shown) -> None:
    """And since when; what was there stays."""
    page = living.open()
    living.site.stop()
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    expect(page.locator("#trouble")).to_contain_text("The exporter does not answer since")
    assert page.locator("li.row").count() == 5
    living.complaints[:] = [text for text in living.complaints if "ERR_CONNECTION_REFUSED" not in text]


def test_it_can_be_paused(living: Shown) -> None:
    """Then nothing is asked for, until it goes on."""
    page = living.open()
    page.get_by_role("button", name="Pause").click()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    page.wait_for_timeout(200)
    assert asked == []
    with page.expect_response(lambda response: response.ok):
        page.get_by_role("button", name="Paused").click()


def test_probe_now(living: Shown) -> None:
    """The button leads back to the page, which tells of the new probe."""
    page = living.open("/endpoints/smtps")
    expect(page.locator(".banner h2")).to_have_text("Not probed yet")
    page.get_by_role("button", name="Probe now").click()
    expect(page.locator(".banner h2")).to_have_text("Up")
    assert page.url.endswith("/endpoints/smtps")


def test_behind_a_prefix(living: Shown) -> None:
    """Every link is relative: what a proxy serves below a path works there."""
    page = living.open("/")
    page.route("**/mail/**", lambda route: route.continue_(url=route.request.url.replace("/mail/", "/", 1)))
    page.goto(f"{living.site.url}/mail/")
    page.get_by_role("link", name="submission").first.click()
    assert page.url == f"{living.site.url}/mail/endpoints/submission"
    expect(page.locator(".banner h2")).to_have_text("Down")
    page.get_by_role("link", name="About refused").click()
    assert page.url == f"{living.site.url}/mail/reasons#refused"
    page.get_by_role("link", name="Status").click()
    assert page.url == f"{living.site.url}/mail/"


def test_many_endpoints(browser: Browser) -> None:
    """Lines that anybody can use, wide and narrow."""
    with showing(many(FULL_ROWS + 20, 10, 10), browser) as shown:
        for size, scheme in ((WIDE, "light"), (NARROW, "dark")):
            page = shown.open(viewport=size, color_scheme=scheme)
            page.locator("tr[data-s]").first.scroll_into_view_if_needed()
            expect(page.locator("tr[data-s] .strip").first).to_be_attached()
            assert faults(page) == []
            assert is_within(page)
        shown.close()
        assert shown.complaints == []


def test_a_thousand_endpoints(browser: Browser) -> None:
    """Each has a line, with its bar and its strip once it is near; a click narrows them down to whole rows."""
    with showing(many(1000, 25, 10), browser) as shown:
        page = shown.open()
        lines = page.locator("tr[data-s]")
        assert lines.count() == 1000
        expect(lines.first.locator(".strip")).to_be_visible()
        lines.last.scroll_into_view_if_needed()
        expect(lines.last.locator(".bar")).to_be_visible()
        name = lines.last.locator("th").inner_text()
        shown.add(name, (Phase.CONNECT, Reason.REFUSED))
        renew(page)
        expect(page.locator("tr[data-s]", has=page.get_by_role("link", name=name))).to_contain_text("Down refused")
        page.locator(".chips label", has_text="Down").click()
        expect(page.locator("li.row")).to_have_count(26)
        shown.close()
        assert shown.complaints == []
