"""Where the ledger's file is, who may create it, and what its file system can do."""

from __future__ import annotations

import ctypes
import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from exporter.accounts import storage
from exporter.accounts.storage import SYSTEM, Storage, find, identity, is_local, of_command
from tests.deploy.debian import ROOT, as_root


@pytest.mark.parametrize(
    ("environ", "is_writable", "path"),
    [
        ({"STATE_DIRECTORY": "/a", "XDG_STATE_HOME": "/x"}, True, "/a/ledger.db"),
        ({"STATE_DIRECTORY": "/a:/b"}, True, "/a/ledger.db"),
        ({"STATE_DIRECTORY": "/a"}, False, "/a/ledger.db"),
        ({"STATE_DIRECTORY": "", "XDG_STATE_HOME": "/x"}, True, "SYSTEM/ledger.db"),
        ({"STATE_DIRECTORY": "relative"}, True, "SYSTEM/ledger.db"),
        ({"XDG_STATE_HOME": "/x"}, False, "/x/gmail-exporter/ledger.db"),
        ({"XDG_STATE_HOME": "relative"}, False, None),
        ({"XDG_STATE_HOME": "", "HOME": "/home/me"}, False, None),
        ({}, True, "SYSTEM/ledger.db"),
        ({}, False, None),
    ],
)
def test_the_order(tmp_path: Path, environ: Mapping[str, str], path: str | None, *, is_writable: bool) -> None:
    """The first of several directories of systemd; a directory of the system only if it is writable; else none."""
    system = tmp_path / "gmail-exporter"
    if is_writable:
        system.mkdir()
    found = find(environ, system)
    assert found.path == (None if path is None else Path(path.replace("SYSTEM", str(system))))
    assert found.makes_directory is (path == "/x/gmail-exporter/ledger.db")
    assert (found.reason == "") is (path is not None)


def test_a_directory_that_is_not_writable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of another user, or on a file system that is read only: it is passed over. So is a file of that name."""
    system = tmp_path / "gmail-exporter"
    system.touch()
    assert find({}, system).path is None
    system.unlink()
    system.mkdir()
    monkeypatch.setattr(os, "access", lambda path, _: path != system)
    assert find({}, system).path is None
    assert str(system) in find({}, system).reason


def test_the_directory_of_the_system() -> None:
    """As in the file system hierarchy standard, and in the unit, the image and the chart."""
    assert Path("/var/lib/gmail-exporter") == SYSTEM


def test_a_command_uses_what_is_there(tmp_path: Path) -> None:
    """A file of any user, if there is one; and it may create one where the directory is its own."""
    for path in (tmp_path / "ledger.db", tmp_path / "missing/directory/ledger.db"):
        assert of_command(Storage(path)) == Storage(path)
    assert of_command(Storage(reason="none")) == Storage(reason="none")


def test_a_command_creates_nothing_in_the_place_of_another_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As root in that of the daemon, which could not write a file of root's. One that is there is used."""
    path = tmp_path / "gmail-exporter" / "ledger.db"
    monkeypatch.setattr(os, "geteuid", lambda: tmp_path.stat().st_uid + 1)
    for store in (Storage(path), Storage(path, makes_directory=True)):
        found = of_command(store)
        assert found.path is None
        assert found.reason == f"there is no {path}, and a command creates none in the directory of another user"
    path.parent.mkdir()
    path.touch()
    assert of_command(Storage(path)) == Storage(path)


def test_a_directory_in_place_of_the_file(tmp_path: Path) -> None:
    """Other programs' flags of such a name take a directory: the error says what is wanted."""
    with pytest.raises(OSError, match=f"it is a directory: name a file in it, such as {tmp_path}/ledger.db"):
        identity(tmp_path)


