"""Reloading: one at a time, all or nothing, and when a file's content changes."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import bcrypt
import pytest
from cryptography import x509
from structlog.testing import capture_logs

from exporter.config.load import load, load_with_web
from exporter.config.web import Reading, read_web
from exporter.daemon import reload as reload_module
from exporter.daemon.reload import FAULT, MAX_LOGGED, Reloader, Sources
from exporter.model.settings import Config
from exporter.web.server.websettings import WebSettings
from tests.servers.authority import Authority, Certificate
from tests.waiting import PATIENCE, until
from tests.web.conftest import hello, serving

GOOD = "endpoints: {imap: {protocol: imap, host: imap.gmail.com}}\n"
OTHER = "endpoints: {pop3: {protocol: pop3, host: pop.gmail.com}}\n"
BROKEN = "endpoints:\n  imap: {protocol: imap}\n  pop3: {protocol: pop}\n"

HASH = bcrypt.hashpw(b"secret", bcrypt.gensalt(4)).decode()
ALICE, BOB = (f"basic_auth_users: {{{name}: '{HASH}'}}\n" for name in ("alice", "bob"))
TLS = "tls_server_config:\n  cert_file: cert.pem\n  key_file: key.pem\n"


class Files:
    """A configuration file, a web configuration file, and a record of their reloads."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch, web: str | None = None) -> None:
        self.path, self.web_path = directory / "gmail.yml", directory / "web.yml"
        self.write(GOOD)
        if web is not None:
            self.write_web(web)
        self.applied: list[str] = []
        self.refusals = 0
        self.loads = 0
        self.gate = threading.Event()
        self.gate.set()
        reading = read_web(self.web_path if web is not None else None)
        self.web = WebSettings(reading.usable())
        sources = Sources(self.path, self.web_path if web is not None else None, {})
        self.reloader = Reloader(sources, load(self.path, {}), (self.web, reading), self.apply, self.refuse)
        monkeypatch.setattr(reload_module, "load_with_web", self.load)

    def write(self, text: str) -> None:
        """Replace the configuration file."""
        self.path.write_text(text, "utf-8")

    def write_web(self, text: str) -> None:
        """Replace the web configuration file in one step."""
        new = self.web_path.with_suffix(".new")
        new.write_text(text, "utf-8")
        new.rename(self.web_path)

    def load(self, path: Path, environ: Mapping[str, str], web: Reading) -> Config:
        """Load the configuration; return once the gate is open."""
        config = load_with_web(path, environ, web)
        self.loads += 1
        self.gate.wait(PATIENCE)
        return config

    def apply(self, config: Config) -> None:
        """Record the configuration that is in force now."""
        self.applied.append(",".join(config.endpoints))

    def refuse(self) -> None:
        """Record a refusal."""
        self.refusals += 1

    @contextmanager
    def watched(self, interval: float | None = 0.01) -> Iterator[None]:
        """Check the files very often."""
        tasks = [asyncio.ensure_future(watch()) for watch in self.reloader.watches(interval)]
        yield
        for task in tasks:
            assert not task.done()
            task.cancel()


