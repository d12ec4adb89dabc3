"""The history file of a daemon that has run for long enough that the history of each endpoint is full."""

from __future__ import annotations

import time
import zlib
from pathlib import Path
from types import MappingProxyType

from exporter.config.load import load
from exporter.model.outcome import Outcome, Phase, Target
from exporter.model.reason import Reason
from exporter.monitor.archive import MAGIC, MAX_OF_TARGET, VERSION
from exporter.monitor.history import HISTORY
from exporter.monitor.store import Store
from exporter.monitor.stored import encode, header

_PHASES = MappingProxyType(dict.fromkeys(Phase, 0.001))


def write_history(config: Path, storage: Path) -> None:
    """Write the one that a daemon with this configuration has beside its storage after `HISTORY` successful probes."""
    store = Store()
    store.configure(target for endpoint in load(config, {}).endpoints.values() for target in Target.of(endpoint))
    now = time.time()
    for series in store:
        for number in range(HISTORY, 0, -1):
            at = now - number * series.target.endpoint.interval
            series.add(Outcome(series.target, at, at + 0.01, _PHASES, Phase.LOGOUT, Reason.OK))
    lines = [header(), *filter(None, (encode(series, MAX_OF_TARGET) for series in store))]
    content = MAGIC + VERSION + b"\n" + zlib.compress("\n".join(lines).encode() + b"\n")
    storage.with_name(f"{storage.name}.history").write_bytes(content)
