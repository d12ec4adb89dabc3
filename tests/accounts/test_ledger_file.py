"""The file of the ledger: what it is, who may read it, and several processes that use it at once."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from exporter.accounts import storage
from exporter.accounts.clock import Clock
from exporter.accounts.ledger_file import Grant, LedgerFile
from exporter.accounts.ledger_schema import LedgerError
from exporter.accounts.standing import Verdict
from exporter.accounts.storage import Storage
from exporter.model.login import Denial
from exporter.model.reason import Retry
from tests.accounts.ledgers import IMAP, mailbox_of
from tests.accounts.test_standing import IMAP_REQUEST, POP3_REQUEST
from tests.examples import SENTINEL

MAILBOX = mailbox_of(IMAP)
SECRET = (SENTINEL,)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The path of the file."""
    return tmp_path / "ledger.db"


def opened(path: Path, *, may_create: bool = True, makes_directory: bool = False) -> LedgerFile:
    """Open the file as a process does."""
    return LedgerFile(Storage(path, may_create=may_create, makes_directory=makes_directory), Clock())


def refuse(file: LedgerFile) -> None:
    """Let a server refuse the secret."""
    granted, _ = file.grant(MAILBOX, IMAP_REQUEST, SECRET)
    assert isinstance(granted, Grant)
    file.settle(granted, Verdict(retry=Retry.HOLD))


def change(path: Path, *statements: str) -> None:
    """Change the file from outside the program."""
    database = sqlite3.connect(path)
    for statement in statements:
        database.execute(statement)
    database.commit()
    database.close()


def modes(path: Path) -> dict[str, int]:
    """The permissions of the file, and of those beside it."""
    return {each.name: each.stat().st_mode & 0o777 for each in path.parent.glob(f"{path.name}*")}


def test_it_is_kept(path: Path) -> None:
    """Salt and budgets are the same when it is opened again."""
    file = opened(path)
    refuse(file)
    digest = file.digest(SECRET)
    file.close()
    file = opened(path)
    assert file.digest(SECRET) == digest
    assert file.grant(MAILBOX, POP3_REQUEST, SECRET) == (Denial.HOLD, digest)


def test_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two are independent, and no file is created."""
    monkeypatch.chdir(tmp_path)
    one, other = LedgerFile(Storage(), Clock()), LedgerFile(Storage(), Clock())
    refuse(one)
    assert one.digest(SECRET) != other.digest(SECRET)
    assert isinstance(other.grant(MAILBOX, IMAP_REQUEST, SECRET)[0], Grant)
    assert list(tmp_path.iterdir()) == []


def _text(path: Path) -> None:
    path.write_text("defaults:\n  interval: 30s\n" * 100, "utf-8")


def _of_another_program(path: Path) -> None:
    change(path, "CREATE TABLE account (id INTEGER)")


def _marked_by_another_program(path: Path) -> None:
    change(path, "PRAGMA application_id=1", "CREATE TABLE cookies (id INTEGER)")


def _in_a_log_of_another_program(path: Path) -> None:
    change(path, "PRAGMA journal_mode=WAL", "CREATE TABLE cookies (id INTEGER)")


def _with_other_columns(path: Path) -> None:
    opened(path).close()
    change(path, "ALTER TABLE ledger RENAME salt TO pepper")


def _without_salt(path: Path) -> None:
    opened(path).close()
    change(path, "DELETE FROM ledger")


def _damaged(path: Path) -> None:
    opened(path).close()
    content = bytearray(path.read_bytes())
    content[1000:] = os.urandom(len(content) - 1000)
    path.write_bytes(content)


def _cut_short(path: Path) -> None:
    opened(path).close()
    path.write_bytes(path.read_bytes()[:5000])


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        (_text, "file is not a database"),
        (_of_another_program, "a database of another program"),
        (_marked_by_another_program, "a database of another program"),
        (_in_a_log_of_another_program, "a database of another program"),
        (_with_other_columns, "no such column: salt"),
        (_without_salt, "damaged: it has no salt"),
        (_damaged, "malformed|not a database"),
        (_cut_short, "malformed|not a database"),
        (Path.mkdir, "it is a directory: name a file in it, such as "),
        (os.mkfifo, "not a regular file"),
        (lambda path: path.symlink_to("/dev/null"), "not a regular file"),
        (lambda path: path.symlink_to("nowhere/ledger.db"), "No such file or directory|File exists"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
@pytest.mark.parametrize("is_local", [True, False], ids=["local", "shared"])
def test_not_a_ledger(
    path: Path, prepare: Callable[[Path], None], message: str, is_local: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error says what is wrong, in one line; the file is not changed, nor who may read it."""
    monkeypatch.setattr(storage, "is_local", lambda _: is_local)
    prepare(path)
    before = (path.read_bytes() if path.is_file() else b""), path.lstat().st_mode
    with pytest.raises(LedgerError, match=message) as caught:
        opened(path)
    assert "\n" not in str(caught.value)
    assert ((path.read_bytes() if path.is_file() else b""), path.lstat().st_mode) == before


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("missing/ledger.db", "No such file or directory"),
        ("file/ledger.db", "Not a directory"),
        ("/proc/self/ledger.db", "No such file or directory"),
        ("/sys/kernel/ledger.db", "Permission denied|Operation not permitted|Read-only file system"),
    ],
)
def test_it_cannot_be_created(tmp_path: Path, where: str, message: str) -> None:
    """A missing directory, one that is a file, one that is not writable."""
    (tmp_path / "file").touch()
    with pytest.raises(LedgerError, match=message):
        opened(tmp_path / where)


