"""The pages in a real browser, under the Content-Security-Policy that every answer has."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from exporter.model.login import Denial, LoginStatus
from exporter.model.mailbox import Mailbox
from exporter.model.outcome import Phase, TargetKey
from exporter.model.reason import Reason
from exporter.model.release import Answer, Release
from exporter.web import pages
from exporter.web.accounts import Releases
from exporter.web.api import Api
from exporter.web.pages import FULL_ROWS, Pages
from exporter.web.server.application import application
from exporter.web.server.websettings import WebSettings
from tests.examples import ACCOUNT, target
from tests.scenes import HOSTILE, Scene, every_failure, every_state, long_names, mail_domain, many, restored
from tests.servers.browser import Site
from tests.waiting import PATIENCE

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
SUBMISSION = "#submission-any"


def with_policy(app: ASGIApp) -> ASGIApp:
    """The application, with the policy on every answer."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_policy(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"content-security-policy", POLICY.encode())]
            await send(message)

        await app(scope, receive, send_with_policy)

    return answer


class Shown:
    """A scene that is served, and its pages in a browser."""

    def __init__(self, scene: Scene, browser: Browser) -> None:
        self.scene = scene
        self.pages = Pages(scene.store, self._probe, domains=scene.domains)
        releases = Releases(WebSettings(), True, self._release, dict, self.pages.probe_endpoint)
        self.pages.permits_release = releases.permits
        self.released: list[str] = []
        self.site = Site(with_policy(application(self.pages, releases, Api(scene.store, scene.domains))))
        self.errors: list[str] = []
        self._browser = browser
        self._contexts: list[Any] = []

    def open(self, path: str = "/", **options: Any) -> Page:
        """Open a page, and collect its errors and its requests to other sites."""
        context = self._browser.new_context(**{"viewport": {"width": 1280, "height": 800}, **options})
        context.set_default_timeout(1000 * PATIENCE)
        self._contexts.append(context)
        page: Page = context.new_page()
        page.on("console", lambda message: self.errors.append(message.text))
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("request", lambda request: self._note_origin(request.url))
        page.goto(self.site.url + path)
        return page

    def add(self, name: str, failed: tuple[Phase, Reason] | None = None, detail: str | None = None) -> None:
        """Add the Outcome of a probe of an endpoint that ends now."""

        def add() -> None:
            series = next(series for series in self.scene.store if series.target.endpoint.name == name)
            self.scene.add(self.scene.outcome(series.target, self.scene.now, failed=failed, detail=detail))
            self.pages._bodies.forget()  # else the cached page would be served

        self.site.do(add)

    def close(self) -> None:
        """Close every page: an open one goes on refreshing itself."""
        while self._contexts:
            self._contexts.pop().close()

    async def _probe(self, key: TargetKey) -> None:
        self.scene.add(self.scene.outcome(self.scene.store[key].target, self.scene.now + 1))
        if self.released:
            last = self.scene.store[key].last
            assert last is not None
            self.scene.store[key].add(replace(last, login=LoginStatus(Denial.HOLD, last.ended_at, has_trial=True)))

    async def _release(self, account: str) -> tuple[Release, Mailbox]:
        self.released.append(account)
        return Release(Answer.RELEASED), Mailbox(account, frozenset(), ())

    def _note_origin(self, url: str) -> None:
        if not url.startswith(self.site.url):
            self.errors.append(f"a request to {urlsplit(url).netloc}")


@contextmanager
def showing(scene: Scene, browser: Browser) -> Iterator[Shown]:
    """Serve a scene."""
    shown = Shown(scene, browser)
    with shown.site:
        yield shown
        shown.close()


def without_errors(shown: Shown) -> Iterator[Shown]:
    """Yield what is served for one test, and check that no page had an error."""
    yield shown
    shown.close()
    assert shown.errors == []


