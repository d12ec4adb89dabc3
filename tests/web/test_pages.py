"""The pages, in process."""

from __future__ import annotations

import html
import json
import re
from dataclasses import replace
from typing import Any

import pytest

from exporter.model.evidence import (
    ControlKind,
    ControlState,
    Evidence,
    Hop,
    PathEnd,
    TcpEvidence,
    TcpFinding,
    Trace,
)
from exporter.model.outcome import Phase
from exporter.model.reason import Reason, fill
from exporter.model.remedy import REMEDIES
from exporter.model.verdict import Verdict
from exporter.monitor.store import Store
from exporter.verdict.judge import judged
from exporter.web.pages import FULL_ROWS
from tests.examples import ACCOUNT, UNREAD, failure, target
from tests.scenes import HOSTILE, Scene, certificates, every_failure, every_state, many, restored
from tests.web.conftest import Site

BIDI = "\u202e\u2066\x1b\0"


@pytest.fixture(scope="module")
def thousand() -> Store:
    """1,000 endpoints, which take seconds to make; for tests that only look."""
    return many(1000).store


@pytest.mark.parametrize("path", ["/", "/?state=down&q=x", "/reasons", "/endpoints/imap"])
async def test_page(site: Site, path: str) -> None:
    """A page is HTML in English with one main heading; its links are relative, for it may be below a prefix."""
    site.show(every_state().store)
    answer = await site.request(path)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert '<html lang="en">' in answer.text
    assert answer.text.count("<h1") == 1
    for link in re.findall(r'(?:href|src|action)="?([^"> ]+)', answer.text):
        assert not link.startswith(("/", "http:", "https:", "javascript:", "data:")), link


async def test_links(site: Site) -> None:
    """Every link of the status page has a target: a page, a file, or a section that its fragment names."""
    site.show(every_failure().store)
    page = (await site.request("/")).text
    targets: dict[str, str] = {}
    for link in set(re.findall(r'href="([^"#]+(?:#[^"]*)?)"', page)):
        path, _, fragment = link.partition("#")
        if path in ("metrics", "api/v1/endpoints"):
            continue
        if path not in targets:
            answer = await site.request("/" + path.removeprefix("./"))
            assert answer.status_code == 200, link
            targets[path] = answer.text
        if fragment:
            assert f'id="{fragment}"' in targets[path], link


async def test_hostile_text(site: Site) -> None:
    """Hostile texts of a server are escaped on every page, and unchanged in the JSON."""
    scene = every_failure()
    hostile = next(series.target for series in scene.store if series.target.endpoint.name == "hostile")
    tls = certificates(scene.now, subject=HOSTILE)
    facts: dict[str, Any] = {"tls": tls, "capabilities": (HOSTILE,), "address": HOSTILE}
    refused = (Phase.GREETING, Reason.SERVER_REFUSED)
    scene.add(scene.outcome(hostile, scene.now, failed=refused, detail=HOSTILE, **facts))
    site.show(scene.store)
    for path in ("/", "/?group=none", "/endpoints/hostile"):
        page = (await site.request(path)).text
        assert "<script>alert" not in page
        assert "<img" not in page
        assert " onmouseover='x'" not in page
        assert html.escape(HOSTILE).replace("&#x27;", "&#39;").replace("&quot;", "&#34;") in page
        assert not set(BIDI) & set(page)
    body = (await site.request("/api/v1/endpoints/hostile")).text
    assert body.isascii()
    assert json.loads(body)["endpoints"][0]["last"]["detail"] == HOSTILE


async def test_hostile_text_among_many(site: Site) -> None:
    """With many endpoints a hostile text is shown once, and escaped."""
    scene = many(FULL_ROWS + 10)
    for series in list(scene.store)[:5]:
        scene.add(scene.outcome(series.target, scene.now, failed=(Phase.LOGIN, Reason.SERVER_REFUSED), detail=HOSTILE))
    site.show(scene.store)
    page = (await site.request("/")).text
    assert "<script>alert" not in page
    assert page.count("&lt;script&gt;alert") == 1


