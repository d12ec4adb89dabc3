"""The findings of `doctor` for people at a terminal, for a ticket as Markdown, and for scripts as JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from rich.console import RenderableType
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from exporter import __version__
from exporter.model.diagnosis import Diagnosis, Finding, Result
from exporter.views.times import iso

_COLOURS = {Result.WELL: "green", Result.NOTE: "yellow", Result.LEFT_OUT: "dim", Result.CAUSE: "red"}
_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>#|])")


def line(finding: Finding) -> Iterator[RenderableType]:
    """Yield a line for a step as soon as it is done; the facts of a cause come with the conclusion."""
    row = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    row.add_column(no_wrap=True)
    row.add_column(overflow="fold")
    row.add_row(f"[{_COLOURS[finding.result]}]{finding.result.sign}[/]", f"{escape(finding.text)}")
    yield row
    if finding.result is not Result.CAUSE:
        for fact in finding.evidence:
            yield Padding(Text(fact, "dim"), (0, 0, 0, 3))
        if finding.remedy:
            yield Padding(Text(finding.remedy), (0, 0, 0, 3))


def conclusion(diagnosis: Diagnosis) -> Iterator[RenderableType]:
    """Yield the cause in one sentence, the facts that it rests on, and the remedy."""
    yield Text()
    yield Text(diagnosis.sentence, "bold")
    if cause := diagnosis.cause:
        for fact in cause.evidence:
            yield Padding(Text(fact), (0, 0, 0, 3))
        yield Text()
        yield Text.assemble(("What to do: ", "bold"), cause.remedy)


def markdown(diagnosis: Diagnosis) -> str:
    """Return the findings as Markdown, for a ticket."""
    parts = [f"# {_plain(diagnosis.address)}", "", f"**{_plain(diagnosis.sentence)}**", ""]
    if diagnosis.cause:
        parts += [f"What to do: {_plain(diagnosis.cause.remedy)}", ""]
    parts += [f"gmail-exporter {__version__}, {iso(diagnosis.at)}", ""]
    for finding in diagnosis.findings:
        parts += [f"## {finding.result.sign} {finding.step.heading}", "", f"{_plain(finding.text)}.", ""]
        parts += [f"- {_plain(fact)}" for fact in finding.evidence]
        parts += [""] if finding.evidence else []
        if finding.remedy and finding.result is not Result.CAUSE:
            parts += [_plain(finding.remedy), ""]
    return "\n".join(parts)


def to_json(diagnosis: Diagnosis) -> str:
    """Return the findings as JSON."""
    cause = diagnosis.cause
    document = {
        "address": diagnosis.address,
        "at": diagnosis.at,
        "sentence": diagnosis.sentence,
        "cause": cause.step if cause else None,
        "blame": cause.blame if cause else None,
        "remedy": cause.remedy if cause else None,
        "findings": [
            {
                "step": finding.step,
                "heading": finding.step.heading,
                "result": finding.result,
                "text": finding.text,
                "evidence": list(finding.evidence),
                "remedy": finding.remedy or None,
            }
            for finding in diagnosis.findings
        ],
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _plain(text: str) -> str:
    """Return a text that Markdown shows as it is: what servers say may look like anything."""
    return _MARKDOWN.sub(r"\\\1", " ".join(text.split()))