@pytest.fixture(autouse=True)
def very_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Check in milliseconds."""
    monkeypatch.setattr(reload_module, "SETTLED", 0.03)
    monkeypatch.setattr(reload_module, "WEB_INTERVAL", 0.01)


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Files:
    """A good file, and no web configuration file."""
    return Files(tmp_path, monkeypatch)


@pytest.fixture
async def watched(files: Files) -> AsyncIterator[Files]:
    """A good file that is checked very often."""
    with files.watched():
        yield files


async def test_a_good_file_is_put_into_force(files: Files) -> None:
    """On request, also where nothing has changed."""
    assert await files.reloader() == []
    files.write(OTHER)
    assert await files.reloader() == []
    assert (files.applied, files.refusals) == (["imap", "pop3"], 0)
    assert list(files.reloader.running.endpoints) == ["pop3"]


async def test_a_broken_file_changes_nothing(files: Files) -> None:
    """Every mistake is in the result, and in the log."""
    files.write(BROKEN)
    with capture_logs() as logs:
        mistakes = await files.reloader()
    assert [mistake.removeprefix(f"{files.path}:") for mistake in mistakes] == [
        "2:3: endpoints.imap.host: is missing",
        "3:3: endpoints.pop3.host: is missing",
        '3:20: endpoints.pop3.protocol: must be imap, pop3 or smtp, not "pop"',
    ]
    assert [line["mistakes"] for line in logs] == [mistakes]
    assert (files.applied, files.refusals) == ([], 1)
    assert list(files.reloader.running.endpoints) == ["imap"]


async def test_a_request_is_answered_by_a_reload_that_began_after_it(files: Files) -> None:
    """Requests during a reload share the next one, which reads the files after all of them."""
    files.gate.clear()
    first = asyncio.create_task(files.reloader())
    await until(lambda: files.loads == 1)
    files.write(BROKEN)
    later = [asyncio.create_task(files.reloader()) for _ in range(5)]
    await asyncio.sleep(0.02)
    assert files.loads == 1
    files.gate.set()
    assert await first == []
    assert [len(mistakes) for mistakes in await asyncio.gather(*later)] == [3] * 5
    assert files.loads == 1  # a broken file raises before it is counted
    assert (files.applied, files.refusals) == (["imap"], 1)


async def test_a_cancelled_request_ends_no_reload(files: Files) -> None:
    """Others may wait for the same one."""
    files.gate.clear()
    first, second = asyncio.create_task(files.reloader()), asyncio.create_task(files.reloader())
    await until(lambda: files.loads == 1)
    first.cancel()
    files.gate.set()
    assert await second == []
    assert files.applied == ["imap"]


async def test_a_fault_in_a_reload_is_logged(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    """With its traceback; the next reload is not affected."""
    with monkeypatch.context() as broken, capture_logs() as logs:
        broken.setattr(files.reloader, "_apply", lambda _: 1 / 0)
        assert await files.reloader() == [FAULT]
    assert logs[-1]["exc_info"] is True
    assert files.refusals == 1
    assert await files.reloader() == []


async def test_a_changed_content_is_loaded(watched: Files) -> None:
    """The same configuration is not applied again, nor is a comment; a broken content is reported once."""
    await until(lambda: watched.loads == 1)
    watched.write(f"# a comment\n{GOOD}")
    await until(lambda: watched.loads == 2)
    assert watched.applied == []
    with capture_logs() as logs:
        watched.write(BROKEN)
        await until(lambda: watched.refusals == 1)
        await asyncio.sleep(0.1)
        assert (watched.refusals, len(logs)) == (1, 1)
    watched.write(GOOD)
    await until(lambda: watched.applied == ["imap"])
    watched.write(OTHER)
    await until(lambda: watched.applied == ["imap", "pop3"])


async def test_a_content_that_was_reloaded_on_request_is_not_reloaded_again(watched: Files) -> None:
    """So a broken content is not reported twice."""
    await until(lambda: watched.loads == 1)
    watched.write(BROKEN)
    with capture_logs() as logs:
        assert len(await watched.reloader()) == 3
        await asyncio.sleep(0.1)
    assert (watched.refusals, len(logs)) == (1, 1)


async def test_a_swapped_link_is_a_changed_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As Kubernetes mounts a ConfigMap: the file is a link into a directory that is itself a link, which is swapped."""
    mount = tmp_path / "mount"
    for version, text, web in (("..1", GOOD, ALICE), ("..2", OTHER, BOB)):
        (mount / version).mkdir(parents=True)
        (mount / version / "gmail.yml").write_text(text, "utf-8")
        (mount / version / "web.yml").write_text(web, "utf-8")
    (mount / "..data").symlink_to("..1")
    for name in ("gmail.yml", "web.yml"):
        (tmp_path / name).symlink_to(f"mount/..data/{name}")
    monkeypatch.setattr(Files, "write", lambda *_: None)
    monkeypatch.setattr(Files, "write_web", lambda *_: None)
    files = Files(tmp_path, monkeypatch, ALICE)
    with files.watched():
        await until(lambda: files.loads == 1)
        (mount / "..data_tmp").symlink_to("..2")
        (mount / "..data_tmp").rename(mount / "..data")
        await until(lambda: files.applied == ["pop3"] and set(files.web.config.users) == {"bob"})


