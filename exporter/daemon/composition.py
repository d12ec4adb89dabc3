"""The composition root: build, start, reload and stop, in order."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import structlog
from starlette.types import ASGIApp

from exporter import __version__
from exporter.accounts.ledger import Ledger
from exporter.accounts.sends import Sends
from exporter.config.environment import secret_variables
from exporter.config.web import Reading
from exporter.daemon import garbage, logs
from exporter.daemon.notify import Notifier
from exporter.daemon.reload import Reloader, Sources
from exporter.deliveries.logins import Logins
from exporter.deliveries.run import Deliveries
from exporter.exposition.cache import Exposition
from exporter.exposition.gmail import evidence_samples
from exporter.exposition.text import Samples
from exporter.host import allocator
from exporter.host.environment import Environment
from exporter.host.process import attempt, open_files, raise_open_files
from exporter.host.threads import hand_over_soon, in_thread
from exporter.model.address import Address
from exporter.model.outcome import Target
from exporter.model.release import Way
from exporter.model.settings import Config
from exporter.model.shard import Shard
from exporter.model.site import Site
from exporter.monitor.archive import Archive
from exporter.monitor.checker import Checker
from exporter.monitor.delivery_schedule import EVERY, DeliverySchedule
from exporter.monitor.gathering import Gathering
from exporter.monitor.health import Health
from exporter.monitor.instruments import ExporterMetrics
from exporter.monitor.mail_domains import MailDomains
from exporter.monitor.schedule import Schedule
from exporter.monitor.store import Store
from exporter.monitor.stored_deliveries import StoredDeliveries
from exporter.monitor.stored_domains import StoredDomains
from exporter.probing.kernel import ARRIVAL_CLOCK
from exporter.probing.resolve import Resolver
from exporter.verdict.sources import TICK, EvidenceSources
from exporter.web.accounts import Releases
from exporter.web.api import Api, Scrape
from exporter.web.deliveries import DeliveryPages
from exporter.web.lifecycle import Effective, Lifecycle
from exporter.web.pages import Pages
from exporter.web.probe import OFFSET, Probe
from exporter.web.render import CHECK
from exporter.web.server.application import application
from exporter.web.server.connections import MIN_CONNECTIONS, OTHER_FILES, fitting
from exporter.web.server.server import Server
from exporter.web.server.websettings import WebSettings

PAUSE = 1.0
"""Seconds after a fault in a background task, before it starts again."""

log = structlog.get_logger("daemon")


@dataclass(frozen=True, slots=True)
class DaemonOptions:
    """Options of the daemon, from the command line."""

    config_file: Path | None
    ledger: Ledger
    sockets: Sequence[socket.socket]
    environ: Mapping[str, str]
    timeout_offset: float = OFFSET
    """Seconds by which /probe answers before the scrape's timeout."""
    web_config_file: Path | None = None
    web: Reading = field(default_factory=Reading)
    """The result of reading that file at the start."""
    enable_lifecycle: bool = False
    release_command: tuple[str, ...] = ()
    """The command that releases an account, without its name; none where login budgets are in memory."""
    check_command: tuple[str, ...] = CHECK
    """The command that checks an endpoint or a delivery now, without its name."""
    auto_reload_interval: float | None = None
    """Seconds between two checks of the configuration file; None: it is not checked."""
    shard: Shard = field(default_factory=Shard)
    site: Site = field(default_factory=Site)


def run(config: Config, options: DaemonOptions) -> None:
    """Run until SIGTERM or SIGINT, on uvloop where the platform has it."""
    attempt("raise the limit of open files", raise_open_files)
    attempt("give freed memory back to the kernel", allocator.give_back)
    hand_over_soon()
    with asyncio.Runner(loop_factory=_new_event_loop) as runner:
        runner.run(Daemon(config, options).serve())


def _new_event_loop() -> asyncio.AbstractEventLoop:
    def of_uvloop() -> asyncio.AbstractEventLoop:
        import uvloop  # noqa: PLC0415 (only where the platform has it)

        return uvloop.new_event_loop()

    return attempt("run on uvloop, which takes a third less CPU", of_uvloop) or asyncio.new_event_loop()


