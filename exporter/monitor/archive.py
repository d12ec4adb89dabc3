"""The file in which the history survives a restart: beside that of the login budgets, with its name and `.history`.

A line that says what it is, and a zlib stream of lines: one for the layout of the histories, those of each section, and
one for each target. Sections come first, for they may know targets: the exchanges of a domain. The file is written
whole, beside itself, and takes its own place in one step. Whatever is wrong with it costs the history and nothing else,
and is told once.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import stat
import struct
import threading
import time
import zlib
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol, TypeVar

import structlog

from exporter.accounts.storage import identity
from exporter.host.threads import in_thread
from exporter.model.outcome import Target, TargetKey
from exporter.monitor.history import Layout
from exporter.monitor.store import Past, Store
from exporter.monitor.stored import decode, encode, header, key_of, layout_of

T = TypeVar("T")

MAGIC = b"gmail-exporter history "
VERSION = b"1"

MAX_OF_TARGET = 64 * 1024
"""Octets of the line of a target, or of one of a section."""

MAX_IN_ALL = 32 * 1024 * 1024
"""Octets of all lines: with more than 512 targets, each has its even share."""

MAX_READ = 2 * MAX_IN_ALL
"""Octets that are read at most, before and after they are decompressed."""

PAUSE, MAX_PAUSE = 60.0, 900.0
"""Seconds until the file is written again: a minute for each MiB that it has, within these bounds."""

LAST = 2.0
"""Seconds in which it must be written at the end."""

SLICE = 0.002
"""Seconds of work after which other tasks have their turn."""

PIECE = 128 * 1024
"""Octets that are compressed at a time."""

LOCKED = "another process keeps its history there: give each a storage of its own"

_MODE = 0o600
_OF_SECTION = '{"kind": '
_UNREADABLE = (ValueError, TypeError, LookupError, AttributeError, OverflowError, RecursionError, struct.error)
_MIB = 1024 * 1024

log = structlog.get_logger("history")


class Unusable(Exception):
    """The file cannot be used; the message has the reason. Another one may be written in its place."""


class Foreign(Unusable):
    """The file is not this program's, or not this version's, and stays as it is."""


class Unavailable(Unusable):
    """Another process uses the file, or there is no place for it, perhaps not for much longer."""


class Section(Protocol):
    """Something besides the targets that is stored, in lines of its own."""

    @property
    def kind(self) -> str:
        """Its name in the file."""

    @property
    def version(self) -> object:
        """What changes whenever there is something new to store."""

    @property
    def count(self) -> int:
        """How many lines there are at most."""

    def lines(self, limit: int) -> Iterable[Mapping[str, Any]]:
        """Return what is stored, a mapping of JSON values for each line, of about `limit` octets at most."""

    def restore(self, fields: Mapping[str, Any]) -> None:
        """Take one line.

        Raises:
            ValueError, TypeError, LookupError: It cannot be read.
        """

    def restored(self) -> None:
        """All lines were taken; the targets follow."""


class Archive:
    """The history of all targets, in a file beside that of the login budgets; without one, nothing is stored."""

    def __init__(self, ledger: Path | None, sections: Sequence[Section] = (), *, makes_directory: bool = False) -> None:
        self._sections = sections
        self._ledger = ledger
        self.path = Path(f"{ledger}.history") if ledger else None
        self._makes_directory = makes_directory
        self._may_write = False
        self._is_told = False
        """Whether it was told that the file cannot be used; once it was written, it is told again."""
        self._written: tuple[object, ...] = ()
        """What was written last: the versions of the sections, the number of targets, and how often they changed."""
        self._lock: int | None = None
        """The descriptor of the file, which is locked: two processes must not overwrite each other's history."""
        self._one_at_a_time = threading.Lock()

    async def keep(self, store: Store) -> None:
        """Restore what is stored, and write it again from time to time, for ever."""
        octets, is_foreign = 0, False
        while True:
            try:
                if not self._may_write and not is_foreign:
                    await self._restore(store)
                elif self._may_write:
                    octets = await self._write(store) or octets
            except Foreign as error:
                is_foreign = True
                self._tell("history not kept over restarts", error)
            except Unusable as error:
                self._tell("history not kept over restarts", error)
            await asyncio.sleep(min(max(PAUSE, PAUSE * octets / _MIB), MAX_PAUSE))

    async def close(self, store: Store) -> None:
        """Write it a last time."""
        if not self._may_write:
            return
        try:
            async with asyncio.timeout(LAST):
                await self._write(store)
        except TimeoutError:
            self._tell("history not written", TimeoutError(f"no answer of the file system within {LAST:g} s"))
        except Unusable as error:
            self._tell("history not written", error)

    def _tell(self, event: str, error: Exception) -> None:
        if not self._is_told:
            log.warning(event, path=str(self.path), error=str(error))
        self._is_told = True

    async def _restore(self, store: Store) -> None:
        try:
            layout, lines = await in_thread(self._read)
            unreadable = await self._restore_sections(lines)
            targets = {series.target.key: series.target for series in store}
            found, unknown = await in_thread(_decode, lines, layout, targets)
        except (Foreign, Unavailable):
            raise
        except Unusable as error:
            self._may_write = True
            self._tell("history not restored", error)
            return
        self._may_write, self._is_told = True, False
        if unreadable + unknown:
            log.warning("history not restored of some targets", path=str(self.path), targets=unreadable + unknown)
        async for target, past in _in_turns(found):
            if store.holds(target):
                store[target.key].restore(past)

    async def _restore_sections(self, lines: Sequence[str]) -> int:
        """Let each section take its lines, and return how many of them cannot be read."""
        by_kind, unreadable = {section.kind: section for section in self._sections}, 0
        async for line in _in_turns(line for line in lines if line.startswith(_OF_SECTION)):
            try:
                fields = json.loads(line)
                if section := by_kind.get(fields["kind"]):  # else it is of a later version
                    section.restore(fields)
            except _UNREADABLE:
                unreadable += 1
        for section in self._sections:
            section.restored()
        return unreadable

    async def _write(self, store: Store) -> int:
        """Write it, if it has changed, and return how many octets it has; 0 where it has not.

        Raises:
            Unusable: It cannot be written.
        """
        versions = tuple(section.version for section in self._sections)
        state = (versions, len(store), *(series.version for series in store))
        if state == self._written:
            return 0
        count = len(store) + sum(section.count for section in self._sections)
        share = min(MAX_OF_TARGET, MAX_IN_ALL // max(1, count))
        content = await _packed(self._lines(store, share))
        await in_thread(self._replace, content)
        self._written, self._is_told = state, False
        return len(content)

    async def _lines(self, store: Store, limit: int) -> AsyncIterator[str]:
        yield header()
        for section in self._sections:
            async for fields in _in_turns(section.lines(limit)):
                yield json.dumps({"kind": section.kind, **fields})
        async for series in _in_turns(list(store)):
            if line := encode(series, limit):
                yield line

    # In a thread

    def _read(self) -> tuple[Layout, list[str]]:
        """Return the layout of the histories, and the lines after it."""
        with self._one_at_a_time:
            first, *lines = _lines(self._lock_and_read())
        try:
            return layout_of(first), lines
        except (ValueError, TypeError, LookupError):
            raise Unusable("it is damaged") from None

    def _lock_and_read(self) -> bytes:
        """Return the content of the file, which is locked from now on; where there is none, an empty one is made."""
        assert self._ledger is not None  # noqa: S101 (`keep` is for an archive with a file)
        assert self.path is not None  # noqa: S101
        try:
            identity(self._ledger)  # beside a directory or a device it would be in the place of something else
        except FileNotFoundError:
            pass  # without accounts there are no login budgets
        except OSError as error:
            raise Unavailable(f"{self._ledger}: {error.strerror}") from None
        try:
            if self._makes_directory:
                self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_NONBLOCK | os.O_CLOEXEC, _MODE)
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                os.close(descriptor)
                raise Foreign("it is not a regular file")
            _lock(descriptor)
            self._hold(descriptor)
            if not os.path.samestat(os.fstat(descriptor), self.path.stat()):
                raise Unavailable(LOCKED)  # it has just been replaced
            with open(descriptor, "rb", closefd=False) as file:
                content = file.read(MAX_READ + 1)
        except IsADirectoryError:
            raise Foreign("it is not a regular file") from None
        except OSError as error:
            raise Unusable(os.strerror(error.errno or 0)) from None
        if len(content) > MAX_READ:
            raise Unusable(f"it is larger than {MAX_READ} octets")
        return content

    def _hold(self, descriptor: int) -> None:
        """Keep this descriptor, whose file is locked, in place of the one before."""
        before, self._lock = self._lock, descriptor
        if before is not None:
            os.close(before)

    def _replace(self, content: bytes) -> None:
        """Write it beside the file, and put that in its place."""
        assert self.path is not None  # noqa: S101 (as above)
        new = self.path.with_name(f"{self.path.name}.new")
        with self._one_at_a_time:
            try:
                with suppress(FileNotFoundError):
                    new.unlink()  # of a process that was killed
                descriptor = os.open(new, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _MODE)
                try:
                    _lock(descriptor)
                    with open(descriptor, "wb", closefd=False) as file:
                        file.write(content)
                        file.flush()
                        os.fsync(descriptor)
                    new.replace(self.path)
                except OSError:
                    os.close(descriptor)
                    new.unlink()
                    raise
            except OSError as error:
                raise Unusable(os.strerror(error.errno or 0)) from None
            self._hold(descriptor)


