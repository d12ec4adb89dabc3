"""The runbooks have a page for each alert, and refer only to what exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from exporter.exposition.gmail import ALL_FAMILIES
from exporter.model.diagnosis import Step
from exporter.model.reason import Reason
from exporter.monitor.instruments import ExporterMetrics
from tests.deploy.test_rules import ALERTS, NAMES, RECORDED

ROOT = Path(__file__).parent.parent.parent
RUNBOOKS = ROOT / "docs" / "runbooks"
PAGES = sorted(RUNBOOKS.glob("*.md"))
GUIDES = [*PAGES, ROOT / "docs" / "getting-started.md"]
REPAIR_GUIDES = ("imap-gmail-com-is-not-responding", "imap-gmail-com-khong-phan-hoi")
"""What `doctor` does, in English and in Vietnamese."""
SECTIONS = ["What it means", "Who is affected", "What to check", "When it ends"]


def test_each_alert_has_its_page_and_each_page_its_alert() -> None:
    """Except for the table of contents and the guide without an alert."""
    named = {path.stem for path in PAGES} - {"README", *REPAIR_GUIDES}
    assert sorted(named) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_each_page_answers_the_same_questions(name: str) -> None:
    """Its meaning, who is affected, what to check (in steps, with one of our commands), and when it ends."""
    text = (RUNBOOKS / f"{name}.md").read_text("utf-8")
    assert text.startswith(f"# {name}\n")
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == SECTIONS
    steps = text.split("## What to check")[1].split("## When it ends")[0]
    assert re.search(r"^1\. .*^2\. .*^3\. ", steps, re.MULTILINE | re.DOTALL)
    assert "gmail-exporter " in text
    assert re.search(r"^ *```sh\n", steps, re.MULTILINE)


def test_the_table_agrees_with_the_rules() -> None:
    """It has every alert with its severities."""
    table = (RUNBOOKS / "README.md").read_text("utf-8")
    rows = re.findall(r"^\| \[(\w+)\]\((\w+)\.md\) \| ([a-z, ]+) \|", table, re.MULTILINE)
    assert sorted(name for name, _, _ in rows) == NAMES
    for name, page, severities in rows:
        assert name == page
        assert set(severities.split(", ")) == {r["labels"]["severity"] for r in ALERTS if r["alert"] == name}, name


@pytest.mark.parametrize("path", GUIDES, ids=lambda path: path.stem)
def test_every_metric_and_reason_exists(path: Path) -> None:
    """Reasons are in the first columns of tables and in the text; a metric's name may be incomplete in a grep."""
    text = path.read_text("utf-8")
    metrics = {family.metric.name for family in ALL_FAMILIES}
    metrics |= {metric.name for metric in ExporterMetrics().registry.collect()}
    for name in re.findall(r"`(gmail_\w+)`", text):
        assert name.removesuffix("_total") in metrics, name
    for name in re.findall(r"`((?:instance_endpoint|endpoint|target):[\w:]+)`", text):
        assert name in RECORDED, name
    reasons = {reason.value for reason in Reason}
    for name in re.findall(r"`((?:dns|auth|oauth|certificate|disabled|mx|tls)_\w+)`", text):
        assert name in reasons | {"oauth_"}, name
    for row in re.findall(r"^ *\| (`[^|]+`[^|]*) \|", text, re.MULTILINE):
        for name in re.findall(r"`([a-z]+_[a-z_]+)`", row):
            assert name in reasons, name


def test_the_repair_guides_have_the_steps_of_doctor() -> None:
    """In the same order and words; the one in Vietnamese has the same sections and commands."""
    english, vietnamese = ((RUNBOOKS / f"{name}.md").read_text("utf-8") for name in REPAIR_GUIDES)
    headings = re.findall(r"^## (\d+)\. (.+)$", english, re.MULTILINE)
    assert [heading for _, heading in headings] == [*(step.heading for step in Step), "None of these"]
    numbers = [number for number, _ in headings]
    assert numbers == [str(number) for number in range(1, len(Step) + 2)]
    assert re.findall(r"^## (\d+)\. ", vietnamese, re.MULTILINE) == numbers

    def commands(text: str) -> list[str]:
        """The commands, without the comments in them."""
        blocks = re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
        return [re.sub(r" *#.*", "", block) for block in blocks]

    assert commands(vietnamese) == commands(english)