async def test_thousand_endpoints(site: Site) -> None:
    """1,000 endpoints have ten pages of 100 lines each, less than 50 KB a page, the worst on the first."""
    scene = many(1000)
    all_series = list(scene.store)
    site.show(scene.store)
    for down in (0, 412, 1000):
        for series in all_series[:down]:
            scene.add(scene.outcome(series.target, scene.now, failed=(Phase.CONNECT, Reason.REFUSED)))
        names: list[str] = []
        for number in range(1, 11):
            page = await site.request(f"/?group=none&page={number}")
            assert len(page.content) < 50_000
            assert page.text.count(" data-s=") == 100
            assert page.text.count("<i>refused</i>") == min(100, max(0, down - 100 * (number - 1)))
            assert ("What fails" in page.text) is (down > 0)
            assert f"Page {number} of 10" in page.text
            assert ('rel="prev"' in page.text, 'rel="next"' in page.text) == (number > 1, number < 10)
            names += re.findall(r'<th><a href="endpoints/([^"]+)">', page.text)
        assert len(set(names)) == 1000
        site.pages._bodies.forget()


@pytest.mark.parametrize("page", ["0", "-1", "11", "99999", "9" * 5000, "x", "\u0663", ""])
async def test_pages_that_are_none(site: Site, thousand: Store, page: str) -> None:
    """A number that is no page leads to the first or the last one."""
    site.show(thousand)
    answer = await site.request(f"/?page={page}")
    assert answer.status_code == 200
    assert f"Page {10 if page in ('11', '99999') else 1} of 10" in answer.text


async def test_links_to_pages_keep_the_filter(site: Site, thousand: Store) -> None:
    """The next page has the same filter and the same grouping."""
    site.show(thousand)
    page = (await site.request("/?q=imap+%22&group=host&page=2")).text
    assert "No endpoint matches" in page
    page = (await site.request("/?q=imap&group=host&page=2")).text
    assert 'href="?q=imap&amp;group=host" rel="prev"' in page
    assert 'href="?q=imap&amp;group=host&amp;page=3" rel="next"' in page


async def test_shared_problem(site: Site) -> None:
    """What fails in the same way at several endpoints is explained once, and each row leads to it."""
    scene = every_state()
    site.show(scene.store)
    smtps = next(series.target for series in scene.store if series.target.endpoint.name == "smtps")
    page = (await site.request("/?group=none")).text
    assert "What fails at several endpoints" not in page
    scene.add(scene.outcome(smtps, scene.now, failed=(Phase.CONNECT, Reason.REFUSED)))
    page = (await site.request("/")).text
    assert "What fails at several endpoints" in page
    assert page.count('href="#problem-connect-refused-unknown"') == 2
    assert page.count('id="problem-connect-refused-unknown"') == 1
    assert page.count("About refused") == 1


@pytest.mark.parametrize("login", [0, 1], ids=["without logins", "with logins"])
async def test_title_of_a_group(site: Site, login: int) -> None:
    """The title of a group spans all columns, of which there is one more where there are accounts."""
    site.show(many(FULL_ROWS + 1, down=1, login=login).store)
    page = (await site.request("/")).text
    columns = page.partition("<thead")[2].partition("</thead>")[0].count('<th scope="col">')
    assert columns == 6 + login
    assert set(re.findall(r'colspan="(\d+)" scope="rowgroup"', page)) == {str(columns)}


async def test_filters(site: Site) -> None:
    """Endpoints are filtered by state, protocol and text, and the form shows the filter."""
    site.show(every_state().store)

    async def names(query: str) -> list[str]:
        page = (await site.request(f"/?{query}")).text
        return re.findall(r'<h3><a href="endpoints/([^"]+)"', page)

    assert await names("") == ["submission", "smtps", "imap-legacy", "pop3", "imap"]
    assert await names("state=down") == ["submission"]
    assert await names("protocol=pop3") == ["pop3"]
    assert await names("q=switched+off") == ["imap-legacy"]
    assert await names("q=DISABLED_for") == ["imap-legacy"]
    assert await names("group=none&state=up") == ["imap"]
    page = (await site.request("/?state=down&protocol=smtp&q=%22%3E%3Cscript%3E")).text
    assert 'value="down" checked' in page
    assert 'selected value="smtp"' in page
    assert 'value="&#34;&gt;&lt;script&gt;"' in page
    assert "No endpoint matches" in page