@pytest.fixture(scope="module")
def served_states(browser: Browser) -> Iterator[Shown]:
    """Five endpoints in every state."""
    with showing(every_state(), browser) as shown:
        yield shown


@pytest.fixture(scope="module")
def served_failures(browser: Browser) -> Iterator[Shown]:
    """Every kind of failure."""
    with showing(every_failure(), browser) as shown:
        yield shown


@pytest.fixture
def states(served_states: Shown) -> Iterator[Shown]:
    """Five endpoints in every state, which no test changes."""
    yield from without_errors(served_states)


@pytest.fixture
def failures(served_failures: Shown) -> Iterator[Shown]:
    """Every kind of failure, which no test changes."""
    yield from without_errors(served_failures)


@pytest.fixture
def shown(browser: Browser) -> Iterator[Shown]:
    """Five endpoints in every state, for a test to change."""
    with showing(every_state(), browser) as shown:
        yield from without_errors(shown)


def refresh(page: Page) -> None:
    """Let the page refresh itself now, as it does when it becomes visible."""
    with page.expect_response(lambda response: response.request.resource_type == "fetch"):
        page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    page.wait_for_timeout(50)


def violations(page: Page) -> list[str]:
    """The serious and critical violations that axe-core finds."""
    found = Axe().run(page).response["violations"]
    return [
        f"{one['id']}: {node['target']} {node['failureSummary']}"
        for one in found
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"]
    ]


def fits(page: Page) -> bool:
    """Whether nothing is wider than the window."""
    return bool(page.evaluate("document.documentElement.scrollWidth <= innerWidth"))


WIDE, NARROW = {"width": 1280, "height": 800}, {"width": 390, "height": 844}


@pytest.mark.parametrize("path", ["/", "/endpoints/imap-legacy", "/reasons"])
@pytest.mark.parametrize(("scheme", "size"), [("light", WIDE), ("dark", NARROW)], ids=["light-wide", "dark-narrow"])
def test_accessibility(states: Shown, path: str, scheme: str, size: dict[str, int]) -> None:
    """Pages have no serious violation and fit the window, light and dark, wide and narrow."""
    page = states.open(path, color_scheme=scheme, viewport=size)
    assert violations(page) == []
    assert fits(page)


@pytest.mark.parametrize(
    ("path", "scheme"), [("/", "dark"), ("/", "light"), ("/endpoints/hostile", "dark"), ("/endpoints/both", "light")]
)
def test_accessibility_of_failures(failures: Shown, path: str, scheme: str) -> None:
    """Pages with failures have no serious violation and fit the window, with all details open."""
    page = failures.open(path, color_scheme=scheme, viewport=NARROW if scheme == "light" else WIDE)
    page.evaluate("document.querySelectorAll('details').forEach(details => details.open = true)")
    assert violations(page) == []
    assert fits(page)


@pytest.mark.parametrize("path", ["/", "/endpoints/mx"])
@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
def test_accessibility_of_a_mail_domain(browser: Browser, path: str, size: dict[str, int]) -> None:
    """Its pages have no serious violation, and fit the window however long the names of its exchanges are."""
    with showing(mail_domain(), browser) as shown:
        page = shown.open(path, viewport=size)
        assert violations(page) == []
        assert fits(page)


_CUT = """() => {
  const cut = [], walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    if (walker.currentNode.parentElement.closest("details, .scroll")) continue;  // tables, which can be scrolled
    const range = document.createRange();
    range.selectNodeContents(walker.currentNode);
    if (Array.from(range.getClientRects()).some((each) => each.right > innerWidth)) cut.push(range.toString());
  }
  return cut;
}"""


@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
def test_long_names(browser: Browser, size: dict[str, int]) -> None:
    """No name, host, label or text of a server is cut, or makes the page wider than the window."""
    with showing(long_names(), browser) as shown:
        for path in ("/", f"/endpoints/{'x' * 63}", "/endpoints/a.b-c_."):
            page = shown.open(path, viewport=size)
            assert (fits(page), page.evaluate(_CUT)) == (True, [])


