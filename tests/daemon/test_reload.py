"""Reloading: one at a time, all or nothing, and when a file's content changes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from exporter.config.load import load
from exporter.daemon import reload as reload_module
from exporter.daemon.reload import FAULT, Candidate, Reloader
from exporter.model.settings import Config

GOOD = "endpoints: {imap: {protocol: imap, host: imap.gmail.com}}\n"
OTHER = "endpoints: {pop3: {protocol: pop3, host: pop.gmail.com}}\n"
BROKEN = "endpoints:\n  imap: {protocol: imap}\n  pop3: {protocol: pop}\n"


class Files:
    """A configuration file, and what was done with it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.write(GOOD)
        self.applied: list[str] = []
        self.refusals = 0
        self.loads = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.reloader = Reloader(load(path, {}), self.load, self.refuse)

    def write(self, text: str) -> None:
        """Replace the file."""
        self.path.write_text(text, "utf-8")

    async def load(self) -> Candidate:
        """Load it, once the gate is open."""
        config = load(self.path, {})
        self.loads += 1
        await self.gate.wait()
        return Candidate(config, lambda: self.apply(config))

    def apply(self, config: Config) -> None:
        """Note what is in force now."""
        self.applied.append(",".join(config.endpoints))

    def refuse(self) -> None:
        """Note a refusal."""
        self.refusals += 1


@pytest.fixture
def files(tmp_path: Path) -> Files:
    """A good file."""
    return Files(tmp_path / "gmail.yml")


@pytest.fixture
async def watched(files: Files, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Files]:
    """A good file that is looked at very often."""
    monkeypatch.setattr(reload_module, "SETTLED", 0.03)
    watching = asyncio.create_task(files.reloader.watch(files.path, 0.01))
    yield files
    watching.cancel()


async def until(condition: Callable[[], object]) -> None:
    """Wait until it holds."""
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.005)


async def test_what_is_good_is_put_into_force(files: Files) -> None:
    """Also where nothing has changed: whoever asks for it gets it."""
    assert await files.reloader() == []
    files.write(OTHER)
    assert await files.reloader() == []
    assert (files.applied, files.refusals) == (["imap", "pop3"], 0)
    assert list(files.reloader.running.endpoints) == ["pop3"]


async def test_what_is_broken_changes_nothing(files: Files) -> None:
    """Every mistake is told, to who asked and in the log."""
    files.write(BROKEN)
    with capture_logs() as logs:
        mistakes = await files.reloader()
    assert [mistake.removeprefix(f"{files.path}:") for mistake in mistakes] == [
        "2:3: endpoints.imap.host: is missing",
        "3:3: endpoints.pop3.host: is missing",
        '3:20: endpoints.pop3.protocol: must be imap, pop3 or smtp, not "pop"',
    ]
    assert [line["mistake"] for line in logs] == mistakes
    assert (files.applied, files.refusals) == ([], 1)
    assert list(files.reloader.running.endpoints) == ["imap"]


async def test_the_answer_is_of_a_load_that_began_after_the_question(files: Files) -> None:
    """All who ask while one is under way share the next one; none of them is answered from before their file."""
    files.gate.clear()
    first = asyncio.create_task(files.reloader())
    await until(lambda: files.loads == 1)
    files.write(BROKEN)
    later = [asyncio.create_task(files.reloader()) for _ in range(5)]
    await asyncio.sleep(0.02)
    assert files.loads == 1
    files.gate.set()
    assert await first == []
    assert [len(mistakes) for mistakes in await asyncio.gather(*later)] == [3] * 5
    assert files.loads == 1  # the broken file ends in its mistakes before it is counted
    assert (files.applied, files.refusals) == (["imap"], 1)


async def test_who_goes_away_ends_nothing(files: Files) -> None:
    """The load of others goes on."""
    files.gate.clear()
    first, second = asyncio.create_task(files.reloader()), asyncio.create_task(files.reloader())
    await until(lambda: files.loads == 1)
    first.cancel()
    files.gate.set()
    assert await second == []
    assert files.applied == ["imap"]


async def test_a_fault_of_ours_is_survived(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told in the log, with its traceback; and the next reload is as good as any."""
    with monkeypatch.context() as broken, capture_logs() as logs:
        broken.setattr(files, "apply", lambda _: 1 / 0)
        assert await files.reloader() == [FAULT]
    assert logs[-1]["exc_info"] is True
    assert files.refusals == 1
    assert await files.reloader() == []


async def test_a_changed_content_is_loaded(watched: Files) -> None:
    """What is the same as what runs is not, nor is a comment; and a broken one is told once."""
    await until(lambda: watched.loads == 1)
    watched.write(f"# a comment\n{GOOD}")
    await until(lambda: watched.loads == 2)
    assert watched.applied == []
    with capture_logs() as logs:
        watched.write(BROKEN)
        await until(lambda: watched.refusals == 1)
        await asyncio.sleep(0.1)
        assert (watched.refusals, len(logs)) == (1, 3)
    watched.write(GOOD)
    await until(lambda: watched.applied == ["imap"])
    watched.write(OTHER)
    await until(lambda: watched.applied == ["imap", "pop3"])


async def test_a_swapped_link_is_a_changed_content(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    """As Kubernetes mounts a ConfigMap: the file is a link into a directory that is itself a link, which is swapped."""
    monkeypatch.setattr(reload_module, "SETTLED", 0.03)
    mount = files.path.parent / "mount"
    for version, text in (("..1", GOOD), ("..2", OTHER)):
        (mount / version).mkdir(parents=True)
        (mount / version / "gmail.yml").write_text(text, "utf-8")
    (mount / "..data").symlink_to("..1")
    (mount / "gmail.yml").symlink_to("..data/gmail.yml")
    files.path = mount / "gmail.yml"
    watching = asyncio.create_task(files.reloader.watch(files.path, 0.01))
    await until(lambda: files.loads == 1)
    (mount / "..data_tmp").symlink_to("..2")
    (mount / "..data_tmp").rename(mount / "..data")
    await until(lambda: files.applied == ["pop3"])
    watching.cancel()


async def test_a_file_that_is_still_being_written_is_waited_for(
    watched: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half a file may be a good one, with half of the endpoints: this one is broken, and nobody is told so."""
    await until(lambda: watched.loads == 1)
    monkeypatch.setattr(reload_module, "SETTLED", 0.3)
    await asyncio.sleep(0.1)  # until the shorter one is over
    watched.write(BROKEN)
    await asyncio.sleep(0.05)
    watched.write(OTHER)
    await until(lambda: watched.applied == ["pop3"])
    assert (watched.refusals, watched.loads) == (0, 2)


async def test_a_file_that_vanishes_is_told_once(watched: Files) -> None:
    """And what runs goes on until it is there again."""
    await until(lambda: watched.loads == 1)
    with capture_logs() as logs:
        watched.path.unlink()
        await until(lambda: watched.refusals == 1)
        await asyncio.sleep(0.1)
        assert [line["mistake"] for line in logs] == [f"{watched.path}: does not exist"]
    watched.write(OTHER)
    await until(lambda: watched.applied == ["pop3"])