async def _packed(lines: AsyncIterator[str]) -> bytes:
    """Return the content of a file of these lines, of which some are in memory at a time: all are 30 MB."""
    packer = zlib.compressobj(3)
    pieces = [MAGIC + VERSION + b"\n"]
    waiting: list[bytes] = []
    octets = 0
    async for line in lines:
        waiting.append(f"{line}\n".encode())
        octets += len(waiting[-1])
        if octets > PIECE:
            pieces.append(await in_thread(packer.compress, b"".join(waiting)))
            waiting, octets = [], 0
    return b"".join([*pieces, await in_thread(packer.compress, b"".join(waiting)), packer.flush()])


def _decode(
    lines: Iterable[str], layout: Layout, targets: Mapping[TargetKey, Target]
) -> tuple[list[tuple[Target, Past]], int]:
    """Return what lines say of these targets, and how many of them cannot be read."""
    now = time.time()
    found, unreadable = [], 0
    for line in lines:
        if line.startswith(_OF_SECTION):
            continue
        try:
            fields = json.loads(line)
            target = targets.get(key_of(fields))  # type: ignore[arg-type]
            past = decode(fields, layout, target, now) if target else None
        except _UNREADABLE:
            unreadable += 1
            continue
        if target and past:
            found.append((target, past))
    return found, unreadable


