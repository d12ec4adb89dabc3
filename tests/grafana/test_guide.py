"""docs/dashboard.md has the texts of the dashboard."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from grafana.dashboard import rows_and_panels
from grafana.guide import guide

ROOT = Path(__file__).parents[2]


def test_the_page_is_current() -> None:
    """`make check` checks this, too."""
    assert (ROOT / "docs/dashboard.md").read_text("utf-8").endswith(guide())


def test_every_panel_has_an_entry(board: dict[str, Any]) -> None:
    """Its title as a heading, its question, how to read the answer and what to do; and its place in a picture."""
    text = guide()
    pictures = re.findall(r"```text\n(.*?)```", text, re.DOTALL)
    everything = list(rows_and_panels(board))
    assert len(pictures) == sum(panel["type"] == "row" for panel in everything)
    words = " ".join(re.sub(r"[|+-]", " ", picture) for picture in pictures)
    for panel in everything:
        assert f"# {panel['title']}\n" in text
        if panel["type"] != "row":
            question = panel["description"].split("\n\n")[0]
            assert question in text
            assert all(word in words for word in panel["title"].replace("-", " ").split())


def test_pictures_are_rectangles() -> None:
    """All lines of a picture have the same length."""
    for picture in re.findall(r"```text\n(.*?)```", guide(), re.DOTALL):
        assert len({len(line) for line in picture.splitlines()}) == 1


def test_variables_have_an_entry(board: dict[str, Any]) -> None:
    """Only visible variables; hidden ones are explained where they are needed."""
    text = guide()
    for variable in board["templating"]["list"]:
        shown = variable["hide"] == 0
        assert (f"| {variable.get('label')} |" in text) == shown
    assert "var-scheme=https" in text
