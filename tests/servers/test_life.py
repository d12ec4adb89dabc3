"""The scripted life is what `life.py` says, and is in Prometheus' database before it starts."""

from __future__ import annotations

import pytest

from tests.examples import SENTINEL
from tests.servers.life import END, INSTANCES, SCRAPES, START, STEP, TARGETS, Past, life
from tests.servers.process import ServerError


def test_life() -> None:
    """Every scrape of every instance is there, at its time; nothing secret is."""
    lines = list(life())
    assert lines[-1] == "# EOF\n"
    up = [line for line in lines if line.startswith("up{")]
    assert len(up) == SCRAPES * len(INSTANCES)
    assert up[0].endswith(f" {START:.3f}\n")
    assert up[-1].endswith(f" {END:.3f}\n")
    assert not [line for line in lines if SENTINEL in line]
    ours = [line for line in lines if not line.startswith("process_")]
    assert ours == [line for line in life() if not line.startswith("process_")]


def test_past(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Prometheus answers for that time, and knows nothing of now; a series that ended is gone at the next scrape."""
    with Past() as server:
        assert len(server.query("gmail_up", at=END)) == len(TARGETS) * len(INSTANCES)
        assert server.query("gmail_up") == []
        (series,) = server.query_range('up{instance="tokyo:9993"}', START, END, STEP)
        assert [sample.timestamp for sample in series] == [START + n * STEP for n in range(SCRAPES)]
        assert sum(sample.value == 0 for sample in series) == 6
        refused = 'gmail_failure_info{endpoint="imap",instance="london:9993",reason="refused"}'
        assert server.query(refused, at=START + 4 * 60)
        assert not server.query(refused, at=START + 5 * 60 + STEP + 5)
        with pytest.raises(ServerError, match="parse error"):
            server.query_range("up{", START, END, STEP)


def test_backfilling_nonsense() -> None:
    """Promtool's words are in the failure."""
    server = Past()
    nonsense = server.directory / "nonsense"
    nonsense.write_text("up{ 1\n")
    with pytest.raises(ServerError, match="promtool"):
        server.backfill(nonsense)
    server.close()