class Daemon:
    """All parts, connected: configuration → schedule → probe → Outcome → store → metrics."""

    def __init__(self, config: Config, options: DaemonOptions) -> None:
        self._options = options
        self._environ = Environment.of(options.environ)
        self._notifier = Notifier(self._environ)
        self._stopped = asyncio.Event()
        self._web = WebSettings(options.web.usable(), options.site)
        self._store = Store()
        self._metrics = ExporterMetrics(options.shard, logs.dropped, options.site.external_url)
        self._resolver = Resolver()
        self._evidence = EvidenceSources(self._resolver)
        self._gathering = Gathering(self._store, self._resolver, self._evidence)
        self._checker = Checker(self._store, self._resolver, options.ledger, self._environ, gathering=self._gathering)
        self._domains = self._checker.policies = MailDomains(self._resolver, self._store, self._arrange)
        self._schedule = Schedule(self._check, self._metrics)
        logins = Logins(self._checker.account_of, self._resolver, self._checker.add)
        self._mail = Deliveries(logins, Sends(options.ledger), options.ledger)
        self._deliveries = DeliverySchedule(self._mail.run)
        self._schedule.recur("deliveries", EVERY, self._deliveries.begin_what_is_due)
        sections = StoredDomains(self._domains), StoredDeliveries(self._deliveries)
        makes_directory = options.ledger.store.makes_directory
        self._archive = Archive(options.ledger.path, sections, makes_directory=makes_directory)
        self._exposition = Exposition(
            self._store,
            self._metrics,
            lambda: self._checker.accesses,
            self._samples,
            self._domains,
            self._deliveries,
        )
        self._health = Health(self._store, self._schedule.seconds_since_tick)
        self._metrics.kernel_timestamps.set_function(lambda: ARRIVAL_CLOCK.in_use)
        self._metrics.probes_overdue.set_function(lambda: len(self._health.overdue()))
        self._probe = Probe(self._checker, self._resolver, self._metrics, options.timeout_offset)
        self._config = config
        self._reload = Reloader(
            Sources(options.config_file, options.web_config_file, self._environ),
            config,
            (self._web, options.web),
            self._apply,
            self._metrics.load_failed,
            self._notifier.reloading,
        )
        self._server = Server(self._application(), self._web)
        self._apply(config)

    def _application(self) -> ASGIApp:
        probe = self._schedule.probe if self._options.enable_lifecycle else None
        way = self._way()
        self._checker.tell(way)
        pages = Pages(
            self._store, probe, self._options.site.telemetry_path, self._domains, way, self._options.check_command
        )
        releases = Releases(
            self._web,
            self._options.enable_lifecycle,
            self._checker.release,
            lambda: self._checker.accounts,
            pages.probe_endpoint,
        )
        pages.permits_release = releases.permits
        return application(
            Scrape(self._exposition, self._options.site.telemetry_path),
            Lifecycle(self._store, self._health, self._reload if self._options.enable_lifecycle else None),
            Effective(lambda: self._options.shard.take(self._reload.running)),
            pages,
            releases,
            Api(self._store, self._domains),
            DeliveryPages(self._deliveries, self._options.site.telemetry_path, self._options.check_command),
            self._probe,
            settings=self._web,
        )

    async def serve(self) -> None:
        """Start, run until `stop`, and close everything, in the opposite order."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)
        loop.add_signal_handler(signal.SIGHUP, self._reload.begin)
        self._schedule.start()
        self._schedule.recur("evidence", TICK, self._evidence.look)
        serving = asyncio.create_task(self._server.serve(list(self._options.sockets)), name="http")
        addresses = [_shown(listening) for listening in self._options.sockets]
        storage = str(self._options.ledger.path or "none")
        log.info("started", version=__version__, url=self._url(), addresses=addresses, pid=os.getpid(), storage=storage)
        self._warn_of_memory()
        self._notifier.send("READY=1")
        attempt("run the garbage collector rarely", garbage.resume)
        names = asyncio.create_task(in_thread(self._web.hosts.look_up), name="names")
        watching = [asyncio.create_task(_keep_running(watch), name="watch") for watch in self._watches()]
        stopping = asyncio.create_task(self._stopped.wait())
        await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
        log.info("stopping")
        loop.add_signal_handler(signal.SIGHUP, _ignore)
        self._notifier.send("STOPPING=1")
        for task in (*watching, names):
            task.cancel()
        await self._schedule.stop()
        await self._deliveries.close()
        await self._archive.close(self._store)
        await self._server.stop()
        await serving
        self._web.close()
        self._domains.close()
        await self._checker.close()
        await self._gathering.close()
        await self._evidence.close()
        await self._resolver.close()
        log.info("stopped")

    def _warn_of_memory(self) -> None:
        store = self._options.ledger.store
        if self._reload.running.accounts and store.path is None and store.reason:
            event = "login budgets are in memory only: every start logs in at once, also with a secret that was refused"
            log.warning(event, reason=store.reason)

    def _url(self) -> str:
        """Return the address of the pages: one that a click opens."""
        return self._options.site.external_url or self._url_here(self._options.site.external_path) or "none"

    def _url_here(self, path: str) -> str:
        """Return the address of the first TCP socket; empty where there is none."""
        for listening in self._options.sockets:
            if listening.family is not socket.AF_UNIX:
                host, port = listening.getsockname()[:2]
                address = Address("localhost" if host in ("::", "0.0.0.0") else host, port)
                return f"http{'s' if self._web.config.tls else ''}://{address}{path}"
        return ""

    def _way(self) -> Way:
        """Return how an account is released: with a command, or, where that has no access, by a request."""
        options, prefix = self._options, f"{self._options.site.route_prefix}/"
        if not options.enable_lifecycle:
            return Way(options.release_command)
        web, url = self._web.config, self._url_here(prefix)
        # The certificate is for the name by which others know the server; this stays on the host.
        words = [
            "curl",
            "-X",
            "POST",
            *(["-k"] if web.tls else []),
            *(["-u", next(iter(web.users))] if web.users else []),
        ]
        if not url and options.sockets:
            words += ["--unix-socket", str(options.sockets[0].getsockname())]
            url = f"http://localhost{prefix}"
        return Way(options.release_command, tuple(words), url)

    def stop(self) -> None:
        """Let `serve` end."""
        self._stopped.set()

    def _apply(self, whole: Config) -> None:
        """Put a configuration into force; targets that have not changed keep their state and their schedule."""
        self._environ.take(secret_variables(whole))
        self._config = config = self._options.shard.take(whole)
        self._checker.configure(config)
        self._evidence.configure(config)
        self._mail.configure(config)
        self._deliveries.configure(config)
        self._probe.configure(config, self._options.shard.modules_elsewhere(whole))
        self._arrange()
        self._metrics.loaded(config, time.time())

    def _arrange(self) -> None:
        """Probe exactly what the configuration names, and the exchanges that its domains have now."""
        config = self._config
        targets = self._domains.configure(config.endpoints.values())
        self._store.configure(targets)
        self._gathering.configure(config)
        self._checker.forget()
        self._schedule.configure([*targets, *(domain.look_up for domain in self._domains)])
        self._limit_connections(len(targets) + (config.probe.max_concurrent if config.modules else 0))

    def _limit_connections(self, probes: int) -> None:
        """Leave enough file descriptors for so many probes: each has a socket."""
        allowed = open_files()
        self._server.shared.connections.limit = fitting(allowed, probes)
        if allowed < OTHER_FILES + MIN_CONNECTIONS + probes:
            text = "too few open files for all probes at once: raise the limit (ulimit -n, LimitNOFILE=)"
            log.warning(text, open_files=allowed, probes=probes)

    def _watches(self) -> Iterator[Callable[[], Awaitable[None]]]:
        """Return the background tasks, which run as long as the daemon."""
        if self._notifier.watchdog is not None:
            yield partial(self._notifier.watch, self._notifier.watchdog, self._health.problems)
        if self._archive.path is not None:
            yield partial(self._archive.keep, self._store)
        yield from self._reload.watches(self._options.auto_reload_interval)

    def _samples(self) -> Iterator[Samples]:
        return evidence_samples(self._evidence.controls.states, self._evidence.feed.status)

    async def _check(self, target: Target) -> None:
        if not target.endpoint.host:
            await self._domains.look_up(target)
            return
        await self._checker.check(target)
        if self._store.holds(target):
            self._exposition.refresh_soon(self._store[target.key])


async def _keep_running(watch: Callable[[], Awaitable[None]]) -> None:
    """Run a background task forever; after a fault it starts again, with a pause."""
    while True:
        try:
            await watch()
        except Exception:  # no fault in a background task may end the daemon
            log.exception("fault in a background task; it is restarted")
            await asyncio.sleep(PAUSE)


def _ignore() -> None:
    """Do nothing: a daemon that stops does not reload."""


def _shown(listening: socket.socket) -> str:
    name = listening.getsockname()
    return f"unix:{name}" if listening.family is socket.AF_UNIX else str(Address(*name[:2]))
