"""The composition root: build, start, reload and stop, in order."""

from __future__ import annotations

import asyncio
import gc
import os
import resource
import signal
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import structlog

from exporter import __version__
from exporter.accounts.ledger import Ledger
from exporter.check import Checker
from exporter.config import Config, ConfigError, load
from exporter.health import Health
from exporter.metrics import ExporterMetrics, Exposition
from exporter.notify import Notifier
from exporter.outcome import Target
from exporter.probing.resolve import Resolver
from exporter.schedule import Schedule
from exporter.store import Store
from exporter.web.app import application
from exporter.web.lifecycle import Lifecycle
from exporter.web.pages import Pages
from exporter.web.probe import OFFSET, Probe
from exporter.web.scrape import Scrape
from exporter.web.server import Server

log = structlog.get_logger("daemon")


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says of the daemon."""

    config_file: Path | None
    ledger: Ledger
    sockets: Sequence[socket.socket]
    environ: Mapping[str, str]
    timeout_offset: float = OFFSET
    """Seconds by which /probe answers before the scrape's time-out."""


def run(config: Config, options: Options) -> None:
    """Run until SIGTERM or SIGINT, on uvloop where the platform has it."""
    # Every probe and every client is a file: the usual soft limit of 1,024 is there for select(), which is not used.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(Daemon(config, options).serve())


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop  # noqa: PLC0415 (only where the platform has it)
    except ImportError:
        return None
    return uvloop.new_event_loop


class Daemon:
    """Everything that runs, wired: configuration → schedule → probe → Outcome → store → metrics."""

    def __init__(self, config: Config, options: Options) -> None:
        self._options = options
        self._notifier = Notifier(options.environ)
        self._reload_wanted = asyncio.Event()
        self._store = Store()
        self._metrics = ExporterMetrics()
        self._resolver = Resolver()
        self._checker = Checker(self._store, self._resolver, options.ledger, options.environ)
        self._schedule = Schedule(self._check, self._metrics)
        self._exposition = Exposition(self._store, self._metrics, lambda: self._checker.accesses)
        self._health = Health(self._schedule.stalled, self._schedule.silence)
        self._probe = Probe(self._checker.look, self._metrics, options.timeout_offset)
        parts = Scrape(self._exposition), Lifecycle(self._store, self._health), Pages(), self._probe
        self._server = Server(application(*parts))
        self._apply(config)

    async def serve(self) -> None:
        """Start, wait for the end, and stop in the opposite order: nothing is left open."""
        stopped = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stopped.set)
        loop.add_signal_handler(signal.SIGHUP, self._reload_wanted.set)
        self._schedule.start()
        serving = asyncio.create_task(self._server.serve(list(self._options.sockets)), name="http")
        addresses = [_shown(listening) for listening in self._options.sockets]
        log.info("started", version=__version__, addresses=addresses, pid=os.getpid())
        self._notifier.send("READY=1")
        gc.freeze()  # what was built by now stays: no collection need look at it again
        reloading = asyncio.create_task(self._reload_when_wanted(), name="reload")
        watching = asyncio.create_task(self._notifier.watch(self._health.problems), name="watchdog")
        stopping = asyncio.create_task(stopped.wait())
        await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
        log.info("stopping")
        self._notifier.send("STOPPING=1")
        reloading.cancel()
        watching.cancel()
        await self._schedule.stop()
        await self._server.stop()
        await serving
        await self._resolver.close()
        log.info("stopped")

    def _apply(self, config: Config) -> None:
        targets = [target for endpoint in config.endpoints.values() for target in Target.of(endpoint)]
        self._store.configure(targets)
        self._checker.configure(config)
        self._probe.configure(config)
        self._schedule.configure(targets)
        self._metrics.loaded(config, time.time())

    async def _check(self, target: Target) -> None:
        await self._checker.check(target)
        if self._store.holds(target):
            self._exposition.refresh(self._store[target.key])

    async def _reload_when_wanted(self) -> None:
        """Reload, one at a time: of two in a row the later one must be what stays."""
        while True:
            await self._reload_wanted.wait()
            self._reload_wanted.clear()
            try:
                with self._notifier.reloading():
                    await self._reload()
            except Exception:  # the daemon outlives any fault of a reload
                self._metrics.load_failed()
                log.exception("fault in a reload; the old configuration stays")

    async def _reload(self) -> None:
        """Apply the configuration file anew, all of it or nothing."""
        try:
            # In a thread: a file with thousands of endpoints takes a good part of a second.
            config = await asyncio.to_thread(load, self._options.config_file, self._options.environ)
        except ConfigError as error:
            self._metrics.load_failed()
            for mistake in error.mistakes:
                log.error("reload refused; the old configuration stays", mistake=str(mistake))  # noqa: TRY400
            return
        self._apply(config)
        log.info("reloaded", endpoints=len(config.endpoints))


def _shown(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
