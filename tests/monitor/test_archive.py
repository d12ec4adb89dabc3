"""The file in which the history survives a restart."""

from __future__ import annotations

import asyncio
import json
import os
import stat
import subprocess
import sys
import threading
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from exporter.model.outcome import Outcome, Target
from exporter.monitor import archive as archive_module
from exporter.monitor.archive import MAGIC, MAX_IN_ALL, VERSION, Archive
from exporter.monitor.store import Condition, Store
from tests.examples import failure, success, target
from tests.waiting import PATIENCE, until


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Write every few milliseconds."""
    monkeypatch.setattr(archive_module, "PAUSE", 0.01)


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    """Where the login budgets are."""
    return tmp_path / "ledger.db"


@pytest.fixture
def file(tmp_path: Path) -> File:
    """Where the history is."""
    return File(tmp_path / "ledger.db.history")


def store_of(*targets: Target) -> Store:
    """A store of these targets."""
    store = Store()
    store.configure(targets)
    return store


class File:
    """The file, as others see it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __str__(self) -> str:
        return str(self.path)

    @property
    def content(self) -> bytes:
        """What is in it."""
        return self.path.read_bytes()

    @content.setter
    def content(self, content: bytes) -> None:
        self.path.write_bytes(content)

    @property
    def status(self) -> os.stat_result:
        """Its size, mode and so on."""
        return self.path.stat()

    @property
    def lines(self) -> list[bytes]:
        """The lines that are in it, but the first of them."""
        return zlib.decompress(self.content.partition(b"\n")[2]).splitlines()[1:]

    def beside(self) -> list[str]:
        """All files in its directory."""
        return sorted(each.name for each in self.path.parent.iterdir())


class Life:
    """One life of a process with a store."""

    def __init__(self, ledger: Path, targets: Iterable[Target] = (target(),)) -> None:
        self.store = store_of(*targets)
        self.archive = Archive(ledger)

    def add(self, *outcomes: Outcome) -> None:
        """Add these Outcomes."""
        for outcome in outcomes:
            self.store[outcome.target.key].add(outcome)

    def release(self) -> None:
        """Let go of the file, as the end of the process does."""
        if self.archive._lock is not None:
            os.close(self.archive._lock)
        self.archive._lock = None


@asynccontextmanager
async def living(ledger: Path, *targets: Target) -> AsyncIterator[Life]:
    """A process that has restored its history, and keeps it."""
    life = Life(ledger, targets or (target(),))
    keeping = asyncio.create_task(life.archive.keep(life.store))
    try:
        await until(lambda: life.archive._may_write or life.archive._is_told)
        yield life
    finally:
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)
        await life.archive.close(life.store)
        life.release()


async def test_a_restart(ledger: Path, file: File) -> None:
    """History and failures are there again; the last probe is not, for this process has made none."""
    async with living(ledger) as life:
        life.add(success(), failure(), success())
        before = life.store[target().key]
    async with living(ledger) as life:
        series = life.store[target().key]
        assert list(series.history) == list(before.history)
        assert [outcome.reason for outcome in series.kept_failures] == ["refused"]
        assert [series.last, series.last_login, series.last_success, series.since, series.condition] == [None] * 5
        assert (series.successes, series.failures.total()) == (0, 0)
    assert stat.S_IMODE(file.status.st_mode) == 0o600
    assert file.beside() == ["ledger.db.history"]


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (Path.mkdir, "it is a directory: name a file in it, such as {0}/ledger.db"),
        (os.mkfifo, "not a regular file"),
        (lambda path: path.symlink_to("/dev/null"), "not a regular file"),
    ],
)
async def test_a_storage_that_is_no_file(ledger: Path, file: File, make: Callable[[Path], None], error: str) -> None:
    """Nothing is written beside it, which is in the place of something else; once it is gone, it is kept."""
    make(ledger)
    move_away = partial(ledger.rename, f"{ledger}.moved")
    with capture_logs() as logs:
        async with living(ledger) as life:
            life.add(success())
            await life.archive.close(life.store)
            assert file.beside() == ["ledger.db"]
            assert [line["error"] for line in logs] == [f"{ledger}: {error.format(ledger)}"]
            move_away()
            await until(lambda: "ledger.db.history" in file.beside() and file.content != b"" and bool(file.lines))


@pytest.mark.parametrize("path", ["", ".", "/", "/dev/null"])
async def test_a_storage_without_a_name(path: str) -> None:
    """It is told, and nothing is written."""
    with capture_logs() as logs:
        async with living(Path(path)):
            pass
    assert [line["event"] for line in logs] == ["history not kept over restarts"]


