"""Where the ledger's file is, who may create it, and what its file system can do."""

from __future__ import annotations

import errno
import os
import stat
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

NAME = "ledger.db"
SYSTEM = Path("/var/lib/gmail-exporter")

MODE = 0o600

_BESIDE = ("", "-wal", "-shm", "-journal")
"""What SQLite appends to the name of a file, for those that it keeps beside it."""

# statfs(2). A rule of what is good: SQLite's write-ahead log needs memory that all processes share and locks that hold
# (https://sqlite.org/wal.html), which no file system of several hosts has, whatever it is called.
_LOCAL = frozenset(
    {
        0xEF53,  # ext2, ext3, ext4
        0x58465342,  # XFS
        0x9123683E,  # Btrfs
        0xF2F52010,  # F2FS
        0xCA451A4E,  # bcachefs
        0x2FC12FC1,  # ZFS
        0x01021994,  # tmpfs
        0x794C7630,  # overlayfs
    }
)


@dataclass(frozen=True, slots=True)
class Storage:
    """Where login budgets are stored."""

    path: Path | None = None
    """The file; None: in memory."""
    reason: str = ""
    """Why in memory, for people."""
    may_create: bool = True
    """Whether the file is created where it is missing."""
    makes_directory: bool = False
    """Whether its directory is, too."""


def find(environ: Mapping[str, str], system: Path | None = None) -> Storage:
    """Return where the file is, unless a flag says so: the same for the daemon and the commands.

    Relative paths in these variables are ignored (XDG Base Directory Specification, "Basics").
    """
    # systemd separates several directories by colons (systemd.exec(5), RuntimeDirectory=).
    state = environ.get("STATE_DIRECTORY", "").partition(":")[0]
    if state.startswith("/"):
        return Storage(Path(state) / NAME)
    system = system or SYSTEM
    if os.access(system, os.W_OK | os.X_OK) and system.is_dir():
        return Storage(system / NAME)
    home = environ.get("XDG_STATE_HOME", "")
    if home.startswith("/"):
        return Storage(Path(home) / "gmail-exporter" / NAME, makes_directory=True)
    return Storage(None, f"no $STATE_DIRECTORY, no writable {system}, no $XDG_STATE_HOME")


def of_command(store: Storage) -> Storage:
    """Return the storage as a command uses it: it creates no file in the place of another user, the daemon's perhaps.

    Where a daemon has not made its file yet, there is no budget to share.
    """
    path = store.path
    if path is None or not _is_missing(path):
        return store
    above = next(each for each in path.absolute().parents if not _is_missing(each))
    if above.stat().st_uid == os.geteuid():
        return store
    return Storage(None, f"there is no {path}, and a command creates none in the directory of another user")


def _is_missing(path: Path) -> bool:
    """Whether there is certainly none; of one that this user may not look at, that will be said when it is used."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False


def create(path: Path, *, directory: bool = False) -> None:
    """Create the file, empty, where it is missing, and its directory if asked to; only its owner may read it.

    Raises:
        OSError: It is missing, and cannot be created.
    """
    if directory:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Never to open one that exists: its end would end the locks that SQLite has on it (https://sqlite.org/howtocorrupt.html).
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, MODE))
    except FileExistsError:
        return


def close_to_others(path: Path) -> None:
    """Let only its owner read an old file, where that is this user; SQLite gives what it makes beside it the same mode.

    Raises:
        OSError: The mode cannot be set.
    """
    for suffix in _BESIDE:
        each = path.with_name(path.name + suffix)
        try:
            found = each.stat()
        except FileNotFoundError:
            continue
        if found.st_uid == os.geteuid() and stat.S_IMODE(found.st_mode) != MODE:
            each.chmod(MODE)


def identity(path: Path) -> tuple[int, int]:
    """Return what tells this file from another one of the same name.

    Raises:
        OSError: There is none, or it is a directory or a device.
    """
    found = path.stat()
    if stat.S_ISDIR(found.st_mode):
        raise OSError(errno.EISDIR, f"it is a directory: name a file in it, such as {path / NAME}")
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "not a regular file")
    return found.st_dev, found.st_ino


def is_local(directory: Path) -> bool:
    """Whether the file system is known to be one of this host alone."""
    if not sys.platform.startswith("linux"):
        return False
    try:
        import ctypes  # noqa: PLC0415 (a Python may be built without it)
    except ImportError:
        return False
    # f_type is the first member of the structure, a word of the machine; 256 octets are more than it has anywhere.
    buffer = ctypes.create_string_buffer(256)
    if ctypes.CDLL(None, use_errno=True).statfs(os.fsencode(directory), buffer) != 0:
        return False
    return ctypes.c_ulong.from_buffer(buffer).value & 0xFFFFFFFF in _LOCAL
