"""Where login budgets survive a restart: a small SQLite file, so that a crash loop does not hammer a held account."""

from __future__ import annotations

import hashlib
import json
import secrets
import sqlite3
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

_SCHEMA = """
CREATE TABLE IF NOT EXISTS ledger (salt BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS account (
    name TEXT PRIMARY KEY,
    configuration TEXT NOT NULL,
    state TEXT NOT NULL,
    released_at REAL NOT NULL DEFAULT 0
);
"""


class LedgerError(Exception):
    """The file cannot be used; the message names it and says why."""


class Ledger:
    """Budgets by the name of their account. Without a path they are kept in memory, and end with the process."""

    def __init__(self, path: Path | None = None) -> None:
        """Open the file, or make it.

        Raises:
            LedgerError: it is no database of this program, or cannot be written.
        """
        self.path = path
        try:
            self._database = sqlite3.connect(path or ":memory:", isolation_level=None, timeout=1)
            # A budget is written before each login: without WAL every one would wait for the disk.
            self._database.execute("PRAGMA journal_mode=WAL")
            self._database.execute("PRAGMA synchronous=NORMAL")
            self._database.executescript(_SCHEMA)
            row = self._database.execute("SELECT salt FROM ledger").fetchone()
            if row is None:
                row = (secrets.token_bytes(16),)
                self._database.execute("INSERT INTO ledger VALUES (?)", row)
            self._salt: bytes = row[0]
        except sqlite3.Error as error:
            raise LedgerError(f"{path}: {error}") from None
        self._digests: dict[tuple[str, ...], str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def digest(self, secret: tuple[str, ...]) -> str:
        """Return what tells one secret from another and does not give it away, should the file be read."""
        if secret not in self._digests:
            text = json.dumps(secret).encode()
            self._digests[secret] = hashlib.scrypt(text, salt=self._salt, n=1 << 12, r=8, p=1, dklen=16).hex()
        return self._digests[secret]

    def load(self, name: str) -> tuple[str, dict[str, Any]] | None:
        """Return the configuration of an account that was kept, and its state; None where nothing is known of it."""
        row = self._database.execute("SELECT configuration, state FROM account WHERE name = ?", (name,)).fetchone()
        return (row[0], json.loads(row[1])) if row else None

    def save(self, name: str, configuration: str, state: Mapping[str, Any]) -> None:
        """Keep the state of an account."""
        self._database.execute(
            "INSERT INTO account (name, configuration, state) VALUES (?1, ?2, ?3) "
            "ON CONFLICT (name) DO UPDATE SET configuration = ?2, state = ?3",
            (name, configuration, json.dumps(state)),
        )

    def released_at(self, name: str) -> float:
        """Return when an operator last released the account, in Unix seconds; 0 for never."""
        row = self._database.execute("SELECT released_at FROM account WHERE name = ?", (name,)).fetchone()
        return float(row[0]) if row else 0.0

    def release(self, name: str) -> bool:
        """Let the account log in again; a daemon that runs on this file notices. False where it is not known here."""
        changed = self._database.execute("UPDATE account SET released_at = ? WHERE name = ?", (time.time(), name))
        return changed.rowcount > 0
