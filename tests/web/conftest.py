"""The application, in process; and the server, on a port of its own in the test's event loop."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import httpx
import pytest
import uvloop
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from exporter.config.load import load
from exporter.config.web import read_web
from exporter.exposition.cache import Exposition
from exporter.model.address import HostPattern
from exporter.model.outcome import TargetKey
from exporter.model.site import Site as Flags
from exporter.monitor.delivery_series import DeliverySeries
from exporter.monitor.health import Health
from exporter.monitor.instruments import ExporterMetrics
from exporter.monitor.store import Store
from exporter.web.api import Api, Scrape
from exporter.web.deliveries import DeliveryPages
from exporter.web.lifecycle import Effective, Lifecycle
from exporter.web.pages import Pages
from exporter.web.server.application import application
from exporter.web.server.listening import listen
from exporter.web.server.server import Server
from exporter.web.server.websettings import WebSettings
from tests.examples import Clock
from tests.waiting import PATIENCE, until

KNOWN = Flags(allowed_hosts=(HostPattern("exporter"),))
"""What lets the application be asked for by the name that these tests use."""


class Site:
    """The application over a store of the test."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.store = Store(self.clock)
        self.mistakes: list[str] = []
        self.reloads = 0
        self.settings = WebSettings(site=KNOWN)
        scrape = Scrape(Exposition(self.store, ExporterMetrics()))
        self.health = Health(self.store, lambda: 0.0)
        lifecycle = Lifecycle(self.store, self.health, self._reload)
        self.probed: list[TargetKey] = []
        self.pages, self.api = Pages(self.store, self.probe), Api(self.store)
        self.deliveries: list[DeliverySeries] = []
        mail = DeliveryPages(self.deliveries)
        parts = scrape, lifecycle, self.pages, self.api, mail, Effective(lambda: load(None, {}))
        self.transport = httpx.ASGITransport(application(*parts, settings=self.settings))

    def show(self, store: Store) -> None:
        """Use this store for pages and API."""
        self.pages.store = self.api.store = store

    async def probe(self, key: TargetKey) -> None:
        """Record that the pages asked for a probe."""
        self.probed.append(key)

    async def request(self, path: str, method: str = "GET", **headers: str) -> httpx.Response:
        """Send a request."""
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        async with httpx.AsyncClient(transport=self.transport, base_url="http://exporter") as client:
            return await client.request(method, path, headers={"accept-encoding": "identity", **names})

    async def _reload(self) -> list[str]:
        self.reloads += 1
        return self.mistakes


@pytest.fixture
def site() -> Site:
    """An application whose store is empty."""
    return Site()


async def hello(scope: Scope, receive: Receive, send: Send) -> None:
    """The smallest application."""
    await PlainTextResponse("hello")(scope, receive, send)


@dataclass(frozen=True, slots=True)
class Served:
    """A running server."""

    server: Server
    port: int


class Serve(Protocol):
    """Starts a server, which ends with the test."""

    async def __call__(self, app: ASGIApp = hello, settings: WebSettings | None = None) -> Served:
        """As `Server`, on 127.0.0.1."""


@asynccontextmanager
async def serving(app: ASGIApp, settings: WebSettings | None) -> AsyncIterator[Served]:
    """A server, until the end of the block."""
    server = Server(app, settings)
    (listening,) = listen(["127.0.0.1:0"])
    task = asyncio.create_task(server.serve([listening]))
    await until(lambda: server.started)
    yield Served(server, listening.getsockname()[1])
    await server.stop()
    await asyncio.wait_for(task, PATIENCE)


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Call it with an application to serve it."""
    async with AsyncExitStack() as stack:

        async def start(app: ASGIApp = hello, settings: WebSettings | None = None) -> Served:
            return await stack.enter_async_context(serving(app, settings))

        yield start


class WebFile:
    """A web configuration file in a directory of certificates."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.path = directory / "web.yml"

    def write(self, text: str) -> None:
        """Replace the file in one step."""
        new = self.path.with_suffix(".new")
        new.write_text(text, "utf-8")
        new.rename(self.path)

    def settings(self, text: str) -> WebSettings:
        """Write the file, and return what it sets."""
        self.write(text)
        return WebSettings(read_web(self.path).usable())

    def tls(self, *lines: str) -> str:
        """A `tls_server_config` with the good certificate, and these lines from line 4 on."""
        rest = "".join(f"  {line}\n" for line in lines)
        return f"tls_server_config:\n  cert_file: cert.pem\n  key_file: key.pem\n{rest}"


@pytest.fixture
def web_file(directory: Path) -> WebFile:
    """A web configuration file that is not written yet."""
    return WebFile(directory)


GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


class Client:
    """A TCP client."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, data: bytes) -> None:
        """Send it."""
        self.writer.write(data)

    async def read_all(self) -> bytes:
        """Return what arrives until the connection is closed or reset."""
        received = b""
        with contextlib.suppress(ConnectionResetError):
            while piece := await asyncio.wait_for(self.reader.read(65536), PATIENCE):
                received += piece
        return received


Connect = Callable[[Served], Awaitable[Client]]


@pytest.fixture
async def connect(serve: Serve) -> AsyncIterator[Connect]:
    """Call it to connect without TLS."""
    clients: list[Client] = []

    async def to(served: Served) -> Client:
        clients.append(Client(*await asyncio.open_connection("127.0.0.1", served.port)))
        return clients[-1]

    yield to
    for client in clients:
        client.writer.close()
        with contextlib.suppress(OSError):
            await client.writer.wait_closed()


BOTH_LOOPS = {"test_accepting.py", "test_acceptor.py", "test_protocol.py"}


def pytest_asyncio_loop_factories(item: pytest.Item) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Tests of transports run on both event loops: uvloop, and asyncio's own, which platforms without uvloop use."""
    plain = {"asyncio": asyncio.new_event_loop}
    return {"uvloop": uvloop.new_event_loop, **plain} if item.path.name in BOTH_LOOPS else plain