def test_it_is_not_created_where_it_must_not_be(path: Path) -> None:
    """What a command may not make, and what was open already and has gone."""
    with pytest.raises(LedgerError, match="No such file"):
        opened(path, may_create=False)
    assert not path.exists()
    with pytest.raises(LedgerError, match="No such file"):
        opened(path.parent / "state/gmail-exporter/ledger.db")
    opened(path.parent / "state/gmail-exporter/ledger.db", makes_directory=True)
    assert (path.parent / "state/gmail-exporter").stat().st_mode & 0o777 == 0o700


def test_an_empty_file(path: Path) -> None:
    """As `mktemp` creates one: it becomes a ledger."""
    path.touch()
    refuse(opened(path))
    assert opened(path).grant(MAILBOX, IMAP_REQUEST, SECRET)[0] is Denial.HOLD


@pytest.mark.parametrize("name", ["with space?and#more%20.db", "é.db", "\udcff.db"])
def test_any_name(tmp_path: Path, name: str) -> None:
    """What has a meaning in an address has none here."""
    path = tmp_path / name
    refuse(opened(path))
    assert path.exists()
    assert opened(path).grant(MAILBOX, IMAP_REQUEST, SECRET)[0] is Denial.HOLD


@pytest.mark.parametrize("mask", [0o022, 0o000, 0o077])
@pytest.mark.parametrize("is_local", [True, False], ids=["local", "shared"])
def test_only_its_owner_may_read_it(path: Path, mask: int, is_local: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the umask is, also the files that SQLite makes beside it; also a file that is old."""
    monkeypatch.setattr(storage, "is_local", lambda _: is_local)
    before = os.umask(mask)
    try:
        file = opened(path)
        refuse(file)
        assert modes(path).keys() == ({path.name, f"{path.name}-wal", f"{path.name}-shm"} if is_local else {path.name})
        assert set(modes(path).values()) == {0o600}
        for each in path.parent.glob(f"{path.name}*"):
            each.chmod(0o644)
        opened(path)
        assert set(modes(path).values()) == {0o600}
    finally:
        os.umask(before)


def test_no_log_on_a_file_system_of_several_hosts(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the file was made on another one, and has one."""
    refuse(opened(path))
    assert path.read_bytes()[18] == 2
    copy = path.parent / "shared" / "ledger.db"
    copy.parent.mkdir()
    for each in (path, path.with_name(f"{path.name}-wal")):
        (copy.parent / each.name).write_bytes(each.read_bytes())
    monkeypatch.setattr(storage, "is_local", lambda _: False)
    one, other = opened(copy), opened(copy)
    assert one.grant(MAILBOX, IMAP_REQUEST, SECRET)[0] is other.grant(MAILBOX, POP3_REQUEST, SECRET)[0] is Denial.HOLD
    assert one._database.execute("PRAGMA journal_mode").fetchone() == ("delete",)
    assert copy.read_bytes()[18] == 1
    assert [each.name for each in copy.parent.iterdir()] == [copy.name]


def test_locked_by_another_process(path: Path) -> None:
    """After a second it is an error, for a start and for a login; once it is free, both go on."""
    file = opened(path)
    blocker = sqlite3.connect(path, isolation_level=None)
    blocker.execute("BEGIN EXCLUSIVE")
    for use in (lambda: opened(path), lambda: file.grant(MAILBOX, IMAP_REQUEST, SECRET)):
        with pytest.raises(LedgerError, match="database is locked"):
            use()
    blocker.close()
    opened(path)
    assert isinstance(file.grant(MAILBOX, IMAP_REQUEST, SECRET)[0], Grant)


@pytest.mark.parametrize("what", ["removed", "replaced", "moved"])
def test_it_goes_while_it_is_open(path: Path, what: str) -> None:
    """A budget in a file that nobody finds again would be lost: no login."""
    file = opened(path)
    refuse(file)
    if what == "moved":
        path.rename(path.with_name("elsewhere.db"))
    else:
        path.unlink()
    if what == "replaced":
        opened(path)
    for use in (
        lambda: file.grant(MAILBOX, IMAP_REQUEST, ("another",)),
        lambda: file.standings([MAILBOX], ()),
        file.has_changed,
    ):
        with pytest.raises(
            LedgerError, match="was replaced while it was open" if what == "replaced" else "No such file"
        ):
            use()


def fill(file: LedgerFile) -> None:
    """Log in until there is no room."""
    for _ in range(200):
        file.grant(MAILBOX, IMAP_REQUEST, ("new",), force=True)
        file._database.execute("DELETE FROM grant")


def test_a_full_disk(path: Path) -> None:
    """The login is not granted. Once there is room again, it is."""
    file = opened(path)
    refuse(file)
    (pages,) = file._database.execute("PRAGMA page_count").fetchone()
    file._database.execute(f"PRAGMA max_page_count={pages}")
    with pytest.raises(LedgerError, match="database or disk is full"):
        fill(file)
    assert not file._database.in_transaction
    file._database.execute("PRAGMA max_page_count=100000")
    assert isinstance(file.grant(MAILBOX, IMAP_REQUEST, ("new",), force=True)[0], Grant)


def test_another_process_is_noticed(path: Path) -> None:
    """What it has written, once; what this one writes is known already."""
    one, other = opened(path), opened(path)
    one.has_changed()
    refuse(one)
    assert not one.has_changed()
    assert other.has_changed()
    assert not other.has_changed()
    assert other.grant(MAILBOX, IMAP_REQUEST, SECRET)[0] is Denial.HOLD


def test_a_login_under_way_in_another_process(path: Path) -> None:
    """It is refused here, also with `force`; but it is not what a standing tells, for it may be over."""
    one, other = opened(path), opened(path)
    granted, _ = one.grant(MAILBOX, IMAP_REQUEST, SECRET)
    assert isinstance(granted, Grant)
    for force in (False, True):
        assert other.grant(MAILBOX, POP3_REQUEST, SECRET, force=force)[0] is Denial.BUSY
    assert [standing.is_busy for standing in other.standings([MAILBOX], ())] == [False]
    assert [standing.is_busy for standing in one.standings([MAILBOX], {granted.id})] == [True]
    one.settle(granted, Verdict(is_good=True))
    assert isinstance(other.grant(MAILBOX, POP3_REQUEST, SECRET)[0], Grant)


def test_secrets_are_not_in_the_file(path: Path) -> None:
    """It has neither a secret nor an unsalted, fast hash of it."""
    refuse(opened(path))
    content = b"".join(each.read_bytes() for each in path.parent.iterdir())
    assert MAILBOX.username.encode() in content
    digests = [hashlib.new(name, SENTINEL.encode()) for name in ("md5", "sha1", "sha256")]
    digests += [hashlib.sha256(json.dumps(SECRET).encode())]
    for text in (SENTINEL.encode(), *(digest.hexdigest().encode() for digest in digests)):
        assert text not in content
    assert not any(digest.digest() in content for digest in digests)


def test_digests_differ() -> None:
    """Secrets have different digests, also if they are the same when joined."""
    file = LedgerFile(Storage(), Clock())
    digests = {file.digest(secret) for secret in (("a", "b"), ("ab",), ("ab", ""), ("", "ab"), ("a",))}
    assert len(digests) == 5
    assert file.digest(("a", "b")) in digests


OPEN = """
import sys
from pathlib import Path
from exporter.accounts.clock import Clock
from exporter.accounts.ledger_file import LedgerFile
from exporter.accounts.storage import Storage
for line in sys.stdin:
    file = LedgerFile(Storage(Path(line.rstrip())), Clock())
    print(file.digest(("secret",)), flush=True)
    file.close()
"""


def test_created_by_two_processes_at_once(tmp_path: Path) -> None:
    """Again and again: no process finds the file locked, and both have the same salt, and so the same digests."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    processes = [subprocess.Popen([sys.executable, "-c", OPEN], text=True, **pipes) for _ in range(2)]  # type: ignore[call-overload]
    for number in range(25):
        for process in processes:
            process.stdin.write(f"{tmp_path / f'{number}.db'}\n")
            process.stdin.flush()
        one, other = (process.stdout.readline() for process in processes)
        assert one == other != ""
    for process in processes:
        assert process.communicate() == ("", "")
