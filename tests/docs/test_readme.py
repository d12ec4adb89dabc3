"""The examples in the README work unchanged."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from exporter.config.load import load
from exporter.exposition.gmail import FAMILIES
from tests.servers.process import find_program

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")
BLOCKS = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)


def block(word: str) -> str:
    """Return the YAML block that contains this word."""
    found: list[str] = [text for text in BLOCKS if word in text]
    assert len(found) == 1
    return found[0]


def test_the_configuration_is_valid(tmp_path: Path) -> None:
    """It loads unchanged."""
    path = tmp_path / "gmail.yml"
    path.write_text(block("endpoints:"), "utf-8")
    assert set(load(path, {}).endpoints) == {"imap", "mx"}


def test_prometheus_accepts_the_scrape_configuration(tmp_path: Path) -> None:
    """By promtool's check."""
    promtool = find_program("promtool", "prometheus")
    path = tmp_path / "prometheus.yml"
    path.write_text(block("scrape_configs:"), "utf-8")
    checked = subprocess.run([promtool, "check", "config", str(path)], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize("name", sorted(set(re.findall(r"\bgmail_[a-z_]+", README))))
def test_every_metric_exists(name: str) -> None:
    """In the README's text and in its examples."""
    assert name in {family.metric.name for family in FAMILIES}
