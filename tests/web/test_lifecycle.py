"""Health, readiness, reload and the configuration in force, over HTTP."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from exporter.cli import main
from exporter.config.load import load
from exporter.web.lifecycle import OFF, Effective, Lifecycle
from exporter.web.server.application import application
from tests.examples import SENTINEL, success, target
from tests.web.conftest import Site


async def test_healthy_names_the_probes_that_are_overdue(site: Site) -> None:
    """200 while probes are completed on time, 503 with the reason otherwise."""
    assert (await site.request("/-/healthy")).status_code == 200
    site.store.configure([target("imap")])
    site.clock.now += 3600
    answer = await site.request("/-/healthy")
    assert (answer.status_code, answer.text) == (503, "overdue probes: 1 (imap)\n")


async def test_ready_once_every_target_was_probed(site: Site) -> None:
    """503 with the number of targets that were not, until then."""
    first, second = target("first"), target("second")
    site.store.configure([first, second])
    site.store[first.key].add(success(first))
    answer = await site.request("/-/ready")
    assert (answer.status_code, answer.text) == (503, "1 of 2 targets were not probed yet.\n")
    site.store[second.key].add(success(second))
    assert (await site.request("/-/ready")).status_code == 200


async def test_a_reload_is_confirmed(site: Site) -> None:
    """A reload is answered with 200 and one line."""
    answer = await site.request("/-/reload", "POST")
    assert (answer.status_code, answer.text, site.reloads) == (200, "Reloaded.\n", 1)


async def test_a_refused_reload_has_every_mistake(site: Site) -> None:
    """A refused reload is answered with 400 and a line for each mistake."""
    site.mistakes = ["gmail.yml:2:3: one", "web.yml:4:5: two"]
    answer = await site.request("/-/reload", "POST")
    assert (answer.status_code, answer.text) == (400, "gmail.yml:2:3: one\nweb.yml:4:5: two\n")


async def test_a_reload_that_is_not_allowed_is_refused(site: Site) -> None:
    """A reload that is not allowed is answered with 403 and the flag that allows it."""
    transport = httpx.ASGITransport(application(Lifecycle(site.store, site.health), settings=site.settings))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        answer = await client.post("/-/reload")
    assert (answer.status_code, answer.text) == (403, OFF)
    assert "--web.enable-lifecycle" in OFF


TEXT = """
accounts:
  ops: {username: probe@gmail.com, app_password: {env: OPS_PASSWORD}}
endpoints:
  imap: {protocol: imap, host: imap.gmail.com, account: ops}
  pop3: {protocol: pop3, host: pop.gmail.com}
"""


async def test_config_is_what_the_command_prints(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The answer is the output of the command, byte for byte, as text and without a secret."""
    path = tmp_path / "gmail.yml"
    path.write_text(TEXT, "utf-8")
    environ = {"OPS_PASSWORD": SENTINEL}
    transport = httpx.ASGITransport(application(Effective(lambda: load(path, environ))))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        answer = await client.get("/config")
    assert main(["config", f"--config.file={path}"], environ) == 0
    assert answer.text == capsys.readouterr().out
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert "env: OPS_PASSWORD" in answer.text
    assert SENTINEL not in answer.text
