"""Reloads: all or nothing, one at a time; on request, or when a file has changed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

import structlog

from exporter.config.load import load_with_web
from exporter.config.mistake import ConfigError, Mistake
from exporter.config.source import fingerprint
from exporter.config.web import Reading, read_web
from exporter.daemon import garbage
from exporter.host.threads import in_thread
from exporter.model.settings import Config
from exporter.web.server.websettings import WebSettings

SETTLED = 0.5
"""Seconds without another change before a changed file is read: somebody may still be writing it."""

READING = 30.0
"""Seconds in which all files must be read, or the reload is refused: a file system may never answer."""

WEB_INTERVAL = 5.0
"""Seconds between two checks of the web configuration file, and of the files that it names."""

MAX_LOGGED = 20
"""Mistakes of a reload that the log has; all of them are in the answer to a request, and in what `config` prints."""

FAULT = "a fault of this program, told in its log"

log = structlog.get_logger("reload")
web_log = structlog.get_logger("web")

T = TypeVar("T")
Files = Mapping[Path, bytes]
"""Files, and the fingerprint of each when it was last read."""


@dataclass(frozen=True, slots=True)
class Sources:
    """The configuration file, None for the built-in one; the web configuration file, None for none."""

    config_file: Path | None
    web_config_file: Path | None
    environ: Mapping[str, str]


class Reloader:
    """Reloads the configuration and the web configuration.

    Args:
        sources: Where both come from.
        running: The configuration in force.
        web: The web configuration in force, and what was read for it.
        apply: Puts a configuration into force.
        refused: Called where a reload is refused.
        under_way: Entered for as long as a reload takes.
    """

    def __init__(
        self,
        sources: Sources,
        running: Config,
        web: tuple[WebSettings, Reading],
        apply: Callable[[Config], None],
        refused: Callable[[], None],
        under_way: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self.running = running
        self._sources = sources
        self._web, self._web_reading = web
        self._apply = apply
        self._refused = refused
        self._under_way = under_way
        # No fingerprint yet: the first check reads the file, which may have changed while this program started.
        self._files: Files = {sources.config_file: b""} if sources.config_file else {}
        self._is_broken = False
        self._one_at_a_time = asyncio.Lock()
        self._next: asyncio.Task[list[str]] | None = None
        self._tasks: set[asyncio.Task[list[str]]] = set()

    async def __call__(self) -> list[str]:
        """Reload, and return one line for each mistake; none on success.

        Changes that were written before this call are included.
        """
        return await asyncio.shield(self.begin())

    def begin(self) -> asyncio.Task[list[str]]:
        """Start a reload. Requests that come before it begins share it."""
        if self._next is None:
            self._next = asyncio.create_task(self._reload_next(), name="reload")
            self._tasks.add(self._next)
            self._next.add_done_callback(self._tasks.discard)
        return self._next

    def watches(self, interval: float | None) -> Iterator[Callable[[], Awaitable[None]]]:
        """Return the background tasks that watch the files; `interval` is in seconds, None: only the web files."""
        if interval is not None:
            yield partial(watch, lambda: self._files, interval, partial(self._reload, only_changed=True))
        if self._sources.web_config_file is not None:
            yield partial(watch, lambda: self._web_reading.files, WEB_INTERVAL, self._renew_web)

    async def _reload_next(self) -> list[str]:
        return await self._reload(only_changed=False)

    async def _reload(self, *, only_changed: bool) -> list[str]:
        async with self._one_at_a_time:
            if not only_changed:
                self._next = None  # from now on, a request needs a later one
            with self._under_way():
                mistakes = await self._load_and_apply(only_changed=only_changed)
        self._is_broken = bool(mistakes)
        if mistakes:
            self._refused()
        return mistakes

    async def _load_and_apply(self, *, only_changed: bool) -> list[str]:
        try:
            config, web = await self._load()
            # A comment leaves the digest as it is. After a refused reload the next valid file is always applied: the
            # log has the recovery.
            is_due = not only_changed or self._is_broken or config.digest != self.running.digest
            if is_due:
                self._put_into_force(config)
            self._renew(web)
            if is_due:
                log.info("reloaded", endpoints=len(config.endpoints))
        except ConfigError as error:
            _log_mistakes(log, "reload refused; the old configuration stays", error.mistakes)
            return [str(mistake) for mistake in error.mistakes]
        except Exception:  # no fault in a reload may end the daemon
            log.exception("fault in a reload; the old configuration stays")
            return [FAULT]
        return []

    async def _load(self) -> tuple[Config, Reading]:
        """Read all files.

        Raises:
            ConfigError: They cannot be used; it has the mistakes of all of them.
        """
        path = self._sources.config_file
        self._files = await _read(path, _fingerprints, self._files)
        web = await self._read_web()
        # In a thread: a file with thousands of endpoints takes a good part of a second.
        with garbage.paused():
            return await _read(path, load_with_web, path, self._sources.environ, web), web

    def _put_into_force(self, config: Config) -> None:
        try:
            self._apply(config)
        except Exception:
            self._apply(self.running)  # all of it, or nothing
            raise
        self.running = config

    async def _renew_web(self) -> None:
        """Reload the web configuration alone."""
        async with self._one_at_a_time:
            try:
                web = await self._read_web()
            except ConfigError as error:
                web = replace(self._web_reading, config=None, mistakes=error.mistakes)
            if web.mistakes:
                _log_mistakes(web_log, "web configuration not renewed; the old one stays", web.mistakes)
            if web.config is not None:
                self._renew(web)

    async def _read_web(self) -> Reading:
        """Read the web configuration; the same mistakes are reported again only after a file has changed.

        Raises:
            ConfigError: It was not read in time.
        """
        path = self._sources.web_config_file
        web = await _read(path, read_web, path)
        if web.config is not None and (web.config.tls is None) is not (self._web.config.tls is None):
            text = "cannot be added or removed while running: restart for that"
            web = replace(web, config=None, mistakes=(Mistake(str(path), 0, 0, "tls_server_config", text),))
        if web.config is None:
            self._web_reading = web
        return web

    def _renew(self, web: Reading) -> None:
        """Put a web configuration into force, for every request and handshake from now on."""
        if web.files != self._web_reading.files:
            self._web_reading, self._web.config = web, web.usable()
            web_log.info("web configuration renewed", users=len(self._web.config.users))


def _log_mistakes(to: structlog.typing.BindableLogger, event: str, mistakes: Sequence[Mistake]) -> None:
    """Log one event with its mistakes; of very many, the first."""
    to.error(event, mistakes=list(map(str, mistakes[:MAX_LOGGED])), count=len(mistakes))  # type: ignore[attr-defined]


async def watch(files: Callable[[], Files], interval: float, changed: Callable[[], Awaitable[object]]) -> None:
    """Call `changed` each time the content of a file has changed. It runs forever.

    Args:
        files: Returns the files and their fingerprints when they were last read.
        interval: Seconds between two checks.
        changed: Reads them again.
    """
    while True:
        await asyncio.sleep(interval)
        # In a thread, and without a limit: a network file system may be slow, or not answer for hours.
        found = await in_thread(_fingerprints, files())
        if found == files():
            continue
        await asyncio.sleep(SETTLED)
        if await in_thread(_fingerprints, files()) == found:
            await changed()


async def _read(path: Path | None, work: Callable[..., T], *arguments: object) -> T:
    """Return the result of `work`, which reads `path`, from a thread.

    Raises:
        ConfigError: It has no result in time.
    """
    try:
        async with asyncio.timeout(READING):
            return await in_thread(work, *arguments)
    except TimeoutError:
        text = f"cannot be read: the file system does not answer within {READING:g} s"
        raise ConfigError([Mistake(str(path), 0, 0, "", text)]) from None


def _fingerprints(files: Files) -> Files:
    return {path: fingerprint(path) for path in files}
