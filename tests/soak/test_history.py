"""The history file of the soak is one that the daemon restores whole."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from exporter.config.load import load
from exporter.model.outcome import Target
from exporter.monitor.archive import Archive
from exporter.monitor.history import HISTORY
from exporter.monitor.store import Condition, Store
from soak.history import write_history
from tests.waiting import until


async def test_history(tmp_path: Path) -> None:
    """Every endpoint has all the probes that are kept, and has been up since the first of them."""
    config, storage = tmp_path / "gmail.yml", tmp_path / "budget.db"
    endpoints = {name: {"protocol": "imap", "host": "127.0.0.1", "interval": "30s"} for name in ("a", "b")}
    config.write_text(json.dumps({"endpoints": endpoints}))
    write_history(config, storage)
    store = Store()
    store.configure(target for endpoint in load(config, {}).endpoints.values() for target in Target.of(endpoint))
    keeping = asyncio.create_task(Archive(storage).keep(store))
    await until(lambda: all(series.past for series in store))
    keeping.cancel()
    assert [len(series.history) for series in store] == [HISTORY] * 2
    assert {series.past.condition for series in store if series.past} == {Condition.UP}
