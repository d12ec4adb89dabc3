"""The file in which login budgets survive a restart, so that a crash loop does not log in again and again."""

from __future__ import annotations

import hashlib
import json
import secrets
import sqlite3
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import structlog

_APPLICATION_ID = 0x676D6578  # "gmex", in the header of the file

_SCHEMA = """
CREATE TABLE IF NOT EXISTS ledger (salt BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS account (
    name TEXT PRIMARY KEY,
    configuration TEXT NOT NULL,
    state TEXT NOT NULL,
    released_at REAL NOT NULL DEFAULT 0
);
"""


log = structlog.get_logger("accounts")


class LedgerError(Exception):
    """The file cannot be used; the message has its name and the reason."""


class Ledger:
    """Budgets by account name, in an SQLite file or, without a path, in memory.

    After it is open, no error of the file ends the program: what cannot be written is kept in memory, what cannot be
    read is forgotten, and both are logged.
    """

    def __init__(self, path: Path | None = None) -> None:
        """Open the file, or create it.

        Raises:
            LedgerError: it is not a database of this program, or cannot be written.
        """
        self.path = path
        try:
            self._database = sqlite3.connect(path or ":memory:", isolation_level=None, timeout=1)
            try:
                self._salt = self._prepare()
            except BaseException:
                self._database.close()
                raise
        except sqlite3.Error as error:
            raise LedgerError(f"{path}: {error}") from None
        self._digests: dict[tuple[str, ...], str] = {}
        self._unwritten: dict[str, tuple[str, dict[str, Any]]] = {}
        self._released_at: dict[str, float] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def digest(self, secret: tuple[str, ...]) -> str:
        """Return a salted, slow hash: it tells secrets apart, and does not reveal them to a reader of the file."""
        if secret not in self._digests:
            text = json.dumps(secret).encode()
            self._digests[secret] = hashlib.scrypt(text, salt=self._salt, n=1 << 12, r=8, p=1, dklen=16).hex()
        return self._digests[secret]

    def load(self, name: str) -> tuple[str, dict[str, Any]] | None:
        """Return the stored configuration digest and state of an account; None where there is none."""
        if name in self._unwritten:
            return self._unwritten[name]
        try:
            row = self._database.execute("SELECT configuration, state FROM account WHERE name = ?", (name,)).fetchone()
            return (row[0], json.loads(row[1])) if row else None
        except (sqlite3.Error, ValueError, RecursionError) as error:
            self.forget(name, error)
            return None

    def forget(self, name: str, error: Exception) -> None:
        """Log that the stored state of an account is not usable; the next `save` replaces it."""
        log.warning("login budget unreadable and forgotten", account=name, path=str(self.path), error=_line(error))

    def save(self, name: str, configuration: str, state: Mapping[str, Any]) -> None:
        """Store the state of an account."""
        try:
            self._database.execute(
                "INSERT INTO account (name, configuration, state) VALUES (?1, ?2, ?3) "
                "ON CONFLICT (name) DO UPDATE SET configuration = ?2, state = ?3",
                (name, configuration, json.dumps(state)),
            )
        except sqlite3.Error as error:
            if name not in self._unwritten:
                log.error("login budget not written", account=name, path=str(self.path), error=_line(error))  # noqa: TRY400
            self._unwritten[name] = configuration, dict(state)
        else:
            self._unwritten.pop(name, None)

    def released_at(self, name: str) -> float:
        """Return when an operator last released the account, in Unix seconds; 0 for never."""
        try:
            row = self._database.execute("SELECT released_at FROM account WHERE name = ?", (name,)).fetchone()
            self._released_at[name] = float(row[0]) if row else 0.0
        except (sqlite3.Error, ValueError) as error:
            if name not in self._unwritten:
                log.warning("login budget unreadable", account=name, path=str(self.path), error=_line(error))
        return self._released_at.get(name, 0.0)

    def release(self, name: str) -> bool:
        """Let the account log in again, in a daemon on this file, too; return whether the account is known here.

        Raises:
            LedgerError: the file cannot be written.
        """
        try:
            changed = self._database.execute("UPDATE account SET released_at = ? WHERE name = ?", (time.time(), name))
        except sqlite3.Error as error:
            raise LedgerError(f"{self.path}: {error}") from None
        return changed.rowcount > 0

    def _prepare(self) -> bytes:
        """Create the tables that are missing, and return the salt of this file's digests."""
        # In one statement: another process may be creating the file.
        application, tables = self._database.execute(
            "SELECT application_id, (SELECT count(*) FROM sqlite_master) FROM pragma_application_id"
        ).fetchone()
        if tables and application != _APPLICATION_ID:
            raise LedgerError(f"{self.path}: a database of another program")
        # A budget is written before each login: without WAL each would wait for the disk.
        self._database.execute("PRAGMA journal_mode=WAL")
        self._database.execute("PRAGMA synchronous=NORMAL")
        if application != _APPLICATION_ID:
            self._database.execute(f"PRAGMA application_id={_APPLICATION_ID}")
        self._database.executescript(_SCHEMA)
        salt = secrets.token_bytes(16)
        # In one statement: of two processes that create the file at once, one makes the salt.
        self._database.execute("INSERT INTO ledger SELECT ? WHERE NOT EXISTS (SELECT 1 FROM ledger)", (salt,))
        (stored,) = self._database.execute("SELECT salt FROM ledger").fetchone()
        return bytes(stored)


def _line(error: Exception) -> str:
    """Return the first line of an error's text; the others may quote the file."""
    return str(error).partition("\n")[0]
