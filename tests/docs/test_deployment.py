"""docs/deployment.md refers only to what exists."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from exporter.config.load import load
from tests.deploy.chart import lint, render
from tests.deploy.debian import ROOT

PAGE = (ROOT / "docs/deployment.md").read_text("utf-8")
BLOCKS = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)


def test_every_path_of_the_repository_exists() -> None:
    """In the text and in the commands."""
    named = set(re.findall(r"(?<![\w./])(?:/opt/gmail-exporter/)?((?:deploy|grafana|docs)/[\w./-]+)", PAGE))
    assert len(named) > 3
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_the_configuration_and_the_values_are_valid(tmp_path: Path) -> None:
    """Unchanged, each one loads."""
    configuration, values = BLOCKS
    (tmp_path / "gmail.yml").write_text(configuration, "utf-8")
    assert set(load(tmp_path / "gmail.yml", {}).endpoints) == {"imap"}
    assert lint(yaml.safe_load(values)) == []
    assert len(render(yaml.safe_load(values))) == 9