async def test_row_of_a_failure(site: Site) -> None:
    """A failure has state, reason, fault, the server's text and the remedy, with links to its reason and dialogue."""
    site.show(every_state().store)
    page = (await site.request("/?q=imap-legacy")).text
    for text in (
        "Up, account problem",
        "The account has IMAP switched off",
        "disabled_for_account in login",
        "the mailbox, its owner, its quota or its administrator",
        "[ALERT] Your account is not enabled for IMAP use.",
        "release the account legacy",
        'href="reasons#disabled_for_account"',
        "the same secret is not sent again",
    ):
        assert text in page, text
    (anchor,) = set(re.findall(r'href="endpoints/imap-legacy#(failure-[^"]+)">Dialogue', page))
    assert f'id="{anchor}"' in (await site.request("/endpoints/imap-legacy")).text


async def test_evidence(site: Site) -> None:
    """What TCP saw of a failure is a sentence on the page of the endpoint."""
    scene = Scene()
    failed = failure(target(), Phase.GREETING, Reason.TIMEOUT)
    seen = replace(failed, observed=replace(failed.observed, tcp=TcpEvidence(TcpFinding.SILENT, 0, 0, 1, 0)))
    scene.configure(seen.target)
    scene.add(judged(seen))
    site.show(scene.store)
    page = (await site.request("/endpoints/imap")).text
    assert "<dt>Evidence</dt><dd>All that was sent was acknowledged, and then nothing came" in page
    assert "(0 segments not acknowledged, 0 sent again, 1 octets acknowledged, 0 octets received)" in page


async def test_endpoint(site: Site) -> None:
    """An endpoint has latency, certificates, capabilities, mailbox, login budget, dialogues and failures."""
    site.show(every_state().store)
    page = (await site.request("/endpoints/imap")).text
    for text in (
        "Latency by phase",
        "CN=GTS Root R1,O=Google Trust Services LLC",
        "AUTH=XOAUTH2",
        "ESEARCH",
        "do not see it",
        "11.8 GB of 16.1 GB used",
        "34 of 200 logins",
        "AUTHENTICATE PLAIN [redacted]",
        "No answer while connecting",
        "<bdi>tenant: acme</bdi>",
    ):
        assert text in page, text
    assert page.count('<details class="failure"') == 2
    assert "No line was exchanged" in page


async def test_interception(site: Site) -> None:
    """Even while everything is up, the row names the issuer, escaped; a root that need not be public is only a fact."""
    scene = Scene()
    targets = target("a", host="imap.gmail.com"), target("b", host="mail.example.com")
    scene.configure(*targets)
    facts = replace(certificates(scene.now), issuer="CN=Office <Proxy>", public_root=False)
    for each in targets:
        scene.add(scene.outcome(each, scene.now, tls=facts))
    site.show(scene.store)
    page = (await site.request("/")).text
    assert "<title>TLS is intercepted" in page
    assert '<h1 class="login"' in page
    assert "TLS is intercepted at a: <" in page
    assert page.count("TLS is intercepted:</strong>") == 1
    assert "the certificate is from CN=Office &lt;Proxy&gt;, whose root only this host trusts" in page
    assert "not one that the public trusts" in (await site.request("/endpoints/b")).text
    facts = replace(facts, public_root=True)
    scene.add(scene.outcome(targets[0], scene.now + 30, tls=facts))
    site.pages._bodies.forget()
    assert "TLS is intercepted" not in (await site.request("/")).text
    assert "Its root is one that the public trusts." in (await site.request("/endpoints/a")).text


