"""A daemon whose storage is locked, full, read only or no ledger: it goes on without logins, and recovers by itself."""

from __future__ import annotations

import re
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.commands.conftest import Site
from tests.servers.authority import Authority
from tests.servers.dialogues import Imap
from tests.servers.exporter import EACH_SECOND, IN_TIME, LENIENT, UNPLANNED, Exporter
from tests.servers.scripted import ScriptedServer

COUNT = "import sqlite3, sys; print(*sqlite3.connect(sys.argv[1]).execute('SELECT count(*) FROM login').fetchone())"
DENIED = "login budgets cannot be stored, so no login is made"


@pytest.fixture
def site(tmp_path: Path, authority: Authority) -> Iterator[Site]:
    """An endpoint that logs in, and one that does not."""
    site = Site(tmp_path, authority)
    site.document["defaults"] = dict(EACH_SECOND)
    site.account("ops")
    yield site
    site.close()


@pytest.fixture
def server(site: Site) -> ScriptedServer:
    """The server of both."""
    server = site.serve(Imap())
    site.endpoint("with", server.port, account="ops")
    site.endpoint("without", server.port)
    return server


def logins(server: ScriptedServer) -> int:
    """How many the server has seen."""
    return sum(received.count(b" AUTHENTICATE ") for received in server.received)


def denied(exporter: Exporter) -> bool:
    """Whether logins are held back for the storage, and only those."""
    return exporter.values("gmail_login_held_info", denial="storage") == {"with": 1.0} and exporter.values(
        "gmail_up"
    ) == {"with": 1.0, "without": 1.0}


def logs_in_again(exporter: Exporter, server: ScriptedServer) -> None:
    """Wait until it does."""
    before = logins(server)
    exporter.wait_for(lambda: logins(server) > before + 1)
    assert exporter.values("gmail_login_suspended") == {"with": 0.0}
    assert "login budgets are stored again" in exporter.log_text()


def stays_without_logins(exporter: Exporter, server: ScriptedServer) -> None:
    """Probes go on, at the endpoint without an account at their times; none logs in."""
    exporter.wait_for(lambda: denied(exporter))
    before, done = logins(server), exporter.values("gmail_probes_total", result="success")
    exporter.wait_for(lambda: exporter.values("gmail_probes_total", result="success")["without"] >= done["without"] + 4)
    assert set(exporter.values("gmail_probes_total", result="failure").values()) == {0.0}
    assert exporter.values("gmail_probes_total", result="success")["with"] > done["with"]
    assert logins(server) == before
    assert denied(exporter)


def test_a_locked_ledger(site: Site, server: ScriptedServer) -> None:
    """The page, the API, the log and the metrics say it; nothing waits, and SIGTERM neither. Then logins go on."""
    path = site.directory / "ledger.db"
    with Exporter(site.directory / "log", site.config, f"--storage.path={path}", before=UNPLANNED) as exporter:
        exporter.wait_for(lambda: logins(server) >= 2)
        lock = sqlite3.connect(path, isolation_level=None)
        lock.execute("BEGIN EXCLUSIVE")
        stays_without_logins(exporter, server)
        assert "the login budget cannot be stored" in exporter.get("/").text
        assert "once that has changed" in exporter.get("/endpoints/with").text
        (row,) = exporter.get("/api/v1/endpoints/with").json()["endpoints"]
        assert (row["login"]["held_by"], row["login"]["next_at"]) == ("storage", None)
        assert exporter.get("/-/healthy").status_code == 200
        assert re.search(
            rf'level=error logger=accounts event="{DENIED}" .*error="database is locked"', exporter.log_text()
        )
        lock.close()
        logs_in_again(exporter, server)
        lock = sqlite3.connect(path, isolation_level=None)
        lock.execute("BEGIN EXCLUSIVE")
        exporter.wait_for(lambda: denied(exporter))
        code, seconds = exporter.stop(signal.SIGTERM)
        lock.close()
    assert (code, seconds < IN_TIME) == (0, True)
    assert "Traceback" not in exporter.log_text()
    assert exporter.log_text().count(DENIED) <= 3


def _directory(path: Path) -> Callable[[], None]:
    path.mkdir()
    return path.rmdir


def _missing_directory(path: Path) -> Callable[[], None]:
    return path.parent.mkdir


def _other_file(path: Path) -> Callable[[], None]:
    path.write_text("something else " * 100, "utf-8")
    return path.unlink


