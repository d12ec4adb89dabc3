"""Certificates and users that change while everything runs."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable

import bcrypt
import pytest
from cryptography import x509
from structlog.testing import capture_logs

from exporter.config.mistake import ConfigError
from exporter.web.server.live import Live
from tests.servers.authority import Authority, Certificate
from tests.web.conftest import Serve, WebFile

HASH = bcrypt.hashpw(b"secret", bcrypt.gensalt(4)).decode()


async def serial(port: int) -> int:
    """The number of the certificate that a server presents."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    der = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.transport.abort()
    assert reader is not None
    return x509.load_der_x509_certificate(der).serial_number


async def until(condition: Callable[[], object]) -> None:
    """Wait until it holds."""
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.01)


def replace(web_file: WebFile, certificate: Certificate) -> None:
    """Renew certificate and key."""
    for name, content in (("cert.pem", certificate.chain_file), ("key.pem", certificate.key_file)):
        (web_file.directory / "new").write_bytes(content.read_bytes())
        (web_file.directory / "new").rename(web_file.directory / name)


async def test_a_certificate_is_renewed_in_passing(
    serve: Serve, web_file: WebFile, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that vanishes, or does not fit its key, changes nothing and is told once; the new one is served at once."""
    monkeypatch.setattr("exporter.web.server.live.LOOK", 0.02)
    live = web_file.live(web_file.tls())
    port = (await serve(live=live)).port
    old = x509.load_pem_x509_certificates((web_file.directory / "cert.pem").read_bytes())[0].serial_number
    new = authority.issue("localhost", "renewed.example.net")
    watching = asyncio.create_task(live.watch())
    with capture_logs() as logs:
        assert await serial(port) == old

        (web_file.directory / "cert.pem").unlink()
        await until(lambda: len(logs) == 1)
        await asyncio.sleep(0.1)
        assert [line["mistake"] for line in logs] == [
            f"{web_file.path}:2:14: tls_server_config.cert_file: the file does not exist"
        ]
        assert await serial(port) == old

        (web_file.directory / "cert.pem").write_bytes(new.chain_file.read_bytes())
        await until(lambda: "is not the key of the certificate" in logs[-1].get("mistake", ""))
        assert await serial(port) == old

        replace(web_file, new)
        await until(lambda: logs[-1]["event"] == "web configuration renewed")
        assert await serial(port) == new.leaf.serial_number
    watching.cancel()


async def test_users_change_in_passing(web_file: WebFile, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of a broken file never count, not even the whole ones."""
    monkeypatch.setattr("exporter.web.server.live.LOOK", 0.02)
    live = web_file.live(f"basic_auth_users: {{alice: '{HASH}'}}\n")
    watching = asyncio.create_task(live.watch())
    with capture_logs() as logs:
        web_file.write(f"basic_auth_users: {{bob: '{HASH}', eve: secret}}\n")
        await until(lambda: logs)
        assert set(live.config.users) == {"alice"}
        assert "secret" not in str(logs)
        web_file.write(f"basic_auth_users: {{bob: '{HASH}'}}\n")
        await until(lambda: set(live.config.users) == {"bob"})
    watching.cancel()


async def test_tls_is_not_switched_while_running(web_file: WebFile) -> None:
    """Scrapers in the clear would fail without a word, and what was private would be no more."""
    live = web_file.live(web_file.tls())
    web_file.write(f"basic_auth_users: {{alice: '{HASH}'}}\n")
    with pytest.raises(ConfigError) as caught:
        await live.read()
    assert str(caught.value) == (
        f"{web_file.path}: tls_server_config: cannot be added or removed while running: restart for that"
    )
    assert live.config.tls is not None
    assert not live.config.users


async def test_the_same_files_are_no_news(web_file: WebFile) -> None:
    """A reload that finds them as they were says nothing of them."""
    live = web_file.live(web_file.tls())
    before = live.config
    with capture_logs() as logs:
        live.adopt(await live.read())
    assert (live.config, logs) == (before, [])


async def test_without_a_file_nothing_ever_changes() -> None:
    """And reading it is no mistake."""
    live = Live()
    before = live.config
    live.adopt(await live.read())
    assert live.config is before


def test_a_broken_file_at_the_start_is_no_open_door(web_file: WebFile) -> None:
    """Rather nothing than everything in the clear, for everybody."""
    web_file.write("basic_auth_users: {alice: secret}\n")
    with pytest.raises(ConfigError):
        Live(web_file.path)
