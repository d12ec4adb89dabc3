"""The findings of `doctor` at a terminal, as Markdown and as JSON."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable
from dataclasses import replace

from rich.console import Console, RenderableType

from exporter.model.diagnosis import Diagnosis, Finding, Result, Step
from exporter.views.diagnosis import conclusion, line, markdown, to_json

WELL = Finding(Step.DNS, Result.WELL, "imap.gmail.com has 2 addresses", ("192.0.2.1", "2001:db8::1"))
NOTE = Finding(Step.SWITCHES, Result.NOTE, "POP is off", (), remedy="Switch it on, if you use it.")
CAUSE = Finding(Step.LOGIN, Result.CAUSE, "the login is refused", ("the server's words",), "account", "Make another.")
ALL = Diagnosis("probe@gmail.com", 1_700_000_000.0, (WELL, NOTE, CAUSE))


def shown(parts: Iterable[RenderableType]) -> list[str]:
    """The lines of a terminal."""
    console = Console(file=io.StringIO(), width=80, color_system=None)
    console.print(*parts, sep="\n")
    assert isinstance(console.file, io.StringIO)
    return [text.rstrip() for text in console.file.getvalue().splitlines()]


def test_lines() -> None:
    """A step has its sign and its facts; those of the cause, and its remedy, come with the conclusion."""
    assert shown(line(WELL)) == ["✔  imap.gmail.com has 2 addresses", "   192.0.2.1", "   2001:db8::1"]
    assert shown(line(NOTE)) == ["!  POP is off", "   Switch it on, if you use it."]
    assert [text for text in shown(line(CAUSE)) if text] == ["✘  the login is refused"]


def test_conclusion() -> None:
    """The cause in one sentence, what it rests on, and what to do; else that nothing is wrong."""
    said = "\n".join(shown(conclusion(ALL)))
    assert said.index("the login is refused (account).") < said.index("   the server's words")
    assert "What to do: Make another." in said
    said = "\n".join(shown(conclusion(replace(ALL, findings=(WELL,)))))
    assert "Nothing is wrong up to the login" in said
    assert "What to do" not in said


def test_markdown() -> None:
    """A ticket has all findings in their order, the cause at its top, and no line of a server is markup."""
    hostile = replace(CAUSE, evidence=("# <b>[x](y)</b> `z`\n# more",))
    text = markdown(replace(ALL, findings=(WELL, NOTE, hostile)))
    assert text.startswith("# probe@gmail.com\n\n**the login is refused (account).**\n\nWhat to do: Make another.\n")
    headings = [each for each in text.splitlines() if each.startswith("#")]
    assert headings[1:] == [f"## {each.result.sign} {each.step.heading}" for each in ALL.findings]
    assert r"- \# \<b\>\[x\](y)\</b\> \`z\` \# more" in text
    assert text.count("Make another.") == 1
    assert "Switch it on, if you use it." in text
    assert "2023-11-14T22:13:20" in text


def test_json() -> None:
    """Everything, with null where there is nothing."""
    document = json.loads(to_json(ALL))
    assert (document["cause"], document["blame"], document["remedy"]) == ("login", "account", "Make another.")
    assert [each["result"] for each in document["findings"]] == ["well", "note", "cause"]
    assert document["findings"][0]["evidence"] == ["192.0.2.1", "2001:db8::1"]
    assert document["findings"][0]["remedy"] is None
    well = json.loads(to_json(replace(ALL, findings=(WELL,))))
    assert (well["cause"], well["blame"], well["remedy"]) == (None, None, None)