@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
def test_no_term_runs_into_its_meaning(states: Shown, size: dict[str, int]) -> None:
    """The longest verdict has room beside what it means."""
    page = states.open("/reasons", viewport=size)
    terms = page.locator(".terms dt")
    expect(terms.filter(has_text="resolver_failing")).to_have_count(1)
    assert not terms.evaluate_all("all => all.filter((each) => each.scrollWidth > each.clientWidth).length")


def test_hostile_text(failures: Shown) -> None:
    """A hostile text of a server is shown as it is, and nothing in it is run or loaded."""
    page = failures.open("/?q=hostile")
    expect(page.locator(".cause .detail")).to_have_text(HOSTILE)
    page.goto(f"{failures.site.url}/endpoints/hostile")
    expect(page.locator(".cause .detail")).to_have_text(HOSTILE)
    assert page.locator("img, script:not([src])").count() == 0


def test_without_javascript(states: Shown) -> None:
    """Without JavaScript the page reloads itself, has all rows with times in UTC, and filters by a form."""
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


def test_times(states: Shown) -> None:
    """Times are in the zone of the browser, with the time in UTC on hover."""
    texts = set()
    for zone in ("Asia/Tokyo", "America/New_York"):
        time = states.open("/?q=pop3", timezone_id=zone).locator(".since time")
        texts.add(time.inner_text())
        assert time.get_attribute("title") == time.get_attribute("datetime").replace("T", " ").replace("Z", " UTC")  # type: ignore[union-attr]
    assert len(texts) == 2


def test_more_than_colour(states: Shown) -> None:
    """Every state has a shape and a label, every phase a name and a number for hover and screen readers."""
    page = states.open()
    rows = page.locator("li.row")
    marks = {rows.nth(number).locator(".state use").get_attribute("href") for number in range(5)}
    labels = {rows.nth(number).locator(".state strong").inner_text() for number in range(5)}
    assert len(marks) == len(labels) == 5
    bar = page.locator("#imap-any .bar")
    assert "connect" in (bar.get_attribute("aria-label") or "")
    assert bar.locator("rect title").count() == 8


def test_link_to_a_kept_failure(states: Shown) -> None:
    """A click on a failure in the strip leads to the kept failure, which is open."""
    page = states.open()
    page.locator("#imap-any .strip a").first.click()
    assert "/endpoints/imap#failure-" in page.url
    expect(page.locator("details.failure:target")).to_have_attribute("open", "")


def test_filters(states: Shown) -> None:
    """Filters apply without a reload, and are in the URL, which can be shared."""
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


def test_refresh(shown: Shown) -> None:
    """The page refreshes row, sentence, title and icon within seconds."""
    page = shown.open("/?q=imap")
    assert page.locator("#imap-any .state strong").inner_text() == "Up"
    shown.add("imap", (Phase.CONNECT, Reason.REFUSED))
    expect(page.locator("#imap-any .state strong")).to_have_text("Down")
    expect(page.locator("h1")).to_contain_text("imap and submission: Google refuses connections since")
    assert page.title().startswith("2 down")
    assert "down.svg" in (page.locator("link[rel=icon]").get_attribute("href") or "")
    assert page.url.endswith("?q=imap")


