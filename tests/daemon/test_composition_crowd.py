"""A crowd of clients takes neither the files of the probes nor the turn of the right password."""

from __future__ import annotations

import base64
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from functools import partial
from pathlib import Path

import bcrypt
import httpx

from tests.examples import SENTINEL
from tests.servers.authority import Authority
from tests.servers.dovecot import Dovecot
from tests.servers.exporter import Exporter
from tests.waiting import PATIENCE

GUESSERS = 40

COST = 12
"""Of a hash, for bcrypt: a comparison takes a quarter of a second, all that are in the queue twenty."""

LONGEST = 12.0
"""Seconds that a scrape with the right password may take. It takes one comparison, unless the machine is busy."""


def connect(stack: ExitStack, exporter: Exporter) -> socket.socket:
    """A connection from another address than that of the test."""
    url = httpx.URL(exporter.url)
    client = stack.enter_context(socket.socket())
    client.settimeout(PATIENCE)
    client.bind(("127.0.0.2", 0))
    client.connect((url.host, url.port))
    return client


def test_connections_leave_the_probes_their_files(tmp_path: Path, authority: Authority, dovecot: Dovecot) -> None:
    """With 256 open files and bursts of 400 connections every probe has its socket, and every scrape is answered."""
    endpoint = {
        "protocol": "imap",
        "host": "localhost",
        "port": dovecot.imap_port,
        "security": "starttls",
        "tls": {"ca_file": str(authority.ca_file)},
        "ip_family": "ipv4",
    }
    names = [f"imap-{number}" for number in range(10)]
    document = {"defaults": {"interval": "1s", "timeout": "900ms"}, "endpoints": dict.fromkeys(names, endpoint)}
    config = tmp_path / "gmail.yml"
    config.write_text(json.dumps(document), "utf-8")
    exporter = Exporter(tmp_path / "log", config)
    exporter.open_files_allowed = 256

    def probed() -> dict[str, float]:
        return exporter.values("gmail_probes_total", result="success")

    with exporter, ExitStack() as stack:
        exporter.wait_for(lambda: len(probed()) == len(names))
        for _ in range(3):
            with suppress(OSError):  # it may be closed for another one while it connects
                for _ in range(400):
                    connect(stack, exporter)
            enough = {name: count + 1 for name, count in probed().items()}
            exporter.wait_for(partial(lambda enough: all(probed()[name] >= enough[name] for name in names), enough))
            assert exporter.open_files() < 256 - 20
        log = exporter.log_text()
        assert "open files" not in log.lower()
        assert "reason=internal" not in log


def test_too_few_files_for_the_probes_are_told(tmp_path: Path) -> None:
    """Once, with what to do; what fits is served."""
    endpoint = {"protocol": "imap", "host": "127.0.0.1", "port": 1, "security": "none", "interval": "1h"}
    config = tmp_path / "gmail.yml"
    config.write_text(json.dumps({"endpoints": {f"e{number}": endpoint for number in range(100)}}), "utf-8")
    exporter = Exporter(tmp_path / "log", config)
    exporter.open_files_allowed = 128
    with exporter:
        assert exporter.get("/-/healthy").status_code == 200
        text = "too few open files for all probes at once: raise the limit"
        exporter.wait_for(lambda: text in exporter.log_text())
        assert exporter.stop()[0] == 0
        assert exporter.log_text().count(text) == 1


@contextmanager
def guessed(exporter: Exporter) -> Iterator[None]:
    """Clients at another address guess passwords until the end of the block."""
    ended = threading.Event()

    def guess(client: socket.socket, name: str) -> None:
        number = 0
        with suppress(OSError):
            while not ended.is_set():
                number += 1
                credential = base64.b64encode(f"prometheus:{name}-{number}".encode()).decode()
                client.sendall(f"GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Basic {credential}\r\n\r\n".encode())
                client.recv(65536)
                ended.wait(0.02)

    with ExitStack() as stack:
        clients = [connect(stack, exporter) for _ in range(GUESSERS)]
        threads = [threading.Thread(target=guess, args=(client, number)) for number, client in enumerate(clients)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            ended.set()
            for thread in threads:
                thread.join()


def test_a_flood_of_wrong_passwords_keeps_the_right_one_not_waiting(tmp_path: Path) -> None:
    """It is compared next, also after the users have changed."""
    web = tmp_path / "web.yml"
    right = bcrypt.hashpw(SENTINEL.encode(), bcrypt.gensalt(COST)).decode()
    web.write_text(f"basic_auth_users: {{prometheus: '{right}'}}", "utf-8")
    exporter = Exporter(tmp_path / "log", None, f"--web.config.file={web}", "--web.enable-lifecycle")
    exporter.client["auth"] = ("prometheus", SENTINEL)

    def scrape() -> float:
        began = time.monotonic()
        with closing(exporter.get("/metrics")) as answer:
            assert answer.status_code == 200
        return time.monotonic() - began

    with exporter, guessed(exporter):
        time.sleep(1)  # the queue is full of guesses
        assert scrape() < LONGEST
        other = bcrypt.hashpw(b"other", bcrypt.gensalt(COST)).decode()
        web.write_text(f"basic_auth_users: {{prometheus: '{right}', other: '{other}'}}", "utf-8")
        assert exporter.post("/-/reload").status_code == 200
        exporter.wait_for(lambda: "users=2" in exporter.log_text())
        assert scrape() < LONGEST