def test_old_files_of_another_user_keep_their_mode(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A command that is run by root changes nothing of the daemon's."""
    path = tmp_path / "ledger.db"
    path.touch(0o640)
    path.chmod(0o640)
    monkeypatch.setattr(os, "geteuid", lambda: tmp_path.stat().st_uid + 1)
    storage.close_to_others(path)
    assert path.stat().st_mode & 0o777 == 0o640


AS_ROOT = """
import os, sys
from pathlib import Path
from exporter.accounts import storage
from exporter.accounts.clock import Clock
from exporter.accounts.ledger_file import Grant, LedgerFile
from exporter.accounts.standing import Verdict
from exporter.accounts.storage import Storage
from tests.accounts.ledgers import IMAP, mailbox_of
from tests.accounts.test_standing import IMAP_REQUEST

CLOCK = Clock()  # all imports are made as root

def become(user):
    os.seteuid(0)
    os.setegid(user)
    os.seteuid(user)

def log_in(file):
    granted, _ = file.grant(mailbox_of(IMAP), IMAP_REQUEST, ("secret",), force=True)
    assert isinstance(granted, Grant), granted
    file.settle(granted, Verdict(is_good=True))

storage.is_local = lambda _: sys.argv[2] == "local"
path = Path(sys.argv[1]) / "gmail-exporter" / "ledger.db"
path.parent.mkdir(mode=0o700)
os.chown(path.parent, 65532, 65532)
assert storage.of_command(Storage(path)).path is None

become(65532)
daemon = LedgerFile(Storage(path), CLOCK)
log_in(daemon)
daemon.close()
become(0)
command = LedgerFile(storage.of_command(Storage(path)), CLOCK)
log_in(command)
become(65532)
daemon = LedgerFile(Storage(path), CLOCK)
log_in(daemon)
become(0)
log_in(command)
for each in path.parent.iterdir():
    found = each.stat()
    assert (found.st_uid, found.st_gid, found.st_mode & 0o777) == (65532, 65532, 0o600), each
print(*sorted(each.name for each in path.parent.iterdir()))
command.close()
become(65532)
log_in(daemon)
become(65534)  # who may not look into the directory: whether there is a file is not for it to say
assert storage.of_command(Storage(path)) == Storage(path)
assert storage.find({}, path.parent / "system").path is None
"""


@pytest.mark.parametrize("kind", ["local", "shared"])
def test_a_command_of_root_leaves_the_files_to_the_daemon(kind: str) -> None:
    """Their owner and mode, also of what SQLite makes beside the file; the daemon can still write all of them.

    A third user learns that it may not use the file.
    """
    with tempfile.TemporaryDirectory(dir="/var/tmp") as directory:  # that of the test may be closed to other users
        Path(directory).chmod(0o755)
        printed = as_root(
            sys.executable, "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r})\n{AS_ROOT}", directory, kind
        )
        as_root("rm", "--recursive", f"{directory}/gmail-exporter")
    assert printed.split() == (["ledger.db", "ledger.db-shm", "ledger.db-wal"] if kind == "local" else ["ledger.db"])


def test_the_file_systems_of_this_host(tmp_path: Path) -> None:
    """The one of the tests is local; those of the kernel are not, for nobody knows what they can do."""
    assert is_local(tmp_path)
    assert not is_local(Path("/proc"))
    assert not is_local(Path("/sys"))
    assert not is_local(tmp_path / "missing")


class Libc:
    """A C library whose `statfs` finds a file system of this type."""

    def __init__(self, kind: int) -> None:
        self.kind = kind

    def statfs(self, _path: bytes, buffer: ctypes.Array[ctypes.c_char]) -> int:
        ctypes.memmove(buffer, self.kind.to_bytes(8, sys.byteorder), 8)
        return 0


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (0xEF53, True),  # ext4
        (0x9123683E, True),  # Btrfs: as a signed word of 32 bits it is below 0
        (0x01021994, True),  # tmpfs
        (0x6969, False),  # NFS
        (0xFF534D42, False),  # CIFS
        (0xFE534D42, False),  # SMB 2
        (0x517B, False),  # SMB
        (0x65735546, False),  # FUSE, and virtiofs
        (0x01021997, False),  # 9P
        (0x00C36400, False),  # Ceph
        (0x47504653, False),  # GPFS
        (0x12345678, False),  # one that nobody has heard of
    ],
)
def test_types_of_file_systems(kind: int, monkeypatch: pytest.MonkeyPatch, *, expected: bool) -> None:
    """By a rule of what is good: what is not known to be local may be shared."""
    monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: Libc(kind))
    assert is_local(Path("/")) is expected


def test_other_platforms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They have another structure, or a Python that can call no C library."""
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(sys, "platform", "darwin")
        assert not is_local(tmp_path)
    monkeypatch.setitem(sys.modules, "ctypes", None)
    assert not is_local(tmp_path)
