"""The tables of the ledger's file, and what version 0.1 of this program wrote."""

from __future__ import annotations

import json
import math
import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from secrets import token_bytes
from typing import Any

from exporter.model.login import Denial

APPLICATION_ID = 0x676D6578  # "gmex", in the header of the file

VERSION = 1
"""The version of these tables, in the header of the file too. 0.1 had none, which is 0."""

_TABLES = """
CREATE TABLE IF NOT EXISTS ledger (salt BLOB NOT NULL);

-- Every time is in seconds since the start of a boot, with the boot. `at` and `wall` are that boot's last reading.
CREATE TABLE boot (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, at REAL NOT NULL, wall REAL NOT NULL);
-- What one boot has seen of another: see exporter/accounts/ledger_time.py.
CREATE TABLE sight (
    reader INTEGER NOT NULL, writer INTEGER NOT NULL,
    shift REAL NOT NULL, latest REAL NOT NULL, looked REAL NOT NULL, first REAL NOT NULL,
    PRIMARY KEY (reader, writer)
) WITHOUT ROWID;

CREATE TABLE mailbox (id INTEGER PRIMARY KEY);
CREATE TABLE provider (
    username TEXT NOT NULL, name TEXT NOT NULL, mailbox INTEGER NOT NULL, PRIMARY KEY (username, name)
) WITHOUT ROWID;

CREATE TABLE login (
    id TEXT PRIMARY KEY, mailbox INTEGER NOT NULL, place TEXT NOT NULL, secret TEXT NOT NULL,
    boot INTEGER NOT NULL, at REAL NOT NULL
);
CREATE INDEX login_of_mailbox ON login (mailbox);
-- A login under way; `beat` is the last sign of life of the process that makes it.
CREATE TABLE grant (
    login TEXT PRIMARY KEY, mailbox INTEGER NOT NULL, endpoint TEXT NOT NULL, longest REAL NOT NULL,
    interval REAL NOT NULL, is_trial INTEGER NOT NULL, boot INTEGER NOT NULL, beat REAL NOT NULL
);
-- The last release of a mailbox, whether the login that it permits is still to be made, and how many such logins were
-- refused in a row.
CREATE TABLE released (
    mailbox INTEGER PRIMARY KEY, boot INTEGER NOT NULL, at REAL NOT NULL, has_trial INTEGER NOT NULL,
    refusals INTEGER NOT NULL
);
-- Secrets that were refused for good. A hold has no time. In both tables, `endpoint` and `reason` tell which login was
-- refused, and why; they are empty where that is not known.
CREATE TABLE refusal (
    mailbox INTEGER NOT NULL, scope TEXT NOT NULL, secret TEXT NOT NULL, endpoint TEXT NOT NULL, reason TEXT NOT NULL,
    PRIMARY KEY (mailbox, scope, secret)
) WITHOUT ROWID;
CREATE TABLE wait (
    mailbox INTEGER NOT NULL, scope TEXT NOT NULL, denial TEXT NOT NULL, boot INTEGER NOT NULL, since REAL NOT NULL,
    seconds REAL NOT NULL, refusals INTEGER NOT NULL, endpoint TEXT NOT NULL, reason TEXT NOT NULL,
    PRIMARY KEY (mailbox, scope)
) WITHOUT ROWID;
"""


class LedgerError(Exception):
    """The file cannot be used; the message has the reason."""


def prepare(database: sqlite3.Connection) -> bytes:
    """Create the tables that are missing, in a transaction that is under way; return the salt of the digests.

    Raises:
        LedgerError: It is not a database of this program, or one of a later version.
    """
    application, version, tables = database.execute(
        "SELECT application_id, user_version, (SELECT count(*) FROM sqlite_master) "
        "FROM pragma_application_id, pragma_user_version"
    ).fetchone()
    if tables and application != APPLICATION_ID:
        raise LedgerError("a database of another program")
    if version > VERSION:
        raise LedgerError(f"of a later version of this program: its tables are version {version}, known is {VERSION}")
    if version < VERSION:
        for statement in _statements(_TABLES):
            database.execute(statement)
        database.execute("INSERT INTO ledger SELECT ? WHERE NOT EXISTS (SELECT 1 FROM ledger)", (token_bytes(16),))
        database.execute(f"PRAGMA application_id={APPLICATION_ID}")
        database.execute(f"PRAGMA user_version={VERSION}")
    row = database.execute("SELECT salt FROM ledger").fetchone()
    if row is None or not isinstance(row[0], bytes):
        raise LedgerError("damaged: it has no salt")
    return row[0]


@dataclass(frozen=True, slots=True)
class OldBudget:
    """What 0.1 stored of an account. Times are Unix seconds."""

    logins: tuple[tuple[float, str], ...]
    """The logins of the last 24 hours and the last one of each target, by its name."""
    refusals: tuple[tuple[str, str], ...]
    """Scopes, and the secret that is held there."""
    waits: tuple[tuple[str, Denial, float, float, int], ...]
    """Scopes; why, since when and for how many seconds; the number of refusals."""


def take_old(database: sqlite3.Connection, account: str) -> OldBudget | None:
    """Remove and return what 0.1 stored of an account; None where there is nothing.

    Raises:
        LedgerError: It is damaged.
    """
    if not database.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'account'").fetchone():
        return None
    row = database.execute("SELECT state, released_at FROM account WHERE name = ?", (account,)).fetchone()
    if row is None:
        return None
    try:
        old = _read_old(json.loads(row[0]), number(row[1]))
    except (LedgerError, AttributeError, LookupError, TypeError, ValueError, RecursionError):
        raise LedgerError(f"damaged: what it has of the account {account} is not readable") from None
    database.execute("DELETE FROM account WHERE name = ?", (account,))
    return old


def number(value: Any) -> float:
    """Return a number of the file.

    Raises:
        LedgerError: It is none.
    """
    try:
        if type(value) in {float, int} and math.isfinite(value):
            return float(value)
    except OverflowError:  # an integer of hundreds of digits
        pass
    raise LedgerError(f"damaged: {type(value).__name__} in place of a number")


def _read_old(state: Mapping[str, Any], released_at: float) -> OldBudget:
    logins = [(number(at), str(name)) for name, at in state["login_at"].items()]
    others = Counter(map(number, state["recent"])) - Counter(at for at, _ in logins)
    logins += [(at, "") for at in others.elements()]
    blocks = list(state["blocks"].items())
    if state["unsettled"] is not None:
        blocks.append(("", state["unsettled"]))
    # A release made every block void that had not been made since.
    in_force = [(scope, block) for scope, block in blocks if number(block["release"]) == released_at]
    refusals = [(scope, str(block["secret"])) for scope, block in in_force if Denial(block["denial"]) is Denial.HOLD]
    waits = [
        (scope, denial, number(block["since"]), number(block["until"]) - number(block["since"]), int(block["refusals"]))
        for scope, block in in_force
        if (denial := Denial(block["denial"])) is not Denial.HOLD
    ]
    return OldBudget(tuple(logins), tuple(refusals), tuple(waits))


def _statements(script: str) -> Iterator[str]:
    """Yield the statements of a script; `executescript` would end the transaction that is under way."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
