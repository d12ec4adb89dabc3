"""The health check of the image, with the real daemon and with servers that give other answers."""

from __future__ import annotations

import asyncio
import http.server
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from exporter import healthcheck
from exporter.config.web import read_web
from exporter.web.server.websettings import WebSettings
from tests.servers.authority import Authority
from tests.servers.exporter import Exporter
from tests.waiting import PATIENCE
from tests.web.conftest import hello, serving


@contextmanager
def answering(status: int, context: ssl.SSLContext | None = None) -> Iterator[int]:
    """A server on 127.0.0.1 that gives this answer."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/-/healthy" else 404)
            self.end_headers()
            self.wfile.write(b"its problem\n")

        def log_message(self, *_: object) -> None:
            pass

    class Quiet(http.server.ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            pass

    with Quiet(("127.0.0.1", 0), Handler) as server:
        if context:
            server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


def test_a_healthy_daemon(tmp_path: Path) -> None:
    """The daemon, at the address of its command line."""
    with Exporter(tmp_path / "log") as exporter:
        arguments = ["gmail-exporter", f"--web.listen-address={exporter.url.removeprefix('http://')}", ""]
        assert healthcheck.check(arguments) is None
        assert exporter.stop()[0] == 0
    assert healthcheck.check(arguments) == "ConnectionRefusedError: [Errno 111] Connection refused"


@pytest.mark.parametrize(
    ("status", "problem"),
    [(200, None), (401, None), (403, None), (503, "503: its problem"), (404, "404: its problem")],
)
@pytest.mark.parametrize("security", ["none", "tls"])
def test_what_an_answer_means(authority: Authority, security: str, status: int, problem: str | None) -> None:
    """Over TLS, too, with any name in the certificate; a server that needs a password is healthy."""
    context = authority.issue("other.example").context if security == "tls" else None
    with answering(status, context) as port:
        assert healthcheck.check(["--web.config.file=web.yml", f"--web.listen-address=127.0.0.1:{port}"]) == problem


def test_a_server_that_needs_a_certificate_is_healthy(authority: Authority) -> None:
    """It refuses a client without one in the handshake, or after it."""
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        context = authority.issue().own_context()
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(authority.ca_file)
        context.minimum_version = context.maximum_version = version
        with answering(200, context) as port:
            arguments = ["--web.config.file", "web.yml", "--web.listen-address", f"127.0.0.1:{port}"]
            assert healthcheck.check(arguments) is None


@pytest.mark.parametrize("security", ["none", "tls"])
async def test_a_daemon_at_its_limit_of_connections_is_healthy(
    tmp_path: Path, authority: Authority, security: str
) -> None:
    """It sends Retry-After, or with TLS closes the connection."""
    web, good = tmp_path / "web.yml", authority.issue()
    files = f"{{cert_file: {good.chain_file}, key_file: {good.key_file}}}"
    web.write_text(f"tls_server_config: {files}" if security == "tls" else "", "utf-8")
    async with serving(hello, WebSettings(read_web(web).usable())) as served:
        served.server.shared.connections.limit = 0
        arguments = [f"--web.config.file={web}", f"--web.listen-address=127.0.0.1:{served.port}"]
        assert await asyncio.to_thread(healthcheck.check, arguments) is None


def test_a_daemon_that_does_not_listen(free_port: int) -> None:
    """Nothing listens there."""
    assert "refused" in str(healthcheck.check([f"--web.listen-address=:{free_port}"]))


@pytest.mark.parametrize(
    ("listened", "address"),
    [
        ([], ("127.0.0.1", 9993)),
        ([":8080"], ("127.0.0.1", 8080)),
        (["0.0.0.0:80"], ("127.0.0.1", 80)),
        (["[::]:80"], ("::1", 80)),
        (["[fd00::1]:80", ":9993"], ("fd00::1", 80)),
        (["exporter:9993"], ("exporter", 9993)),
    ],
)
def test_the_address_of_the_daemon(listened: list[str], address: tuple[str, int]) -> None:
    """The first listening address."""
    assert healthcheck._address(listened) == address


def test_the_command_line_of_process_1_has_the_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As in /proc; what is wrong goes to standard error."""
    monkeypatch.setattr(healthcheck, "COMMAND_LINE", tmp_path / "cmdline")
    results: Mapping[int, tuple[int, str]] = {200: (0, ""), 503: (1, "503: its problem\n")}
    for status, (code, text) in results.items():
        with answering(status) as port:
            (tmp_path / "cmdline").write_bytes(
                b"python\0gmail-exporter\0--config.file=\xfc.yml\0--web.listen-address=127.0.0.1:%d\0" % port
            )
            assert healthcheck.main() == code
            assert capsys.readouterr().err == text


def test_it_protects_its_memory() -> None:
    """A container gives it the environment of the daemon, and so the secrets that are there."""
    program = """
import ctypes
from exporter import healthcheck
healthcheck.check = lambda _: print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))
raise SystemExit(healthcheck.main())
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=PATIENCE)
    assert ran.stdout == "0\n"