@pytest.mark.parametrize(
    ("prepare", "where", "error"),
    [
        (_directory, "ledger.db", "it is a directory: name a file in it, such as "),
        (_missing_directory, "missing/ledger.db", "No such file or directory"),
        (_other_file, "ledger.db", "file is not a database"),
    ],
)
def test_a_storage_that_cannot_be_used_at_the_start(
    site: Site, server: ScriptedServer, prepare: Callable[[Path], Callable[[], None]], where: str, error: str
) -> None:
    """The daemon starts, and logs in once it can be."""
    path = site.directory / where
    repair = prepare(path)
    with Exporter(site.directory / "log", site.config, f"--storage.path={path}", before=UNPLANNED) as exporter:
        stays_without_logins(exporter, server)
        assert error in exporter.log_text()
        repair()
        logs_in_again(exporter, server)
        assert path.stat().st_mode & 0o777 == 0o600


@contextmanager
def mounted(command: str) -> Iterator[list[str]]:
    """The beginning of a command that runs where this one has mounted something; nobody else sees that."""
    unshare = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", f"{command} && echo ready && cat"]
    with subprocess.Popen(unshare, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"ready\n"
        yield ["nsenter", f"--target={holder.pid}", "--user", "--mount", "--preserve-credentials"]


def printed(*command: str) -> str:
    """Run a command, and return what it writes."""
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_a_full_disk(site: Site, server: ScriptedServer) -> None:
    """No login is made that is not stored."""
    disk = site.directory / "disk"
    disk.mkdir()
    flags = (f"--storage.path={disk}/ledger.db",)
    with (
        mounted(f"mount -t tmpfs -o size=256k,mode=700 tmpfs {disk}") as there,
        Exporter(site.directory / "log", site.config, *flags, before=UNPLANNED, under=there) as exporter,
    ):
        exporter.wait_for(lambda: logins(server) >= 2)
        printed(*there, "sh", "-c", f"head -c 300k /dev/zero > {disk}/fill || true")
        exporter.wait_for(lambda: denied(exporter))
        assert re.search(r'error="(database or disk is full|disk I/O error)"', exporter.log_text())
        printed(*there, "rm", f"{disk}/fill")
        logs_in_again(exporter, server)
        del site.document["endpoints"]["with"]["account"]  # so that no login is made while they are counted
        assert site.config.exists()  # it writes the file
        exporter.send(signal.SIGHUP)
        exporter.wait_for(lambda: "event=reloaded" in exporter.log_text())
        assert int(printed(*there, sys.executable, "-c", COUNT, f"{disk}/ledger.db")) == logins(server)


def test_a_disk_that_is_read_only(site: Site, server: ScriptedServer) -> None:
    """No login, and once it can be written, none with the secret that was refused before."""
    disk = site.directory / "disk"
    disk.mkdir()
    flags = (f"--storage.path={disk}/ledger.db",)
    server.behave = Imap(refusal=b"NO [AUTHENTICATIONFAILED] Invalid credentials (Failure)")
    with Exporter(site.directory / "log", site.config, *flags, before=UNPLANNED) as exporter:
        exporter.wait_for(lambda: exporter.values("gmail_login_held_info", denial="hold") == {"with": 1.0})
    assert logins(server) == 1
    with (
        mounted(f"mount --bind {disk} {disk} && mount -o remount,bind,ro {disk}") as there,
        Exporter(site.directory / "log", site.config, *flags, before=UNPLANNED, under=there) as exporter,
    ):
        stays_without_logins(exporter, server)
        assert 'error="attempt to write a readonly database"' in exporter.log_text()
        printed(*there, "mount", "-o", "remount,bind,rw", str(disk))
        exporter.wait_for(lambda: exporter.values("gmail_login_held_info", denial="hold") == {"with": 1.0})
    assert logins(server) == 1


def test_the_default_directory(site: Site, server: ScriptedServer) -> None:
    """As systemd names it, the first of several; the log says which file it is."""
    state = site.directory / "state"
    state.mkdir()
    environ = {"STATE_DIRECTORY": f"{state}:/elsewhere"}
    with Exporter(site.directory / "log", site.config, environ=environ, before=LENIENT) as exporter:
        exporter.wait_for(lambda: logins(server))
    assert f"storage={state}/ledger.db" in exporter.log_text()
    assert (state / "ledger.db").stat().st_mode & 0o777 == 0o600


def test_without_storage(site: Site, server: ScriptedServer) -> None:
    """--storage.none keeps the budget in memory, whatever the environment says, and the log says so."""
    environ = {"STATE_DIRECTORY": str(site.directory)}
    with Exporter(site.directory / "log", site.config, "--storage.none", environ=environ, before=LENIENT) as exporter:
        exporter.wait_for(lambda: logins(server))
    assert "storage=none" in exporter.log_text()
    assert "level=warning" not in exporter.log_text()
    assert not (site.directory / "ledger.db").exists()
