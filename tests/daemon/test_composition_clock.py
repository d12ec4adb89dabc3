"""A clock that is set while the daemon runs: a process of its own, whose clock is that of libfaketime."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from tests.servers.exporter import Exporter
from tests.servers.process import ServerError, free_port

DAY = 86400


class FakeClock:
    """The wall clock of a process: the real one and an offset. Its other clocks are the real ones."""

    def __init__(self, file: Path) -> None:
        self._file = file
        libraries = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
        if not libraries:
            raise ServerError(
                "libfaketime is missing: install the Debian package faketime (tests/servers/install does)"
            )
        self.environ = {
            "LD_PRELOAD": str(libraries[0]),
            "FAKETIME_TIMESTAMP_FILE": str(file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }
        self.set(0)

    def set(self, offset: float) -> None:
        """Set it to so many seconds from the real time."""
        new = self._file.with_suffix(".new")
        new.write_text(f"{offset:+.0f}")
        new.rename(self._file)


@pytest.fixture
def clock(tmp_path: Path) -> FakeClock:
    """A clock that is right."""
    return FakeClock(tmp_path / "clock")


def test_the_clock_is_set(tmp_path: Path, clock: FakeClock) -> None:
    """Booted in 1970, set to today, forward and back: probes go on within two seconds, and nothing grows or blocks."""
    config = tmp_path / "config.yml"
    endpoint = {"protocol": "imap", "host": "127.0.0.1", "port": free_port(), "timeout": "500ms"}
    endpoints = {f"every-{interval}": {**endpoint, "interval": interval} for interval in ("1s", "30s", "1h")}
    config.write_text(json.dumps({"endpoints": endpoints}))
    clock.set(10 * DAY - time.time())
    with Exporter(tmp_path / "log", config, environ=clock.environ) as exporter:

        def probes() -> dict[str, float]:
            return exporter.values("gmail_probes_total", result="failure")

        exporter.wait_for(lambda: len([count for count in probes().values() if count]) == 3)
        assert max(exporter.values("gmail_probe_last_run_timestamp_seconds").values()) < 11 * DAY
        memory = resident(exporter)
        for number, offset in enumerate([0, 60 * DAY, -3600, 0], 1):
            before, cpu = probes(), busy(exporter)
            clock.set(offset)
            began = time.monotonic()
            exporter.wait_for(lambda before=before: all(probes()[name] > count for name, count in before.items()))  # type: ignore[misc]
            # On an idle machine it takes two seconds, which tests/monitor/test_schedule.py asserts in virtual time.
            assert time.monotonic() - began < 25
            assert busy(exporter) - cpu < 10
            exporter.wait_for(lambda number=number: exporter.log_text().count("the clock was set") == number)  # type: ignore[misc]
            assert exporter.get("/-/healthy").status_code == 200
        samples = exporter.samples()
        slow = samples["gmail_exporter_event_loop_lag_seconds_count", frozenset()]
        assert samples["gmail_exporter_event_loop_lag_seconds_bucket", frozenset({("le", "5.0")})] == slow
        assert samples["gmail_exporter_probes_missed_total", frozenset()] < 1000  # not one for each second of 56 years
        assert resident(exporter) < memory + 8_000_000
        assert exporter.stop()[0] == 0


def resident(exporter: Exporter) -> float:
    """Its memory in octets."""
    return exporter.samples()["process_resident_memory_bytes", frozenset()]


def busy(exporter: Exporter) -> float:
    """Its CPU time in seconds."""
    return exporter.samples()["process_cpu_seconds_total", frozenset()]
