"""A daemon that does not probe on time is unhealthy."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from exporter.model.outcome import Outcome, Target
from exporter.monitor import health, schedule
from tests.conftest import StartScripted
from tests.servers.dialogues import Imap
from tests.servers.exporter import daemon_here
from tests.waiting import PATIENCE, until


async def until_answer(text: str, ask: Callable[[], Awaitable[httpx.Response]]) -> httpx.Response:
    """Ask until that is the answer: on a busy machine more may be late for a moment."""
    async with asyncio.timeout(PATIENCE):
        while (answer := await ask()).text != text:
            await asyncio.sleep(0.05)
    return answer


async def test_a_blocked_event_loop_is_unhealthy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no answer while it is blocked; then there is a 503, the histogram has it, and the daemon goes on."""
    monkeypatch.setattr(health, "BLOCKED", 0.4)
    monkeypatch.setattr(schedule, "TICK", 0.1)
    config = tmp_path / "gmail.yml"
    config.write_text(json.dumps({"modules": {"imap": {"protocol": "imap"}}}), "utf-8")
    async with daemon_here(config) as (daemon, url), httpx.AsyncClient(timeout=PATIENCE) as client:

        async def ask(path: str) -> httpx.Response:
            return await client.get(url + path)

        await until_answer("Healthy.\n", lambda: ask("/-/healthy"))
        with ThreadPoolExecutor(1) as another:
            asked = another.submit(httpx.get, f"{url}/-/healthy", timeout=0.2, verify=False)
            time.sleep(1.0)  # noqa: ASYNC251 (the loop is blocked on purpose)
            with pytest.raises(httpx.ReadTimeout):
                asked.result()
        await until(lambda: daemon._schedule.seconds_since_tick() > 0.8)
        answer = await ask("/-/healthy")
        assert answer.status_code == 503
        assert re.search(r"^the event loop has been held up for \d s$", answer.text, re.MULTILINE)
        text = (await ask("/metrics")).text
        assert float(re.findall(r"^gmail_exporter_event_loop_lag_seconds_sum (\S+)$", text, re.MULTILINE)[0]) > 0.8


async def test_an_overdue_probe_is_unhealthy(
    tmp_path: Path, scripted: StartScripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The checks of one endpoint end without a result: it is named, the other goes on; then all is healthy again."""
    monkeypatch.setattr(health, "OVERDUE", 0.5)
    server = await scripted(Imap())
    endpoint = {"protocol": "imap", "host": "127.0.0.1", "port": server.port, "security": "none", "ip_family": "ipv4"}
    defaults = {"interval": "1s", "timeout": "500ms"}
    config = tmp_path / "gmail.yml"
    config.write_text(json.dumps({"defaults": defaults, "endpoints": {"good": endpoint, "bad": endpoint}}), "utf-8")
    async with daemon_here(config) as (daemon, url), httpx.AsyncClient(timeout=PATIENCE) as client:

        async def healthy() -> httpx.Response:
            return await client.get(f"{url}/-/healthy")

        await until_answer("Healthy.\n", healthy)
        check = daemon._checker.check

        async def break_for_bad(target: Target, *, force: bool = False) -> Outcome:
            if target.endpoint.name == "bad":
                raise RuntimeError("on purpose")
            return await check(target, force=force)

        with monkeypatch.context() as broken:
            broken.setattr(daemon._checker, "check", break_for_bad)
            answer = await until_answer("overdue probes: 1 (bad)\n", healthy)
            assert answer.status_code == 503
        await until_answer("Healthy.\n", healthy)
