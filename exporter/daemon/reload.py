"""Loading the configuration anew while running: all of it or nothing, one at a time."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import structlog

from exporter.config.mistake import ConfigError
from exporter.config.source import Unreadable, read_file
from exporter.model.settings import Config

SETTLED = 0.5
"""Seconds in which a file that has changed must not change again before it is read: it may still be being written."""

FAULT = "a fault of this program, told in its log"

log = structlog.get_logger("reload")


@dataclass(frozen=True, slots=True)
class Candidate:
    """A configuration that can be used, and what puts it into force."""

    config: Config
    apply: Callable[[], None]


class Reloader:
    """Reloads when it is asked to, and tells what came of it.

    Args:
        running: The configuration in force.
        load: Returns what the files say now; raises a ConfigError where they cannot be used.
        refused: Called where they cannot.
        under_way: Entered for as long as a reload takes.
    """

    def __init__(
        self,
        running: Config,
        load: Callable[[], Awaitable[Candidate]],
        refused: Callable[[], None],
        under_way: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self.running = running
        self._load = load
        self._refused = refused
        self._under_way = under_way
        self._is_broken = False
        self._one_at_a_time = asyncio.Lock()
        self._next: asyncio.Task[list[str]] | None = None
        self._tasks: set[asyncio.Task[list[str]]] = set()

    async def __call__(self) -> list[str]:
        """Reload; return the mistakes, a line each, none where it is done.

        The answer is of a load that began after the question: whoever has written a file and asks is told of that file.
        """
        return await asyncio.shield(self.begin())

    def begin(self) -> asyncio.Task[list[str]]:
        """Reload soon. All who ask before it begins share one."""
        if self._next is None:
            self._next = asyncio.create_task(self._reload_next(), name="reload")
            self._tasks.add(self._next)
            self._next.add_done_callback(self._tasks.discard)
        return self._next

    async def watch(self, path: Path, interval: float) -> None:
        """Reload whenever the file's content is another, for ever; looked at every `interval` seconds.

        The content, not the file: Kubernetes swaps a symbolic link, other tools rewrite what has not changed. A broken
        content is told once.
        """
        seen = b""
        while True:
            await asyncio.sleep(interval)
            content = await asyncio.to_thread(_fingerprint, path)
            if content == seen:
                continue
            await asyncio.sleep(SETTLED)
            if await asyncio.to_thread(_fingerprint, path) == content:
                async with self._one_at_a_time:
                    with self._under_way():
                        await self._reload(only_changed=True)
                seen = content

    async def _reload_next(self) -> list[str]:
        async with self._one_at_a_time:
            self._next = None  # it begins: who asks from now on wants a later one
            with self._under_way():
                return await self._reload(only_changed=False)

    async def _reload(self, *, only_changed: bool) -> list[str]:
        try:
            candidate = await self._load()
            # A comment is no change; what is whole again after a broken file is told.
            if not only_changed or self._is_broken or candidate.config.digest != self.running.digest:
                candidate.apply()
                self.running = candidate.config
                log.info("reloaded", endpoints=len(candidate.config.endpoints))
        except ConfigError as error:
            lines = [str(mistake) for mistake in error.mistakes]
            for line in lines:
                log.error("reload refused; the old configuration stays", mistake=line)  # noqa: TRY400
        except Exception:  # the daemon outlives any fault of a reload
            lines = [FAULT]
            log.exception("fault in a reload; the old configuration stays")
        else:
            self._is_broken = False
            return []
        self._is_broken = True
        self._refused()
        return lines


def _fingerprint(path: Path) -> bytes:
    try:
        return hashlib.sha256(read_file(path)).digest()
    except Unreadable as error:
        return str(error).encode()
