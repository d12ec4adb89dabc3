"""Reloads of the daemon: with a thousand endpoints during their probes, and with a fault."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from exporter.daemon.composition import Daemon
from exporter.daemon.reload import FAULT
from exporter.model.outcome import Target, TargetKey
from exporter.model.settings import Config
from exporter.monitor.schedule import Schedule, _Entry
from exporter.monitor.store import Series
from tests.conftest import StartScripted
from tests.servers.dialogues import Imap
from tests.servers.exporter import daemon_here
from tests.waiting import PATIENCE

COUNT = 1000
CHANGED = [f"e{number}" for number in (3, 141, 592, 653, 589, 793)]
REMOVED = [f"e{number}" for number in (2, 718, 281, 828)]


@dataclass(frozen=True)
class Before:
    """The state of an endpoint just before the reload."""

    series: Series
    version: int
    entry: _Entry
    due: float
    probe: asyncio.Task[None] | None

    @classmethod
    def all(cls, daemon: Daemon) -> dict[TargetKey, Before]:
        """Of every endpoint."""
        return {
            key: cls(daemon._store[key], daemon._store[key].version, entry, entry.due, entry.task)
            for key, entry in daemon._schedule._entries.items()
        }

    @property
    def is_open(self) -> bool:
        """Whether a probe was under way."""
        return self.probe is not None and not self.probe.done()


async def test_ten_of_a_thousand_change_and_nothing_disturbs_the_others(
    tmp_path: Path, scripted: StartScripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counters, schedule and probes of 990 go on; those of changed ones begin again; those of removed ones are gone."""
    server = await scripted(Imap(greeting_delay=3.0))
    endpoint = {"protocol": "imap", "host": "127.0.0.1", "port": server.port, "security": "none"}
    document: dict[str, Any] = {
        "defaults": {"interval": "30s", "timeout": "25s", "ip_family": "ipv4"},
        "endpoints": {f"e{number}": dict(endpoint) for number in range(COUNT)},
    }
    config = tmp_path / "gmail.yml"
    config.write_text(json.dumps(document), "utf-8")
    async with (
        daemon_here(config, enable_lifecycle=True) as (daemon, url),
        httpx.AsyncClient(timeout=PATIENCE) as client,
    ):
        while sum(series.successes > 0 for series in daemon._store) < 50:
            await asyncio.sleep(0.05)
        for name in CHANGED:
            document["endpoints"][name]["labels"] = {"tenant": "acme"}
        for name in REMOVED:
            del document["endpoints"][name]
        config.write_text(json.dumps(document), "utf-8")

        before: dict[TargetKey, Before] = {}
        after: dict[TargetKey, Before] = {}
        apply = daemon._apply

        def observed(config_now: Config) -> None:
            before.update(Before.all(daemon))
            apply(config_now)
            after.update(Before.all(daemon))

        monkeypatch.setattr(daemon._reload, "_apply", observed)
        assert (await client.post(f"{url}/-/reload")).status_code == 200

        kept = {key: was for key, was in before.items() if key[0] not in (*CHANGED, *REMOVED)}
        assert (len(before), len(kept), len(after)) == (1000, 990, 996)
        unarmed = {id(entry) for _, _, entry in daemon._schedule._unarmed}
        for key, was in kept.items():
            now = after[key]
            assert now.series is was.series
            assert now.entry is was.entry
            assert (now.due, now.probe) == (was.due, was.probe)
            assert now.entry.timer or id(now.entry) in unarmed
        for key in [key for key in after if key[0] in CHANGED]:
            assert after[key].series.version == 0

        metrics = (await client.get(f"{url}/metrics")).text
        assert not [name for name in REMOVED if f'endpoint="{name}"' in metrics]
        assert metrics.count("gmail_probe_interval_seconds{") == 996

        probes = [was for was in kept.values() if was.is_open]
        assert len(probes) > 10
        await asyncio.gather(*(was.probe for was in probes if was.probe))
        for was in probes:
            assert was.series.version == was.version + 1
            assert was.series.last is not None
            assert was.series.last.ok
        assert not any(series.failures for series in daemon._store)
        assert "gmail_exporter_probes_missed_total 0.0" in (await client.get(f"{url}/metrics")).text


async def test_a_fault_while_a_configuration_is_put_into_force(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The old one is in force again, all of it."""
    config = tmp_path / "gmail.yml"
    old = {"imap": {"protocol": "imap", "host": "127.0.0.1", "port": 9, "security": "none"}}
    config.write_text(json.dumps({"endpoints": old}), "utf-8")
    async with (
        daemon_here(config, enable_lifecycle=True) as (daemon, url),
        httpx.AsyncClient(timeout=PATIENCE) as client,
    ):
        configure, faults = Schedule.configure, iter([RuntimeError("on purpose")])

        def fail_once(schedule: Schedule, targets: Iterable[Target]) -> None:
            for fault in faults:
                raise fault
            configure(schedule, targets)

        monkeypatch.setattr(Schedule, "configure", fail_once)
        config.write_text(json.dumps({"endpoints": {**old, "more": old["imap"]}}), "utf-8")
        assert (await client.post(f"{url}/-/reload")).text == f"{FAULT}\n"
        assert [series.target.endpoint.name for series in daemon._store] == ["imap"]
        assert "more" not in (await client.get(f"{url}/config")).text
        assert (await client.post(f"{url}/-/reload")).status_code == 200
        assert [series.target.endpoint.name for series in daemon._store] == ["imap", "more"]