async def test_interception_among_many(site: Site) -> None:
    """A line has it, too, without the issuer."""
    scene = many(FULL_ROWS + 1)
    probed = next(iter(scene.store)).target
    gmail = target("gmail", host="imap.gmail.com")
    scene.configure(*(series.target for series in list(scene.store)), gmail)
    for each in (probed, gmail):
        scene.add(scene.outcome(each, scene.now, tls=replace(certificates(scene.now), public_root=False)))
    site.show(scene.store)
    assert (await site.request("/")).text.count("<i>TLS is intercepted</i>") == 1


async def test_unread_certificate(site: Site) -> None:
    """A certificate that only OpenSSL can read is shown with what is known of it."""
    scene = Scene()
    imap = target()
    scene.configure(imap)
    scene.add(scene.outcome(imap, scene.now, tls=UNREAD))
    site.show(scene.store)
    page = (await site.request("/endpoints/imap")).text
    assert "not known: only OpenSSL can read this certificate" in page
    assert "(no subject that can be read)" in page
    assert UNREAD.fingerprint_sha256 in page
    assert "2030-03-17" in page
    assert "none seen" in (await site.request("/")).text


async def test_last_login(site: Site) -> None:
    """The last successful login has its own section where later probes had no login."""
    scene = Scene()
    imap = target(account=ACCOUNT)
    scene.configure(imap)
    site.show(scene.store)
    scene.add(scene.outcome(imap, scene.now - 30, login=True))
    assert "Last successful login" not in (await site.request("/endpoints/imap")).text
    scene.add(scene.outcome(imap, scene.now))
    page = (await site.request("/endpoints/imap")).text
    assert "Last successful login" in page
    assert page.count("AUTHENTICATE PLAIN [redacted]") == 1


async def test_both_families(site: Site) -> None:
    """Both address families of an endpoint are on one page, each with its state."""
    site.show(every_failure().store)
    page = (await site.request("/endpoints/both")).text
    assert page.count('<article class="series"') == 2
    assert "ipv4: " in page
    assert "ipv6: Down" in page


async def test_pending_and_unknown_endpoints(site: Site) -> None:
    """An endpoint that was not probed yet has a page; one that does not exist is answered with 404."""
    site.store.configure([target("new", account=ACCOUNT)])
    assert "Not probed yet" in (await site.request("/endpoints/new")).text
    for path in ("/endpoints/unknown", "/endpoints/%3Cscript%3E"):
        answer = await site.request(path)
        assert answer.status_code == 404
        assert "<h1>No endpoint is called " in answer.text
        assert '<a href="../">All endpoints</a>' in answer.text
        assert "<script>" not in answer.text
    answer = await site.request("/endpoints/unknown/probe", "POST")
    assert answer.status_code == 404
    assert '<a href="../../">All endpoints</a>' in answer.text


async def test_long_dialogue(site: Site) -> None:
    """A long dialogue is cut, with a note that the JSON has the rest."""
    scene = Scene()
    imap = target()
    scene.configure(imap)
    outcome = scene.outcome(imap, scene.now, login=True)
    object.__setattr__(outcome, "dialogue", outcome.dialogue * 100)
    scene.add(outcome)
    site.show(scene.store)
    page = (await site.request("/endpoints/imap")).text
    assert "more lines, which the JSON has" in page
    assert page.count("1 CAPABILITY") < 20


async def test_what_is_not_kept(site: Site) -> None:
    """Where dialogue, certificates and capabilities of a talkative server were dropped, the page says so."""
    scene = Scene()
    imap = target()
    scene.configure(imap)
    outcome = scene.outcome(imap, scene.now, failed=(Phase.CAPABILITY, Reason.CLOSED))
    scene.add(replace(outcome, dialogue=outcome.dialogue * 10))
    kept = scene.store[imap.key].kept
    while kept.drop():
        pass
    site.show(scene.store)
    page = (await site.request("/endpoints/imap")).text
    assert "(dialogue not kept: 50 lines, " in page
    assert "Certificates not kept: " in page
    assert "Capabilities not kept: " in page
    assert "None seen." not in page


