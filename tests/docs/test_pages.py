"""Every page of the documentation: its links lead somewhere, its commands exist, and it names no address in vain."""

from __future__ import annotations

import os
import re
import subprocess
import tomllib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from exporter import __version__
from exporter.cli import _parser
from exporter.config.load import load

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", "deploy/**/*.md", "bench/*.md")
    for path in ROOT.glob(pattern)
)  # fmt: skip

COMMANDS = ("check", "config", "accounts", "doctor")
"""Words behind the program's name that make it a command wherever it is, as in `docker exec gmail gmail-exporter`."""

CAPITALS = {"ACTION", "ADDRESS", "ENDPOINT", "FILE", "HOST", "NAME", "PID", "PORT"} | {"AAAA", "ALL", "HUP", "POST"}
"""What a reader knows to replace, and what other programs want in capitals."""


def blocks(path: Path) -> Iterator[str]:
    """Yield the blocks of shell commands of a page."""
    text = path.read_text("utf-8")
    for indent, block in re.findall(r"^( *)```sh\n(.*?)^\1```", text, re.MULTILINE | re.DOTALL):
        yield re.sub(rf"^{indent}", "", block, flags=re.MULTILINE)


def code(path: Path) -> list[str]:
    """Return all code of a page, a line each: shell commands, indented lines, and what is between backquotes."""
    listed = [line for block in blocks(path) for line in block.replace("\\\n", " ").splitlines()]
    prose = re.sub(r"^( *)```.*?^\1```", "", path.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    listed += [line.strip() for line in prose.splitlines() if line.startswith("    ")]
    return listed + [" ".join(found.split()) for found in re.findall(r"`([^`]+)`", prose)]


def anchors(path: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub and most renderers make them."""
    headings = re.findall(r"^#+ (.+)$", path.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def name(path: Path) -> str:
    """Return the id of a page's test."""
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_every_link_has_a_target(path: Path) -> None:
    """It is a file of this repository, and a heading in it."""
    for link in re.findall(r"\]\((?!https?:)([^)\s]+)\)", path.read_text("utf-8")):
        file, _, anchor = link.partition("#")
        target = (path.parent / file).resolve() if file else path
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def arguments(line: str) -> Iterator[list[str]]:
    """Yield what the program is called with in a line of code."""
    for found in re.finditer(r"(?:^|\s)(?:\S*\.venv/bin/)?gmail-exporter((?: +[^\s|;&#)]+)*)", line):
        words = [word.strip("\"'\\") for word in found[1].split() if word.strip("…")]
        if words and (found.start() == 0 or words[0] in COMMANDS or words[0].startswith("--")):
            yield words


CALLS = [(path, call) for path in PAGES for line in code(path) for call in arguments(line)]


def test_there_are_commands() -> None:
    """Those of the README and of the runbooks are found."""
    found = {name(path) for path, _ in CALLS}
    assert {"README.md", "docs/deployment.md", "docs/configuration.md", "docs/runbooks/GmailLoginFailing.md"} <= found
    assert len(CALLS) > 40


@pytest.mark.parametrize(
    ("path", "call"), CALLS, ids=lambda value: name(value) if isinstance(value, Path) else " ".join(value)
)
def test_every_command_can_be_parsed(path: Path, call: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Its subcommand and its flags exist, and take the values that they are given; prose may leave out the last."""
    with suppress(SystemExit):
        _parser().parse_args(call)
        return
    ended = capsys.readouterr()
    # The help, or the version.
    left_out = re.search(r"the following arguments are required: (NAME|ADDRESS)$", ended.err, re.MULTILINE)
    assert ended.out or left_out, f"{name(path)}: {ended.err}"


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_every_target_of_make_exists(path: Path) -> None:
    """In commands and between backquotes."""
    targets = re.findall(r"^([a-z][a-z0-9-]*):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    for line in code(path):
        for words in re.findall(r"(?:^|&& )make (?:-C \S+ )?((?:[a-z][a-z0-9-]*(?: |$))+)", line):
            assert set(words.split()) <= set(targets), line


@pytest.mark.parametrize("path", [*PAGES, *sorted((ROOT / "exporter").rglob("*.py"))], ids=name)
def test_pip_installs_what_exists(path: Path) -> None:
    """This project is on no index: pip installs a checkout, with extras that it has."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    for found in re.findall(r"pip install\s+(['\"`]?[\w.\[\]-]+)", path.read_text("utf-8")):
        package, _, rest = found.strip("'\"`").partition("[")
        assert package != "gmail-exporter", found
        assert not rest or rest.rstrip("]") in extras, found


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_placeholders_are_known(path: Path) -> None:
    """What is in capitals in a command is for the reader to replace; nobody knows what a REPOSITORY is called."""
    for block in blocks(path):
        commands = re.sub(r"(?m)(^| )#.*$|\"[^\"]*\"|'[^']*'", "", block)
        found = set(re.findall(r"(?<![\w$./{-])[A-Z][A-Z_]{2,}(?![\w=.:/-])", commands))
        assert found <= CAPITALS


ADDRESSES = {f"{endpoint.host}:{endpoint.port}" for endpoint in load(None, {}).endpoints.values()} | {
    "gmail-smtp-in.l.google.com:25",
    "www.google.com:443",
    "imap.gmail.com:443",
}
"""The hosts that pages connect to, each with the ports that it serves."""

GOOGLE = r"(?:[\w-]+\.)+(?:gmail|google|googlemail)\.com"


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_every_address_is_one_that_answers(path: Path) -> None:
    """A host of Google's stands only before a port that it serves."""
    listed = set(re.findall(rf"\b({GOOGLE}:\d+)", path.read_text("utf-8")))
    assert {address for address in listed if not address.startswith("imap.googlemail.com")} <= ADDRESSES


PROBING = [(path, block) for path in PAGES for block in blocks(path) if re.search(r"\bnc |s_client", block)]


@pytest.mark.parametrize(("path", "block"), PROBING, ids=[f"{name(path)}-{n}" for n, (path, _) in enumerate(PROBING)])
def test_every_connection_is_to_one_that_answers(path: Path, block: str, tmp_path: Path) -> None:
    """The commands are run, loops and all, with programs in place of those that connect."""
    log = tmp_path / "log"
    for program in ("nc", "openssl", "curl", "dig", "ip", "ping", "gmail-exporter"):
        fake = tmp_path / program
        fake.write_text(f'#!/bin/sh\necho "{program} $*" >>{log}\n', "utf-8")
        fake.chmod(0o755)
    environ = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    subprocess.run(["bash", "-uc", block], env=environ, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    called = log.read_text("utf-8")
    connected = {":".join(pair) for pair in re.findall(rf"^nc .*?({GOOGLE}) (\d+)$", called, re.MULTILINE)}
    connected |= set(re.findall(r"-connect (\S+)", called))
    assert connected
    assert connected <= ADDRESSES


def test_what_breaks_is_in_one_section() -> None:
    """Whoever updates reads it first, and only there."""
    for version in re.split(r"^## ", (ROOT / "CHANGELOG.md").read_text("utf-8"), flags=re.MULTILINE)[1:]:
        sections = re.findall(r"^### (.+)$", version, re.MULTILINE)
        assert len(sections) == len(set(sections))
        assert sections[1:].count("Breaking") == 0
        assert "**Breaking" not in version


def test_the_changelog_has_this_version() -> None:
    """With the day on which it was released."""
    released = re.findall(r"^## \[(\S+)\] - \d{4}-\d\d-\d\d$", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    assert released[0] == __version__