async def _in_turns(items: Iterable[T]) -> AsyncIterator[T]:
    """Yield them; between two, other tasks have their turn where that has taken long."""
    began = time.perf_counter()
    for item in items:
        yield item
        if time.perf_counter() - began > SLICE:
            await asyncio.sleep(0)
            began = time.perf_counter()


def _lock(descriptor: int) -> None:
    """Lock a file; where that fails, close it.

    Raises:
        Unavailable: Another process has locked it.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise Unavailable(LOCKED) from None
    except OSError:
        return  # a file system without locks


def _lines(content: bytes) -> list[str]:
    """Return the lines of a file; for one that is missing or empty, only the layout.

    Raises:
        Unusable: It is not a history, or one of a later version, damaged, or too large.
    """
    if not content:
        return [header()]
    if MAGIC.startswith(content):
        raise Unusable("it is cut short")
    head, _, packed = content.partition(b"\n")
    if not head.startswith(MAGIC):
        raise Foreign("it is not a history of this program, and stays as it is")
    if head.removeprefix(MAGIC) != VERSION:
        raise Foreign("it was written by a later version of this program, and stays as it is")
    unpacker = zlib.decompressobj()
    try:
        lines = unpacker.decompress(packed, MAX_READ)
        if unpacker.unconsumed_tail:
            raise Unusable(f"it has more than {MAX_READ} octets")
        if not unpacker.eof:
            raise Unusable("it is cut short")
        return lines.decode().splitlines() or [""]
    except (zlib.error, UnicodeDecodeError):
        raise Unusable("it is damaged") from None