def test_refresh_keeps_the_state_of_the_page(shown: Shown) -> None:
    """Scroll position, focus, open details, typed text and the elements of unchanged rows stay."""
    page = shown.open("/?group=none", viewport={"width": 900, "height": 400})
    page.locator(f"{SUBMISSION} summary").click()
    page.locator("#imap-any summary").click()
    link = page.locator(f"{SUBMISSION} .cause a", has_text="About refused")
    link.focus()
    page.evaluate("document.querySelector('#pop3-any').marked = true; scrollTo(0, 300)")
    before = page.evaluate("scrollY")
    shown.add("submission", (Phase.CONNECT, Reason.UNREACHABLE), "no route")
    shown.add("submission", (Phase.CONNECT, Reason.REFUSED), "once more")
    refresh(page)
    expect(page.locator(f"{SUBMISSION} .detail")).to_have_text("once more")
    assert page.evaluate("document.activeElement.textContent") == "About refused"
    assert page.locator(f"{SUBMISSION} details").get_attribute("open") == ""
    assert page.locator("#imap-any details").get_attribute("open") == ""
    assert page.evaluate("document.querySelector('#pop3-any').marked") is True
    assert page.evaluate("scrollY") == before
    page.get_by_label("Search").press_sequentially("sub")
    refresh(page)
    assert page.get_by_label("Search").input_value() == "sub"
    assert page.evaluate("document.activeElement.name") == "q"


def test_refresh_keeps_a_selection(shown: Shown) -> None:
    """A row with selected text is refreshed once the selection is gone."""
    page = shown.open()
    page.evaluate("getSelection().selectAllChildren(document.querySelector('#submission-any .detail'))")
    shown.add("submission", (Phase.CONNECT, Reason.REFUSED), "other words")
    refresh(page)
    assert page.evaluate("getSelection().toString()") == "Connection refused"
    page.evaluate("getSelection().removeAllRanges()")
    refresh(page)
    expect(page.locator(f"{SUBMISSION} .detail")).to_have_text("other words")


def test_refresh_after_a_reload(shown: Shown) -> None:
    """After a reload, a new endpoint appears in its place and a removed one is gone."""
    page = shown.open()
    kept = [series.target for series in shown.scene.store]
    shown.site.do(lambda: shown.scene.configure(*kept[1:], target("new", account=ACCOUNT)))
    shown.pages._bodies.forget()
    refresh(page)
    expect(page.locator("#imap-any")).to_have_count(0)
    expect(page.locator("#new-any .state strong")).to_have_text("Not probed yet")
    names = page.locator("li.row h3").all_inner_texts()
    assert names == ["submission", "smtps", "imap-legacy", "pop3", "new"]


def test_no_answer(shown: Shown) -> None:
    """A message says since when the exporter does not answer; the rows stay."""
    page = shown.open()
    shown.site.stop()
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    expect(page.locator("#no-answer")).to_contain_text("The exporter does not answer since")
    assert page.locator("li.row").count() == 5
    shown.errors[:] = [text for text in shown.errors if "net::ERR_" not in text]


def test_pause(shown: Shown) -> None:
    """A paused page sends no request until it is continued."""
    page = shown.open()
    page.get_by_role("button", name="Pause").click()
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    page.wait_for_timeout(200)
    assert requests == []
    with page.expect_response(lambda response: response.ok):
        page.get_by_role("button", name="Paused").click()


def test_probe_now(shown: Shown) -> None:
    """The button leads back to the page, which shows the new probe."""
    page = shown.open("/endpoints/smtps")
    expect(page.locator(".banner h2")).to_have_text("Not probed yet")
    page.get_by_role("button", name="Probe now").click()
    expect(page.locator(".banner h2")).to_have_text("Up")
    assert page.url.endswith("/endpoints/smtps")


def test_release(shown: Shown) -> None:
    """The button leads back to the page, which says that one login is permitted, and has no button any more."""
    page = shown.open("/endpoints/imap-legacy")
    page.get_by_role("button", name="Permit one login").click()
    expect(page.get_by_text("for one login, which is still to be made")).to_be_visible()
    assert page.url.endswith("/endpoints/imap-legacy")
    assert shown.released == ["legacy"]
    expect(page.get_by_role("button", name="Permit one login")).to_have_count(0)