async def test_a_file_that_is_still_being_written_is_waited_for(
    watched: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first half of a file may be valid: here it is broken, and is not reported."""
    await until(lambda: watched.loads == 1)
    monkeypatch.setattr(reload_module, "SETTLED", 1.0)
    await asyncio.sleep(0.1)  # until the shorter time is over
    watched.write(BROKEN)
    await asyncio.sleep(0.05)
    watched.write(OTHER)
    await until(lambda: watched.applied == ["pop3"])
    assert (watched.refusals, watched.loads) == (0, 2)


async def test_a_file_that_vanishes_is_reported_once(watched: Files) -> None:
    """The configuration stays in force until the file exists again."""
    await until(lambda: watched.loads == 1)
    with capture_logs() as logs:
        watched.path.unlink()
        await until(lambda: watched.refusals == 1)
        await asyncio.sleep(0.1)
        assert [line["mistakes"] for line in logs] == [[f"{watched.path}: does not exist"]]
    watched.write(OTHER)
    await until(lambda: watched.applied == ["pop3"])


async def test_both_files_are_put_into_force_or_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The mistakes of both are reported together; a good file is used only together with the other."""
    files = Files(tmp_path, monkeypatch, ALICE)
    files.write(OTHER)
    files.write_web("basic_auth_users: {alice: secret}\n")
    (mistake,) = await files.reloader()
    assert mistake.startswith(f"{files.web_path}:1:27: basic_auth_users.alice: must be a bcrypt hash")
    files.write(BROKEN)
    assert len(await files.reloader()) == 4
    files.write_web(BOB)
    assert len(await files.reloader()) == 3
    assert (files.applied, set(files.web.config.users)) == ([], {"alice"})
    files.write(OTHER)
    with capture_logs() as logs:
        assert await files.reloader() == []
    assert (files.applied, set(files.web.config.users)) == (["pop3"], {"bob"})
    assert [line["event"] for line in logs] == ["web configuration renewed", "reloaded"]


async def test_unchanged_web_files_are_not_renewed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reload does not log them."""
    files = Files(tmp_path, monkeypatch, ALICE)
    before = files.web.config
    with capture_logs() as logs:
        assert await files.reloader() == []
    assert files.web.config is before
    assert [line["event"] for line in logs] == ["reloaded"]


async def test_tls_is_not_switched_while_running(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Scrapers without TLS would fail; and what was encrypted would no longer be."""
    files = Files(directory, monkeypatch, TLS)
    files.write_web(ALICE)
    assert await files.reloader() == [
        f"{files.web_path}: tls_server_config: cannot be added or removed while running: restart for that"
    ]
    assert files.web.config.tls is not None
    assert not files.web.config.users


async def test_users_change_without_a_reload(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A broken file changes none of them; the other configuration is not loaded."""
    files = Files(tmp_path, monkeypatch, ALICE)
    with files.watched(None), capture_logs() as logs:
        files.write_web(f"basic_auth_users: {{bob: '{HASH}', eve: secret}}\n")
        await until(lambda: logs)
        await asyncio.sleep(0.1)
        assert [line["event"] for line in logs] == ["web configuration not renewed; the old one stays"]
        assert set(files.web.config.users) == {"alice"}
        assert "secret" not in str(logs)
        files.write_web(BOB)
        await until(lambda: set(files.web.config.users) == {"bob"})
    assert (files.loads, files.refusals) == (0, 0)


async def serial(port: int) -> int:
    """Return the serial number of the certificate that a server presents."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    der = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.transport.abort()
    return x509.load_der_x509_certificate(der).serial_number


def replace(directory: Path, certificate: Certificate) -> None:
    """Renew certificate and key."""
    for name, content in (("cert.pem", certificate.chain_file), ("key.pem", certificate.key_file)):
        (directory / "new").write_bytes(content.read_bytes())
        (directory / "new").rename(directory / name)


async def test_a_certificate_is_renewed_without_a_reload(
    directory: Path, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that vanishes, or is not that of the key, changes nothing and is reported once; a good one is served."""
    files = Files(directory, monkeypatch, TLS)
    old = x509.load_pem_x509_certificates((directory / "cert.pem").read_bytes())[0].serial_number
    new = authority.issue("localhost", "renewed.example.net")
    async with serving(hello, files.web) as served:
        with files.watched(None), capture_logs() as logs:
            assert await serial(served.port) == old

            (directory / "cert.pem").unlink()
            await until(lambda: len(logs) == 1)
            await asyncio.sleep(0.1)
            assert [mistake for line in logs for mistake in line["mistakes"]] == [
                f"{files.web_path}:2:14: tls_server_config.cert_file: the file does not exist"
            ]
            assert await serial(served.port) == old

            (directory / "cert.pem").write_bytes(new.chain_file.read_bytes())
            await until(lambda: "is not the key of the certificate" in str(logs[-1].get("mistakes")))
            assert await serial(served.port) == old

            replace(directory, new)
            await until(lambda: logs[-1]["event"] == "web configuration renewed")
            assert await serial(served.port) == new.leaf.serial_number


async def test_a_refused_reload_is_one_event(files: Files) -> None:
    """Of hundreds of mistakes the log has the first and their number; the answer to a request has all."""
    files.write("endpoints: {" + ", ".join(f"e{number}: {{protocol: pop}}" for number in range(300)) + "}")
    with capture_logs() as logs:
        mistakes = await files.reloader()
    assert len(mistakes) == 600
    [line] = logs
    assert (line["event"], line["log_level"]) == ("reload refused; the old configuration stays", "error")
    assert (line["mistakes"], line["count"]) == (mistakes[:MAX_LOGGED], 600)


# A file system that does not answer


async def test_a_file_that_cannot_be_read_in_time(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reload is refused, and the next one is made once the file system answers."""
    monkeypatch.setattr(reload_module, "READING", 0.05)
    files.gate.clear()
    with capture_logs() as logs:
        mistakes = await files.reloader()
    assert mistakes == [f"{files.path}: cannot be read: the file system does not answer within 0.05 s"]
    assert (files.applied, files.refusals) == ([], 1)
    assert [line["log_level"] for line in logs] == ["error"]
    files.gate.set()
    files.write(OTHER)
    assert await files.reloader() == []
    assert files.applied == ["pop3"]


async def test_a_web_file_that_cannot_be_read_in_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It does not keep a reload waiting for ever, and says so."""
    monkeypatch.setattr(reload_module, "READING", 1.0)  # gmail.yml is to be read in time, on a busy machine too
    files = Files(tmp_path, monkeypatch, web=ALICE)
    gate = threading.Event()
    monkeypatch.setattr(reload_module, "read_web", lambda path: (gate.wait(PATIENCE), read_web(path))[1])
    with capture_logs() as logs, files.watched(None):
        files.write_web(BOB)
        await until(lambda: logs)
        assert "does not answer" in logs[0]["mistakes"][0]
        assert await files.reloader() == [
            f"{files.web_path}: cannot be read: the file system does not answer within 1 s"
        ]
        assert list(files.web.config.users) == ["alice"]
        gate.set()
        await until(lambda: list(files.web.config.users) == ["bob"])
