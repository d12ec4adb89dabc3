"""Clients that ask a daemon of a thousand endpoints for much and do not read it."""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path

import httpx
import pytest

from tests.servers.authority import Authority
from tests.servers.exporter import Exporter
from tests.waiting import PATIENCE

ENDPOINTS = 1000
CLIENTS = {"http": 200, "https": 100}
"""A handshake takes a while."""

SECONDS = 3.0
"""How long each crowd of clients is watched: on code without a limit the memory has grown by a gigabyte then."""

MOST = 112 << 20
"""Octets by which the memory may grow: the limit of unsent bodies, and the buffers of all connections."""

LONGEST = 30.0
"""Seconds that a scrape may take while a crowd arrives, on a machine that does much else; usually it is a tenth of one.

Behind what the crowd has asked for, it would wait for as long as that does not read.
"""

CONFIG = """\
modules: {{imap: {{protocol: imap, security: none}}}}
probe: {{allow: ["127.0.0.1:1"]}}
endpoints:
{endpoints}
"""
ENDPOINT = "  tenant-{number}: {{protocol: imap, host: 127.0.0.1, port: 1, security: none, interval: 5s, timeout: 2s}}"
"""Nothing listens on port 1."""


class Crowd:
    """Clients that send a request and read nothing; their kernels take as little as they can."""

    def __init__(self, exporter: Exporter) -> None:
        self._url = httpx.URL(exporter.url)
        self._context = ssl._create_unverified_context()
        self._sockets = ExitStack()

    def ask(self, path: str, requests: int) -> None:
        """One more client, with its requests in a row."""
        client = self._sockets.enter_context(socket.socket())
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(PATIENCE)
        client.bind(("127.0.0.2", 0))  # another client than Prometheus
        with suppress(OSError):  # it may be closed for another one
            client.connect((self._url.host, self._url.port))
            if self._url.scheme == "https":
                client = self._sockets.enter_context(self._context.wrap_socket(client))
            client.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode() * requests)

    def close(self) -> None:
        """All of them disconnect."""
        self._sockets.close()


def _connection(url: httpx.URL, context: ssl.SSLContext) -> http.client.HTTPConnection:
    if url.scheme == "https":
        return http.client.HTTPSConnection(url.host, url.port, timeout=PATIENCE, context=context)
    return http.client.HTTPConnection(url.host, url.port, timeout=PATIENCE)


@contextmanager
def scraped(exporter: Exporter) -> Iterator[list[float]]:
    """Scrape in the background; the seconds of each scrape. One that fails fails the test."""
    seconds: list[float] = []
    faults: list[Exception] = []
    ended = threading.Event()

    url, context = httpx.URL(exporter.url), ssl._create_unverified_context()

    def scrape() -> None:
        try:
            while not ended.wait(0.1):
                began = time.perf_counter()
                # A light client: this process has its hands full with the crowd.
                with closing(_connection(url, context)) as connection:
                    connection.request("GET", "/metrics", headers={"Accept-Encoding": "gzip"})
                    answer = connection.getresponse()
                    assert (answer.status, len(answer.read()) > 10_000) == (200, True)
                seconds.append(time.perf_counter() - began)
        except Exception as fault:  # noqa: BLE001 (raised below, in the test's own thread)
            faults.append(fault)

    thread = threading.Thread(target=scrape)
    thread.start()
    try:
        yield seconds
    finally:
        ended.set()
        thread.join()
    if faults:
        raise faults[0]


class Daemons:
    """A daemon for each scheme, which has probed all its endpoints."""

    def __init__(self, directory: Path, authority: Authority) -> None:
        self._directory = directory
        self._certificate = authority.issue()
        self._running: dict[str, Exporter] = {}
        self._stack = ExitStack()

    def __getitem__(self, scheme: str) -> Exporter:
        if scheme not in self._running:
            self._running[scheme] = self._stack.enter_context(self._daemon(scheme))
            self._running[scheme].wait_for(lambda: self._running[scheme].get("/-/ready").status_code == 200)
        return self._running[scheme]

    def close(self) -> None:
        """Stop them."""
        self._stack.close()

    def _daemon(self, scheme: str) -> Exporter:
        config, web = self._directory / "gmail.yml", self._directory / "web.yml"
        endpoints = "\n".join(ENDPOINT.format(number=number) for number in range(ENDPOINTS))
        config.write_text(CONFIG.format(endpoints=endpoints), "utf-8")
        files = f"cert_file: {self._certificate.chain_file}, key_file: {self._certificate.key_file}"
        web.write_text(f"tls_server_config: {{{files}}}" if scheme == "https" else "{}", "utf-8")
        daemon = Exporter(self._directory / scheme, config, f"--web.config.file={web}")
        daemon.scheme = scheme
        return daemon


@pytest.fixture(scope="module")
def daemons(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[Daemons]:
    """Call it by the scheme."""
    with closing(Daemons(tmp_path_factory.mktemp("unread"), authority)) as all_of_them:
        yield all_of_them


@pytest.mark.parametrize(
    ("scheme", "path", "requests"),
    [
        ("http", "/metrics", 1),
        ("http", "/metrics", 20),
        ("http", "/", 1),
        ("http", "/api/v1/endpoints", 1),
        ("http", "/config", 20),
        ("http", "/reasons", 20),
        ("http", "/static/page.js", 20),
        ("http", "/probe?module=imap&target=127.0.0.1&debug=true", 20),
        ("https", "/metrics", 1),
        ("https", "/config", 20),
    ],
)
def test_what_is_not_read_costs_little(daemons: Daemons, scheme: str, path: str, requests: int) -> None:
    """The memory stays within its limit, every scrape is answered in time, and no connection stays open."""
    exporter = daemons[scheme]
    before, files = exporter.memory(), exporter.open_files()
    with closing(Crowd(exporter)) as crowd, scraped(exporter) as seconds:
        for _ in range(CLIENTS[scheme]):
            crowd.ask(path, requests)
        ends = time.monotonic() + SECONDS
        while time.monotonic() < ends:
            time.sleep(0.05)
            assert exporter.memory() - before < MOST
    assert max(seconds) < LONGEST
    exporter.wait_for(lambda: exporter.open_files() <= files + 2)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_the_memory_is_given_back(daemons: Daemons, scheme: str) -> None:
    """After all these crowds it has not grown by more than one of them may take."""
    exporter = daemons[scheme]
    assert exporter.memory(peak=True) < 256 << 20
    assert exporter.memory() < 192 << 20