async def test_after_a_restart(site: Site) -> None:
    """Before its first probe an endpoint has its bars, its latency and its failures; it is not called down."""
    site.show(restored().store)
    page = (await site.request("/")).text
    assert page.count("Not probed yet") >= 2
    assert page.count('<path class="up"') == 2
    assert page.count('<path class="down"') >= 1
    assert "none yet" in page
    page = (await site.request("/endpoints/imap-0000")).text
    assert '<svg class="chart"' in page
    assert "Latency by phase" in page
    assert "Connection refused" in page
    assert "Last connection" not in page
    site.show(restored(FULL_ROWS + 1).store)
    page = (await site.request("/?q=imap")).text  # another page than the one that is cached
    assert page.count("<tr class=pending data-s=") == FULL_ROWS + 1
    assert "data-p=" not in page


async def test_probe_now(site: Site) -> None:
    """A request probes every address family and leads to the page; a second one within 5 seconds only leads there."""
    site.show(every_failure().store)
    assert "Probe now" in (await site.request("/endpoints/both")).text
    answer = await site.request("/endpoints/both/probe", "POST")
    assert (answer.status_code, answer.headers["location"]) == (303, "../both")
    assert [key[0] for key in site.probed] == ["both", "both"]
    again = await site.request("/endpoints/both/probe", "POST")
    assert (again.status_code, again.headers["location"]) == (303, "../both?early")
    assert len(site.probed) == 2
    assert "probed a moment ago" in (await site.request("/endpoints/both?early")).text
    assert "probed a moment ago" not in (await site.request("/endpoints/both")).text
    assert (await site.request("/endpoints/dns/probe", "POST")).status_code == 303
    assert (await site.request("/endpoints/both/probe")).status_code == 405


async def test_probe_now_is_off(site: Site) -> None:
    """Without --web.enable-lifecycle there is no button, and the request is answered with 403."""
    site.show(every_state().store)
    site.pages.probe = None
    site.pages.check_command = ("gmail-exporter", "check", "--config.file=/etc/my mail.yml")
    page = (await site.request("/endpoints/imap")).text
    assert "Probe now" not in page
    assert "to probe now: <code>gmail-exporter check &#39;--config.file=/etc/my mail.yml&#39; imap</code>" in page
    answer = await site.request("/endpoints/imap/probe", "POST")
    assert answer.status_code == 403
    assert "--web.enable-lifecycle" in answer.text


async def test_lines_are_cached(site: Site) -> None:
    """A line is rendered once per Outcome, and dropped with its target."""
    scene = many(FULL_ROWS + 1)
    site.show(scene.store)
    await site.request("/")
    first = dict(site.pages._lines)
    probed = next(iter(scene.store)).target
    scene.add(failure(probed))
    await site.request("/?q=imap")
    changed = [key for key, line in site.pages._lines.items() if line is not first[key]]
    assert changed == [probed.key]
    scene.configure(probed, *[target(f"new-{number}") for number in range(FULL_ROWS)])
    for query in "abc":
        await site.request(f"/?group=none&x={query}")
        site.pages._bodies.forget()
    assert len(site.pages._lines) <= 2 * len(scene.store)


async def test_lines_with_the_first_account(site: Site) -> None:
    """The first account adds a column to all lines, also to those of targets that did not change."""
    scene = many(FULL_ROWS + 1)
    site.show(scene.store)
    await site.request("/")
    site.pages._bodies.forget()
    scene.configure(*[series.target for series in scene.store], target("with-account", account=ACCOUNT))
    page = (await site.request("/?group=none")).text
    lines = [line for line in page.split("<tr ") if "<th><a" in line]
    assert len(lines) == FULL_ROWS + 2
    assert len({line.count("<td") for line in lines}) == 1