async def test_since(ledger: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A condition that lasts over the restart began before it; another one begins with its first probe."""
    monkeypatch.setattr("exporter.monitor.archive.time.time", lambda: success().ended_at + 60)
    async with living(ledger) as life:
        life.add(failure(), success(), success())
        began = life.store[target().key].since
        assert began == success().ended_at
    async with living(ledger) as life:
        life.add(later := replace_time(success(), 30))
        assert life.store[target().key].since == began
        life.add(down := replace_time(failure(), 40))
        assert life.store[target().key].since == down.ended_at
        assert later.ended_at < down.ended_at
    async with living(ledger) as life:
        life.add(up := replace_time(success(), 50))
        assert life.store[target().key].since == up.ended_at


def replace_time(outcome: Outcome, seconds: float) -> Outcome:
    """The Outcome so many seconds later."""
    return replace(outcome, started_at=outcome.started_at + seconds, ended_at=outcome.ended_at + seconds)


async def test_probes_before_it_is_restored(ledger: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system may be slow: what was stored is put before what was seen meanwhile."""
    monkeypatch.setattr("exporter.monitor.archive.time.time", lambda: success().ended_at + 60)
    async with living(ledger) as life:
        life.add(failure(), failure())
        began = life.store[target().key].since
    life = Life(ledger)
    for seconds in (10, 20):
        life.add(replace_time(failure(), seconds))
    await life.archive._restore(life.store)
    series = life.store[target().key]
    starts = [entry.started_at for entry in series.history]
    assert starts == sorted(starts)
    assert [outcome.started_at for outcome in series.kept_failures] == starts
    assert len(starts) == 4
    assert (series.condition, series.since) == (Condition.DOWN, began)
    life.release()


async def test_a_directory_that_is_missing(tmp_path: Path) -> None:
    """It is made where the storage has its own place, for its owner only; not where somebody has named another one."""
    life = Life(tmp_path / "state" / "ledger.db")
    life.archive = Archive(tmp_path / "state" / "ledger.db", makes_directory=True)
    await life.archive._restore(life.store)
    assert life.archive.path
    assert File(life.archive.path.parent).status.st_mode & 0o777 == 0o700
    life.release()


async def test_without_storage(file: File) -> None:
    """Nothing is written."""
    archive = Archive(None)
    assert archive.path is None
    await archive.close(store_of(target()))
    assert file.beside() == []


async def test_it_is_written_while_it_runs_and_only_if_it_has_changed(ledger: Path, file: File) -> None:
    """A crash costs what came after the last time."""
    async with living(ledger) as life:
        life.add(success())
        await until(lambda: file.status.st_size > 0)
        written = file.status
        await asyncio.sleep(0.1)
        assert file.status.st_ino == written.st_ino
        life.add(failure())
        await until(lambda: file.status.st_ino != written.st_ino)


class Notes:
    """A section whose lines are notes."""

    kind = "note"

    def __init__(self, *notes: str) -> None:
        self.notes = list(notes)
        self.is_complete = False
        self.limit = 0

    @property
    def version(self) -> object:
        return tuple(self.notes)

    @property
    def count(self) -> int:
        return len(self.notes)

    def lines(self, limit: int) -> Iterable[Mapping[str, Any]]:
        self.limit = limit
        return ({"text": note} for note in self.notes if len(note) < limit)

    def restore(self, fields: Mapping[str, Any]) -> None:
        self.notes.append(fields["text"].upper())

    def restored(self) -> None:
        self.is_complete = True


async def test_sections(ledger: Path, file: File) -> None:
    """What is not a target has lines of its own, before those of the targets; one that cannot be read is counted."""
    first = Life(ledger)
    first.archive = Archive(ledger, [Notes("a", "b", "x" * 100_000)])
    await first.archive._restore(first.store)
    first.add(failure())
    await first.archive.close(first.store)
    first.release()
    kinds = [json.loads(line).get("kind") for line in file.lines]
    assert kinds == ["note", "note", None]
    head, _, packed = file.content.partition(b"\n")
    damage = b'\n{"kind": "note", "text": 1}\n{"kind": "of the future"}\n{"kind": ["note"]}\n{"kind": '
    content = zlib.decompress(packed).replace(b"\n", damage + b"\n", 1)
    file.content = head + b"\n" + zlib.compress(content)
    second, notes = Life(ledger), Notes()
    second.archive = Archive(ledger, [notes])
    with capture_logs() as logs:
        await second.archive._restore(second.store)
    assert (notes.notes, notes.is_complete) == (["A", "B"], True)
    assert len(second.store[target().key].history) == 1
    assert [(line["event"], line["targets"]) for line in logs] == [("history not restored of some targets", 3)]
    second.release()


async def test_the_share_of_a_line(ledger: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All lines together have their bound, those of sections too."""
    monkeypatch.setattr(archive_module, "MAX_IN_ALL", 4000)
    life, notes = Life(ledger), Notes("a", "b", "c")
    life.archive = Archive(ledger, [notes])
    await life.archive._restore(life.store)
    await life.archive._write(life.store)
    assert notes.limit == 1000
    life.release()


async def test_removed_targets_are_forgotten(ledger: Path, file: File) -> None:
    """And others keep their own."""
    async with living(ledger, target("a"), target("b")) as life:
        life.add(success(target("a")), success(target("b")))
    async with living(ledger, target("a"), target("c")) as life:
        assert len(life.store[target("a").key].history) == 1
        assert len(life.store[target("c").key].history) == 0
        life.add(success(target("c")))
    assert [json.loads(line)["endpoint"] for line in file.lines] == ["a", "c"]


def damaged(content: bytes) -> Iterator[tuple[str, bytes]]:
    """Files that are no good history, or not ours."""
    head, _, packed = content.partition(b"\n")
    yield "empty", b""
    yield "cut short", content[: len(content) // 2]
    yield "a few octets", content[:5]
    yield "a changed octet", content[:-20] + bytes([content[-20] ^ 1]) + content[-19:]
    yield "only its head", head + b"\n"
    yield "no text", head + b"\n" + zlib.compress(b"\xff\xfe")
    yield "no lines", head + b"\n" + zlib.compress(b"")
    yield "no layout", head + b"\n" + zlib.compress(b"[]\n")
    yield "lines of something else", head + b"\n" + zlib.compress(zlib.decompress(packed).split(b"\n")[0] + b"\n[1]\n")
    yield "deep nesting", head + b"\n" + zlib.compress(zlib.decompress(packed).split(b"\n")[0] + b"\n" + b"[" * 100_000)


async def sample(ledger: Path, file: File) -> bytes:
    """A good file."""
    async with living(ledger) as life:
        life.add(failure(), success())
    return file.content


async def test_a_damaged_file_costs_the_history(ledger: Path, file: File) -> None:
    """It is told once, the process goes on, and the file is written again."""
    good = await sample(ledger, file)
    for name, content in damaged(good):
        file.content = content
        with capture_logs() as logs:
            async with living(ledger) as life:
                life.add(success())
        told = 0 if name == "empty" else 1
        assert [line["log_level"] for line in logs] == ["warning"] * told, name
        async with living(ledger) as life:
            assert len(life.store[target().key].history) == 1, name


@pytest.mark.parametrize(
    "content", [b"a diary\n", MAGIC + b"2\nof the future", MAGIC.upper() + VERSION + b"\n", b"SQLite format 3\0"]
)
async def test_a_file_that_is_not_ours_stays(ledger: Path, file: File, content: bytes) -> None:
    """Also one of a later version: whoever goes back to that has it still."""
    file.content = content
    with capture_logs() as logs:
        async with living(ledger) as life:
            life.add(success())
            await asyncio.sleep(0.05)
    assert file.content == content
    assert [(line["log_level"], line["path"]) for line in logs] == [("warning", str(file))]
    assert "stays as it is" in logs[0]["error"]


async def test_huge_files(ledger: Path, file: File, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither their own size nor that of what is in them takes the memory."""
    monkeypatch.setattr(archive_module, "MAX_READ", 100_000)
    bomb = zlib.compress(b"x" * 10_000_000)
    assert len(bomb) < 100_000
    for content in (MAGIC + VERSION + b"\n" + os.urandom(200_000), MAGIC + VERSION + b"\n" + bomb):
        file.content = content
        with capture_logs() as logs:
            async with living(ledger):
                pass
        assert [line["event"] for line in logs] == ["history not restored"]
        assert "100000 octets" in logs[0]["error"]


Obstacle = Callable[[Path], object]


@pytest.mark.parametrize(
    "obstruct",
    [
        lambda file: file.mkdir(),
        os.mkfifo,
        lambda file: file.symlink_to("/dev/zero"),
        lambda file: file.symlink_to(file),
        lambda file: file.parent.rename(file.parent.with_name("moved")),
        lambda file: (file.with_name(f"{file.name}.new")).mkdir(),
    ],
    ids=["directory", "FIFO", "device", "loop", "no directory", "nothing can be written"],
)
async def test_obstacles(tmp_path: Path, obstruct: Obstacle) -> None:
    """Whatever is there in its place: it is told once, and the process goes on."""
    directory = tmp_path / "state"
    directory.mkdir()
    ledger = directory / "ledger.db"
    obstruct(directory / "ledger.db.history")
    with capture_logs() as logs:
        async with living(ledger) as life:
            life.add(success())
            await asyncio.sleep(0.1)
    assert len(logs) == 1
    assert logs[0]["log_level"] == "warning"
    assert logs[0]["error"]


async def test_a_full_disk(ledger: Path, file: File, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told once; the old file stays, and is replaced once there is room again."""
    good = await sample(ledger, file)
    full = True

    def fsync(_: int) -> None:
        if full:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr("exporter.monitor.archive.os.fsync", fsync)
    with capture_logs() as logs:
        async with living(ledger) as life:
            life.add(success())
            await until(lambda: logs)
            await asyncio.sleep(0.05)
            assert file.content == good
            assert file.beside() == ["ledger.db.history"]
            full = False
            await until(lambda: file.content != good)
    assert [line["error"] for line in logs] == ["No space left on device"]


async def test_a_file_system_that_does_not_answer(ledger: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The end waits for a moment only."""
    gate = threading.Event()
    monkeypatch.setattr(archive_module, "LAST", 0.05)
    monkeypatch.setattr("exporter.monitor.archive.os.fsync", lambda _: gate.wait(PATIENCE))
    with capture_logs() as logs:
        async with living(ledger) as life:
            life.add(success())
    gate.set()
    assert [line["event"] for line in logs] == ["history not written"]


async def test_two_processes(ledger: Path, file: File) -> None:
    """The second one says that it keeps none, and takes over when the first one ends."""
    async with living(ledger) as life:
        life.add(failure(), success())
        await until(lambda: file.status.st_size > 0)
        program = f"""
import asyncio, sys
from pathlib import Path
from exporter.monitor import archive
from exporter.monitor.store import Store
archive.PAUSE = 0.05
async def main():
    keeping = asyncio.create_task(archive.Archive(Path({str(ledger)!r})).keep(Store()))
    await asyncio.sleep(0.5)
asyncio.run(main())
"""
        other = await asyncio.create_subprocess_exec(sys.executable, "-c", program, stdout=subprocess.PIPE)
        told, _ = await asyncio.wait_for(other.communicate(), PATIENCE)
        assert told.count(b"another process keeps its history there") == 1
        content = file.content
    second = Life(ledger)
    second.add(success())
    keeping = asyncio.create_task(second.archive.keep(second.store))
    await until(lambda: len(second.store[target().key].history) == 3)
    keeping.cancel()
    second.release()
    assert content != b""


async def test_many_targets_share_the_file(ledger: Path, file: File, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each has its even share of what all may have."""
    monkeypatch.setattr(archive_module, "MAX_IN_ALL", 200_000)
    targets = [target(f"e{number}") for number in range(200)]
    async with living(ledger, *targets) as life:
        for each in targets:
            life.add(*[failure(each)] * 20)
    assert sum(map(len, file.lines)) < 210_000
    async with living(ledger, *targets) as life:
        assert all(len(life.store[each.key].history) > 5 for each in targets)
    assert MAX_IN_ALL == 32 * 1024 * 1024


async def test_the_event_loop_goes_on(ledger: Path) -> None:
    """To write a thousand failing targets takes it a few milliseconds at a time."""
    targets = [target(f"e{number}") for number in range(1000)]
    async with living(ledger, *targets) as life:
        for each in targets:
            life.add(*[failure(each)] * 12)
        writing = asyncio.create_task(life.archive._write(life.store))
        turns = 0
        while not writing.done():
            turns += 1
            await asyncio.sleep(0)
    assert turns > 20


async def test_some_lines_at_a_time() -> None:
    """Lines are compressed as they are made: a few of them are in memory at a time."""
    made = [f"{number:06}" * 200 for number in range(2000)]

    async def lines() -> AsyncIterator[str]:
        for number in range(len(made)):
            yield f"{number:06}" * 200

    tracemalloc.start()
    content = await archive_module._packed(lines())
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert zlib.decompress(content.partition(b"\n")[2]).decode().splitlines() == made
    assert peak < sum(map(len, made)) / 2
