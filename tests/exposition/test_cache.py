"""The exposition: a scrape only joins the lines that were rendered before."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import replace

import pytest

from exporter.exposition import cache
from exporter.exposition.text import Format, Lines, Samples, render
from exporter.model.login import Denial
from exporter.model.outcome import Folder, Observed, Phase
from exporter.model.reason import Reason
from exporter.model.settings import Role
from exporter.monitor.store import Series
from tests.examples import ACCOUNT, FACTS, SENTINEL, budgeted, exposition_of, failure, scraped, success, target

OPENMETRICS = "application/openmetrics-text; version=1.0.0"


def test_refresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """After `refresh`, a scrape renders nothing."""
    series = Series(target())
    exposition = exposition_of(series)
    series.add(success(series.target))
    exposition.refresh(series)
    monkeypatch.setattr(cache, "render", None)
    assert b'gmail_up{endpoint="imap"' in scraped(exposition)


def test_many_probed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where enough targets were probed, their lines are rendered together, and a scrape renders nothing."""
    probed = [Series(target(f"imap-{number}")) for number in range(cache.TOGETHER)]
    exposition = exposition_of(*probed)
    for series in probed:
        series.add(success(series.target))
        exposition.refresh_soon(series)
    monkeypatch.setattr(cache, "render", None)
    body = scraped(exposition)
    assert all(f'gmail_up{{endpoint="{series.target.name}"'.encode() in body for series in probed)


def test_few_probed() -> None:
    """What was probed and is not rendered yet is in the next scrape, unless it is not configured any more."""
    staying, going = Series(target("staying")), Series(target("going"))
    exposition = exposition_of(staying, going)
    scraped(exposition)
    for series in (staying, going):
        series.add(success(series.target))
        exposition.refresh_soon(series)
    exposition.store.configure([staying.target])
    body = scraped(exposition)
    assert b'gmail_up{endpoint="staying"' in body
    assert b"going" not in body


def test_gone_when_rendered() -> None:
    """A target that is not configured any more when those that were probed are rendered is in no scrape."""
    probed = [Series(target(f"imap-{number}")) for number in range(cache.TOGETHER)]
    exposition = exposition_of(*probed)
    for series in probed[:-1]:
        series.add(success(series.target))
        exposition.refresh_soon(series)
    exposition.store.configure([series.target for series in probed[1:]])
    exposition.refresh_soon(exposition.store[probed[-1].target.key])
    body = scraped(exposition)
    assert b'{endpoint="imap-0"' not in body
    assert b'gmail_up{endpoint="imap-1"' in body


def test_lines_are_cached(monkeypatch: pytest.MonkeyPatch) -> None:
    """A scrape renders only the targets that were probed since the last scrape."""
    quiet, busy = Series(target("quiet")), Series(target("busy"))
    exposition = exposition_of(quiet, busy)
    scraped(exposition)
    rendered = []

    def counting(base: str, of_target: Iterable[Samples]) -> Lines:
        rendered.append(base.partition(",")[0])
        return render(base, of_target)

    monkeypatch.setattr(cache, "render", counting)
    busy.add(success(busy.target))
    body = scraped(exposition)
    assert rendered == ['endpoint="busy"']
    assert b'gmail_probes_total{endpoint="busy"' in body
    scraped(exposition)
    assert rendered == ['endpoint="busy"']


def test_removed_target() -> None:
    """No sample of a removed target is left."""
    series = Series(target("going"))
    exposition = exposition_of(series)
    assert b"going" in scraped(exposition)
    exposition.store.configure([])
    body = scraped(exposition)
    assert b"going" not in body
    assert b"gmail_probes" not in body


def test_replaced_target() -> None:
    """A changed target is rendered again, also with the same name and number of Outcomes."""
    exposition = exposition_of(Series(target(interval=30)))
    scraped(exposition)
    exposition.store.configure([target(interval=60)])
    assert b"gmail_probe_interval_seconds{" in scraped(exposition)
    assert b"} 60.0" in scraped(exposition)


@pytest.mark.parametrize("fmt", Format)
def test_eof_mark(fmt: Format) -> None:
    """The exposition ends with the EOF mark exactly where its content type is OpenMetrics."""
    body = scraped(exposition_of(Series(target())), fmt)
    assert body.endswith(b"# EOF\n") is fmt.content_type.startswith(OPENMETRICS)


def test_no_secret_is_exposed() -> None:
    """The text of a server is in no label, and so is no secret that it repeats."""
    imap = target(account=ACCOUNT)
    outcome = replace(failure(imap, Phase.LOGIN, Reason.AUTH_INVALID_CREDENTIALS), detail=SENTINEL)
    series = Series(imap)
    series.add(budgeted(outcome, Denial.HOLD))
    assert SENTINEL.encode() not in scraped(exposition_of(series))


def test_promtool() -> None:
    """Promtool finds no fault in the exposition of endpoints in several states."""
    imap = target("login", account=ACCOUNT, labels={"tenant": "acme"})
    good, bad, login = Series(target("good")), Series(target("bad")), Series(imap)
    good.add(
        success(good.target, observed=Observed(tls=FACTS, ip_version=6, ip_fallback=False, tcp_rtt=0.01)),
    )
    bad.add(failure(bad.target))
    folders = (Folder(Role.INBOX, visible=True, messages=1),)
    login.add(success(imap, login=True, observed=Observed(login_attempted=True, folders=folders)))
    body = scraped(exposition_of(good, bad, login))
    promtool = shutil.which("promtool")
    assert promtool, "promtool is missing: run tests/servers/install"
    found = subprocess.run([promtool, "check", "metrics"], input=body, capture_output=True, check=False)
    assert (found.returncode, found.stdout, found.stderr) == (0, b"", b"")