async def test_pages_are_cached(site: Site) -> None:
    """A page is cached for a second, by its filter."""
    scene = every_state()
    site.show(scene.store)
    before = (await site.request("/")).text
    scene.add(failure(next(iter(scene.store)).target))
    assert (await site.request("/")).text == before
    assert (await site.request("/?group=none")).text != before


async def test_reasons(site: Site) -> None:
    """Every reason but ok has a section with its remedy."""
    page = (await site.request("/reasons")).text
    for reason in Reason:
        assert (f'id="{reason}"' in page) is (reason is not Reason.OK)
        assert (f'href="#{reason}"' in page) is (reason is not Reason.OK)
        assert reason is Reason.OK or html.escape(fill(REMEDIES[reason]), quote=False).split("'")[0] in page


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("timeout", Reason.TIMEOUT),
        ("App PASSWORD 2-step", Reason.AUTH_APP_PASSWORD_REQUIRED),
        ("tls_no_sni", Reason.TLS_NO_SNI),
    ],
)
async def test_search_of_reasons(site: Site, text: str, found: Reason) -> None:
    """The reasons that have each word are listed, and the form shows the words."""
    page = (await site.request(f"/reasons?q={text}")).text
    assert f'id="{found}"' in page
    assert f'id="{Reason.INTERNAL}"' not in page
    assert f'value="{text}"' in page


async def test_search_of_reasons_finds_none(site: Site) -> None:
    """Where no reason has the words, the page says so, and has them escaped."""
    page = (await site.request("/reasons?q=%22%3E%3Cscript%3E")).text
    assert "No reason has these words" in page
    assert "<script>" not in page.replace("<script src", "")


@pytest.mark.parametrize(
    ("interval", "told"),
    [
        (900.0, "at most one in 15m here"),
        (
            3927.3,
            "at most one in 1h5m28s here, not in 15m: the endpoints of this mailbox ask for more than are planned in a "
            "day",
        ),
    ],
)
async def test_login_interval(site: Site, interval: float, told: str) -> None:
    """The page has the interval of the plan, and says why it is longer than the one configured."""
    scene = Scene()
    imap = target(account=ACCOUNT)
    scene.configure(imap)
    site.show(scene.store)
    scene.add(scene.outcome(imap, scene.now), login_interval=interval)
    page = (await site.request("/endpoints/imap")).text
    assert f"34 of 200 logins of this mailbox in 24 hours; {told}</dd>" in page


async def test_verdict(site: Site) -> None:
    """The cause has the verdict and what it rests on, the endpoint's page also what was looked at, and the path."""
    scene = Scene()
    scene.configure(imap := target(interval=600.0))
    hops = (Hop(1, "192.0.2.1", 0.001), Hop(2, None, None))
    evidence = Evidence(
        trace=Trace("198.51.100.9", 993, hops, PathEnd.NOTHING, None, 1.0),
        controls=(ControlState("near", ControlKind.NEUTRAL, HOSTILE, 443, up=False, was_ever_up=True, ip_version=4),),
    )
    down = scene.outcome(imap, scene.now, failed=(Phase.CONNECT, Reason.TIMEOUT), ip_version=4)
    scene.add(judged(replace(down, evidence=evidence)))
    site.show(scene.store)
    page = ""
    for path in ("/", "/endpoints/imap"):
        page = html.unescape((await site.request(path)).text)
        assert "our network is down (no other host that was tried answers)" in page
        assert 'reasons#verdict-network_down">network_down</a>' in page
        assert "Look at the host's link, its router" in page
    assert "Path to port 993" in page
    assert "1 192.0.2.1 1.0 ms → nothing answers behind hop 1" in page
    assert "<script>alert" not in (await site.request("/endpoints/imap")).text
    reasons = (await site.request("/reasons")).text
    assert all(f'id="verdict-{verdict}"' in reasons for verdict in Verdict)


async def test_no_evidence_while_all_is_well(site: Site) -> None:
    """An endpoint that is up has no section of evidence."""
    site.show(every_state().store)
    assert "<h3>Evidence</h3>" not in (await site.request("/endpoints/up")).text