def test_probe_now_twice(shown: Shown, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second click within seconds shows the result of the first, and says why."""
    monkeypatch.setattr(pages, "BETWEEN_PROBES", PATIENCE)
    page = shown.open("/endpoints/smtps")
    page.get_by_role("button", name="Probe now").click()
    expect(page.locator(".banner h2")).to_have_text("Up")
    page.get_by_role("button", name="Probe now").click()
    expect(page.get_by_text("probed a moment ago")).to_be_visible()
    expect(page.locator(".banner h2")).to_have_text("Up")


@pytest.mark.parametrize("scripted", [True, False], ids=["with-script", "without"])
def test_chart_on_a_telephone(states: Shown, scripted: bool) -> None:
    """The newest probes and the axis are in view, and the text is legible."""
    page = states.open("/endpoints/imap", viewport=NARROW, java_script_enabled=scripted)
    chart = page.locator(".chart").bounding_box()
    frame = page.locator(".scroll-x").bounding_box()
    assert chart is not None
    assert frame is not None
    assert chart["x"] < frame["x"]  # there is more on the left
    assert abs(chart["x"] + chart["width"] - frame["x"] - frame["width"]) < 2
    heights = [box["height"] for box in (text.bounding_box() for text in page.locator(".chart text").all()) if box]
    assert min(heights) > 11


def test_below_a_prefix(shown: Shown) -> None:
    """Every link works where a proxy serves the pages below a prefix."""
    page = shown.open("/")
    page.route("**/mail/**", lambda route: route.continue_(url=route.request.url.replace("/mail/", "/", 1)))
    page.goto(f"{shown.site.url}/mail/")
    page.get_by_role("link", name="submission").first.click()
    assert page.url == f"{shown.site.url}/mail/endpoints/submission"
    expect(page.locator(".banner h2")).to_have_text("Down")
    page.get_by_role("link", name="About refused").click()
    assert page.url == f"{shown.site.url}/mail/reasons#refused"
    page.get_by_role("link", name="Status").click()
    assert page.url == f"{shown.site.url}/mail/"


def test_many_endpoints(browser: Browser) -> None:
    """The table of many endpoints has no serious violation and fits the window, wide and narrow."""
    with showing(many(FULL_ROWS + 20, 10, 10), browser) as shown:
        for size, scheme in ((WIDE, "light"), (NARROW, "dark")):
            page = shown.open(viewport=size, color_scheme=scheme)
            page.locator("tr[data-s]").first.scroll_into_view_if_needed()
            expect(page.locator("tr[data-s] .strip").first).to_be_attached()
            assert violations(page) == []
            assert fits(page)
        shown.close()
        assert shown.errors == []


def test_after_a_restart(browser: Browser) -> None:
    """Endpoints that were not probed yet have the bars of before, in a table and one by one."""
    for count in (2, FULL_ROWS + 20):
        with showing(restored(count), browser) as shown:
            page = shown.open()
            expect(page.locator(".strip").first).to_be_visible()
            expect(page.locator(".bar")).to_have_count(0)
            assert fits(page)
            shown.open("/endpoints/imap-0000")
            shown.close()
            assert shown.errors == []


def test_thousand_endpoints(browser: Browser) -> None:
    """1,000 endpoints have pages of 100 lines, drawn when they are near the window; a filter leads to full rows."""
    with showing(many(1000, 25, 10), browser) as shown:
        page = shown.open()
        lines = page.locator("tr[data-s]")
        assert lines.count() == 100
        expect(lines.first.locator(".strip")).to_be_visible()
        lines.last.scroll_into_view_if_needed()
        expect(lines.last.locator(".bar")).to_be_visible()
        name = lines.last.locator("th").inner_text()
        shown.add(name, (Phase.CONNECT, Reason.REFUSED))
        refresh(page)
        expect(page.locator("tr[data-s]", has=page.get_by_role("link", name=name))).to_contain_text("Down refused")
        page.get_by_role("link", name="Next").click()
        expect(page.get_by_text("Page 2 of 10")).to_be_visible()
        page.locator(".chips label", has_text="Down").click()
        expect(page.locator("li.row")).to_have_count(26)
        shown.close()
        assert shown.errors == []
